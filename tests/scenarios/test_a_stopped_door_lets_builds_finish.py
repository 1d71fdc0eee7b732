"""An operator stops kilngate for an update while a build runs.

The build ends well, and its result arrives; only then does the process end. A build that
would take longer than the operator wants to wait is ended with a sentence.
"""

import secrets
import signal
import time
from pathlib import Path

from proxy.lab.context import write_context
from proxy.reasons import Reason
from tests.conftest import NewBuilder, StartDoor
from tests.helpers.builders import wait_step

# The step waits for nobody: it runs long enough for the signal to arrive in the middle.
STEP_S = 3


def step(seconds: int) -> tuple[str, str]:
    """Return a command that takes so long, not like any other, and a Dockerfile step that runs it."""
    command = f"/bin/busybox sleep {seconds}.{secrets.randbelow(1_000_000):06}"
    words = ", ".join(f'"{word}"' for word in command.split())
    return command, f"RUN --network=none [{words}]\n"


def test_a_running_build_ends_well_before_the_door_does(
    start_door: StartDoor, new_builder: NewBuilder, busybox: Path, tmp_path: Path
) -> None:
    door = start_door()
    command, line = step(STEP_S)
    context = write_context(tmp_path / "context", busybox, f"{line}COPY nonce /nonce\n", {"nonce": b"arrived"})

    with new_builder(door).building(context, f"--output=type=local,dest={tmp_path}/out") as running:
        wait_step(command, runs=True, timeout_s=30)
        door.child.signal(signal.SIGTERM)
        done = running.finish()
        exit_code = door.child.wait(20)

    assert done.returncode == 0, done.stdout
    assert (tmp_path / "out/nonce").read_bytes() == b"arrived"
    assert exit_code == 0


def test_a_build_that_takes_too_long_is_told_why_it_ends(
    start_door: StartDoor, new_builder: NewBuilder, busybox: Path, tmp_path: Path
) -> None:
    door = start_door(drain={"timeout": "1s"})
    command, line = step(1_000_000)

    with new_builder(door).building(write_context(tmp_path / "context", busybox, line)) as running:
        wait_step(command, runs=True, timeout_s=30)
        door.child.signal(signal.SIGTERM)
        done = running.finish()
        exit_code = door.child.wait(20)

    wait_step(command, runs=False, timeout_s=5)
    assert f"[KG-{Reason.DRAIN_DEADLINE.number}] " in done.stdout
    assert (done.returncode, exit_code) == (1, 1)


def test_a_second_signal_ends_builds_at_once(
    start_door: StartDoor, new_builder: NewBuilder, busybox: Path, tmp_path: Path
) -> None:
    door = start_door()
    command, line = step(1_000_000)

    with new_builder(door).building(write_context(tmp_path / "context", busybox, line)) as running:
        wait_step(command, runs=True, timeout_s=30)
        door.child.signal(signal.SIGTERM)
        while door.is_ready():
            time.sleep(0.02)
        wait_step(command, runs=True, timeout_s=1)
        door.child.signal(signal.SIGTERM)
        done = running.finish()
        exit_code = door.child.wait(20)

    assert f"[KG-{Reason.DRAIN_DEADLINE.number}] " in done.stdout
    assert (done.returncode, exit_code) == (1, 1)
