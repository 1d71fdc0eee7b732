"""Processes that the lab starts end with all they started, and only they."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.lab.child import Child, ChildFailed
from proxy.lab.program import SOURCE
from proxy.processes import descendants, end_with_parent, identify, wait_gone

SHELL_WITH_GRANDCHILD = ["sh", "-c", "sleep 60 & sleep 60 & echo started; wait"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal,time; signal.signal(15, signal.SIG_IGN); print('started', flush=True); time.sleep(60)",
]


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Child]:
    child = Child(SHELL_WITH_GRANDCHILD, tmp_path / "log")
    child.wait_ready(lambda: "started" in child.log.read_text() and len(descendants(child.pid)) == 2, 10)
    yield child
    child.kill()


def test_stop_ends_the_descendants_too(family: Child) -> None:
    below = descendants(family.pid)

    family.stop()

    assert [identify(process.number) for process in below] == [None, None]
    assert family.exit_code == -15


def test_kill_ends_the_descendants_too(family: Child) -> None:
    below = descendants(family.pid)

    family.kill()

    assert [identify(process.number) for process in below] == [None, None]
    assert family.exit_code == -9


def test_a_process_that_ignores_the_request_is_made_to_end(tmp_path: Path) -> None:
    child = Child(STUBBORN, tmp_path / "log")
    child.wait_ready(lambda: "started" in child.log.read_text(), 10)

    assert child.stop(timeout_s=0.1) == -9


def test_a_child_that_ends_early_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = Child(["sh", "-c", "echo no such flag >&2; exit 3"], tmp_path / "log")

    with pytest.raises(ChildFailed, match=r"(?s)exit code 3.*no such flag"):
        child.wait_ready(lambda: False, 10)


def test_a_child_that_is_never_ready_is_told(tmp_path: Path) -> None:
    child = Child(["sleep", "60"], tmp_path / "log")

    with pytest.raises(ChildFailed, match="not ready"):
        child.wait_ready(lambda: False, 0.05)
    child.kill()


@pytest.mark.skipif(not end_with_parent(signal.SIGTERM), reason="this system has no setpriv that knows --pdeathsig")
def test_a_child_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import os; from pathlib import Path; from proxy.lab.child import Child;"
        "child = Child(['sh', '-c', 'echo up; exec sleep 60'], Path('log'));"
        # Until it says so, it has not yet asked the kernel to be told of its parent's end.
        "child.wait_ready(lambda: 'up' in Path('log').read_text(), 20);"
        "print(child.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    parent = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}

    done = subprocess.run(parent, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    orphan = identify(int(done.stdout))

    wait_gone([orphan] if orphan else [], 10)
    assert done.returncode == -9
    assert not runs(int(done.stdout))


def runs(pid: int) -> bool:
    """Say whether a process runs. One that ended may stay as a zombie, if nobody reaps orphans here."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False
