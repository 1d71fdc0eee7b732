"""A newcomer types `make demo` on a fresh machine, and sees all of it in one screenful.

The images are built, the stranger is refused, the metrics are shown, and nothing is left
running. Until Ctrl-C the commands that the demo tells work as they are printed.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.lab.child import Child
from proxy.lab.engine import Engine
from tests.conftest import CACHE


@pytest.fixture
def state(tmp_path: Path) -> Path:
    # What the tests have fetched already serves the demo too.
    CACHE.mkdir(parents=True, exist_ok=True)
    (tmp_path / "state").mkdir()
    (tmp_path / "state/cache").symlink_to(CACHE)
    return tmp_path / "state"


def test_once_builds_refuses_shows_and_leaves_nothing_behind(state: Path, engine: Engine) -> None:
    command = [sys.executable, "-m", "proxy", "demo", "--once", f"--state={state}"]

    done = subprocess.run(
        command,
        env={**os.environ, "KILNGATE_BUILDKIT": engine.url},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert 'kilngate_builds_total{result="success",tenant="payments"} 1.0' in done.stdout
    assert 'kilngate_builds_total{result="success",tenant="platform"} 1.0' in done.stdout
    assert "Unauthenticated: [KG-101]" in done.stdout
    assert still_running(state) == []


def test_the_commands_to_try_next_work_until_ctrl_c(state: Path, engine: Engine) -> None:
    command = [sys.executable, "-m", "proxy", "demo", f"--state={state}"]
    log = state / "demo.log"
    demo = Child(command, log, environment={**os.environ, "KILNGATE_BUILDKIT": engine.url})
    try:
        demo.wait_ready(lambda: "Settings: " in log.read_text(), 100)
        _, *told = [line.strip() for line in log.read_text().partition("in another terminal:")[2].splitlines()]
        commands = [line for line in told if line and not line.startswith(("Settings:", "Log:"))]
        ends = {tried: run(f"{commands[0]}\n{tried}") for tried in commands[1:]}
    finally:
        demo.signal(signal.SIGINT)
        exit_code = demo.wait(20)

    refused = [tried for tried, done in ends.items() if done.returncode]
    assert len(ends) == 6
    assert [tried.split()[4] for tried in refused] == ["kilngate-stranger"], ends
    assert exit_code == 0
    assert still_running(state) == []


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run lines as somebody would who pastes them into a shell."""
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)


def still_running(state: Path) -> list[Path]:
    """Return the processes with the state directory in their command line."""
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(state).encode() in read(path)]


def read(path: Path) -> bytes:
    """Return the octets of a file of /proc, none if its process is gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
