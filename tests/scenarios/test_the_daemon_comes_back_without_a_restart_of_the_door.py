"""The build daemon is restarted, or dies, while kilngate runs.

The door stays. A build that was running is told that its daemon is lost; the next one, once
the daemon is there again, succeeds. Nobody restarts kilngate.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.lab.context import small, write_context
from proxy.lab.dockerd import OwnEngine
from proxy.lab.engine import Engine
from proxy.reasons import Reason
from tests.conftest import NewBuilder, StartDoor
from tests.helpers.builders import wait_step
from tests.helpers.door import Door

UP = "kilngate_upstream_up"


@pytest.fixture
def own_engine(engine: Engine) -> Iterator[OwnEngine]:
    if not isinstance(engine, OwnEngine):
        pytest.skip("the BuildKit in use is somebody else's: it is not ours to restart")
    yield engine
    if not engine.is_running:
        engine.start()


@pytest.fixture
def door(start_door: StartDoor) -> Door:
    return start_door()


def test_a_restarted_daemon_builds_again(
    door: Door, own_engine: OwnEngine, new_builder: NewBuilder, busybox: Path, tmp_path: Path
) -> None:
    builder = new_builder(door)
    context = small(tmp_path / "context", busybox, secrets.token_hex())
    first = builder.build(context).returncode

    own_engine.restart()
    second = builder.build(context)

    assert (first, second.returncode) == (0, 0), second.stdout
    door.wait_metric(UP, {}, lambda now: now == 1, timeout_s=30)


def test_a_build_whose_daemon_dies_is_told_and_counted_as_lost(
    door: Door, own_engine: OwnEngine, new_builder: NewBuilder, busybox: Path, tmp_path: Path
) -> None:
    words = ["/bin/busybox", "sleep", str(1_000_000 + secrets.randbelow(1_000_000))]
    context = write_context(
        tmp_path / "context", busybox, f"RUN --network=none {str(words).replace(chr(39), chr(34))}\n"
    )

    with new_builder(door).building(context) as running:
        wait_step(" ".join(words), runs=True, timeout_s=30)
        own_engine.kill()
        done = running.finish()

    assert done.returncode == 1
    assert f"[KG-{Reason.UPSTREAM_LOST.number}] " in done.stdout
    door.wait_metric("kilngate_builds_total", {"tenant": "payments", "result": "lost"}, lambda now: now == 1)
    door.wait_metric("kilngate_builds_in_flight", {"tenant": "payments"}, lambda now: now == 0)
    door.wait_metric(UP, {}, lambda now: now == 0, timeout_s=30)
    own_engine.start()
    door.wait_metric(UP, {}, lambda now: now == 1, timeout_s=30)
