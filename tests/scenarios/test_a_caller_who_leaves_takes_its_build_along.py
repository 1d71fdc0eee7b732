"""A developer presses Ctrl-C, or loses the laptop in the middle of a build.

The farm must not go on building for nobody: the daemon's step ends within two seconds,
and the place that the build took is free again for the tenant's next one.
"""

import secrets
import signal
from pathlib import Path

import pytest

from proxy.lab.context import write_context
from tests.conftest import NewBuilder, StartDoor
from tests.helpers.builders import wait_step

DAEMON_MAY_TAKE_S = 2.0
TENANT = {"tenant": "payments"}


@pytest.mark.parametrize("parting", [signal.SIGINT, signal.SIGKILL])
def test_the_daemon_stops_building_and_the_permit_comes_back(
    start_door: StartDoor, new_builder: NewBuilder, busybox: Path, tmp_path: Path, parting: signal.Signals
) -> None:
    door = start_door(limits={"concurrent_builds": 1})
    step = f"/bin/busybox sleep {1_000_000 + secrets.randbelow(1_000_000)}"
    context = write_context(
        tmp_path / "context", busybox, f'RUN --network=none ["{step.replace(" ", chr(34) + "," + chr(34))}"]\n'
    )
    builder = new_builder(door)

    with builder.building(context) as running:
        wait_step(step, runs=True, timeout_s=30)
        in_flight = door.metric("kilngate_builds_in_flight", TENANT)
        running.send(parting)
        wait_step(step, runs=False, timeout_s=DAEMON_MAY_TAKE_S)
        done = running.finish()

    assert in_flight == 1
    assert done.returncode in ((1, 130) if parting == signal.SIGINT else (-signal.SIGKILL,))  # 0.13.1 says 1
    door.wait_metric("kilngate_builds_in_flight", TENANT, lambda now: now == 0)
    door.wait_metric("kilngate_streams_open", TENANT, lambda now: now == 0)
    assert door.metric("kilngate_builds_total", {**TENANT, "result": "canceled"}) == 1
    quick = write_context(tmp_path / "quick", busybox, "COPY nonce /nonce\n", {"nonce": secrets.token_bytes()})
    assert builder.build(quick).returncode == 0
