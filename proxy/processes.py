"""Processes, ended by their ids only, and together with all they started.

A process may be gone and its id given to another by the time we signal it, so an id
is remembered with the time at which its process started.

Source: proc(5), prctl(2), setsid(2).
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple


class ProcessId(NamedTuple):
    """A process, told from a later one with the same number by its start (clock ticks since boot)."""

    number: int
    start_ticks: int


class _Stat(NamedTuple):
    """What /proc tells of a process."""

    process: ProcessId
    parent: int
    session: int


@cache
def end_with_parent(number: signal.Signals) -> tuple[str, ...]:
    """Return the words before a command that have the kernel signal it when its parent dies; none where not known.

    The parent is the thread that starts it: start children from the main thread (prctl(2), PR_SET_PDEATHSIG).
    """
    program = shutil.which("setpriv")
    if program is None:
        return ()
    words = (program, "--pdeathsig", number.name.removeprefix("SIG"))
    done = subprocess.run([*words, "true"], stderr=subprocess.DEVNULL, check=False)
    return words if done.returncode == 0 else ()


def stop_process(process: ProcessId, timeout_s: float) -> None:
    """Ask a process that is not our own child to end, then make it and its descendants end; waits."""
    family = [*descendants(process.number), process]
    send(process, signal.SIGTERM)
    wait_gone([process], timeout_s)
    end(family)


def descendants(pid: int) -> list[ProcessId]:
    """Return all processes beneath `pid`, parents first."""
    children: dict[int, list[ProcessId]] = {}
    for found in _all():
        children.setdefault(found.parent, []).append(found.process)
    found_all: list[ProcessId] = []
    wanted = [pid]
    while wanted:
        below = children.get(wanted.pop(), [])
        found_all += below
        wanted += [process.number for process in below]
    return found_all


def left_behind(leader: ProcessId) -> list[ProcessId]:
    """Return the other processes of the session that `leader` began, even if it is gone; none once its id is reused."""
    if identify(leader.number) not in (None, leader):
        return []
    return [found.process for found in _all() if found.session == leader.number and found.process != leader]


def identify(pid: int) -> ProcessId | None:
    """Return the process that has this id now, None if there is none or it is dead and not yet reaped."""
    found = _read_stat(pid)
    return found.process if found else None


def end(processes: Sequence[ProcessId]) -> None:
    """Kill those that still run, and wait until the kernel has ended them."""
    for process in processes:
        send(process, signal.SIGKILL)
    wait_gone(processes, 5.0)


def wait_gone(processes: Sequence[ProcessId], timeout_s: float) -> None:
    """Wait until none of them runs, or the time is over."""
    deadline = time.monotonic() + timeout_s
    while any(identify(process.number) == process for process in processes) and time.monotonic() < deadline:
        time.sleep(0.01)


def send(process: ProcessId, number: signal.Signals) -> None:
    """Signal a process, unless it is gone or its id belongs to another by now."""
    if identify(process.number) == process:
        try:
            os.kill(process.number, number)
        except ProcessLookupError:
            return


def _all() -> Iterator[_Stat]:
    for entry in Path("/proc").glob("[0-9]*"):
        if found := _read_stat(int(entry.name)):
            yield found


def _read_stat(pid: int) -> _Stat | None:
    """Read fields 3 (state), 4 (parent), 6 (session) and 22 (start) of /proc/pid/stat."""
    try:
        # The second field, the name, may hold spaces and brackets: count from its end.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in "ZX":
        return None
    return _Stat(ProcessId(pid, int(fields[19])), parent=int(fields[1]), session=int(fields[3]))
