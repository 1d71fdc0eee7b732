"""A tenant has a place for one build at a time, and somebody starts a second one.

The second is refused at once with the limit in the sentence, and with the exit code by
which a CI job knows that trying later helps. The first build goes on.
"""

import secrets
import signal
from pathlib import Path

from proxy.lab.context import small, write_context
from proxy.reasons import Reason
from tests.conftest import NewBuilder, StartDoor
from tests.helpers.builders import wait_step

RESOURCE_EXHAUSTED = 102
IN_FLIGHT = "kilngate_builds_in_flight"
TENANT = {"tenant": "payments"}


def test_a_build_too_many_is_refused_and_the_first_goes_on(
    start_door: StartDoor, new_builder: NewBuilder, busybox: Path, tmp_path: Path
) -> None:
    door = start_door(limits={"concurrent_builds": 1})
    builder = new_builder(door)
    step = f"/bin/busybox sleep {1_000_000 + secrets.randbelow(1_000_000)}"
    words = ", ".join(f'"{word}"' for word in step.split())
    endless = write_context(tmp_path / "endless", busybox, f"RUN --network=none [{words}]\n")

    with builder.building(endless) as running:
        wait_step(step, runs=True, timeout_s=30)
        refused = builder.build(small(tmp_path / "small", busybox, secrets.token_hex()))
        wait_step(step, runs=True, timeout_s=1)
        in_flight = door.metric(IN_FLIGHT, TENANT)
        running.send(signal.SIGKILL)
    door.wait_metric(IN_FLIGHT, TENANT, lambda now: now == 0)
    later = builder.build(small(tmp_path / "small", busybox, secrets.token_hex()))

    assert in_flight == 1
    assert f"[KG-{Reason.BUILDS_LIMIT.number}] " in refused.stdout
    assert refused.returncode == (RESOURCE_EXHAUSTED if builder.buildx.version != "0.13.1" else 1)
    assert later.returncode == 0
