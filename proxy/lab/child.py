"""Processes that we start, and end together with all they started.

Processes are ended by their ids only. A process may be gone and its id given to
another by the time we signal it, so an id is remembered with the time at which
its process started.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple


class ChildFailed(Exception):
    """A process that we started ended, or was not ready in time; the text has the end of its log."""


class ProcessId(NamedTuple):
    """A process, told from a later one with the same number by its start (clock ticks since boot)."""

    number: int
    start_ticks: int


class Child:
    """A process of ours with its log in a file.

    It leads a session of its own, so that a Ctrl-C at our terminal reaches us alone
    and we decide in which order things end. If we die without a chance to decide, it
    is asked to end, where the system can do that.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*end_with_parent(), *command],
                env=None if environment is None else dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.exit_code is None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        """Wait until it ended and return its exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        return self._process.wait(timeout_s)

    def wait_ready(self, is_ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `is_ready` says so.

        Raises:
            ChildFailed: it ended first, or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            if self.exit_code is not None:
                raise ChildFailed(f"ended with exit code {self.exit_code}:\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise ChildFailed(f"not ready after {timeout_s:.0f} s:\n{tail(self.log)}")
            time.sleep(0.02)

    def stop(self, timeout_s: float = 15.0) -> int:
        """Ask it to end, then make it and its descendants end; return its exit code."""
        family = descendants(self.pid)
        self.signal(signal.SIGTERM)
        try:
            self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return self.kill()
        end(family)
        return self._process.returncode

    def kill(self) -> int:
        """End it and its descendants at once, as a crash would; return its exit code."""
        family = descendants(self.pid)
        self.signal(signal.SIGKILL)
        end(family)
        return self.wait(15.0)


@cache
def end_with_parent() -> tuple[str, ...]:
    """Return the words before a command that have the kernel end it with its parent; none where they are not known.

    The parent is the thread that starts it: start children from the main thread (prctl(2), PR_SET_PDEATHSIG).
    """
    words = ("setpriv", "--pdeathsig", "TERM")
    try:
        done = subprocess.run([*words, "true"], stderr=subprocess.DEVNULL, check=False)
    except OSError:
        return ()
    return words if done.returncode == 0 else ()


def stop_process(process: ProcessId, timeout_s: float) -> None:
    """End a process that is not our own child, such as one left over by a run that was cut short."""
    family = [*descendants(process.number), process]
    send(process, signal.SIGTERM)
    wait_gone([process], timeout_s)
    end(family)


def descendants(pid: int) -> list[ProcessId]:
    """Return all processes beneath `pid`, parents first."""
    children: dict[int, list[ProcessId]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        if found := read_stat(int(entry.name)):
            children.setdefault(found[1], []).append(found[0])
    found_all: list[ProcessId] = []
    wanted = [pid]
    while wanted:
        below = children.get(wanted.pop(), [])
        found_all += below
        wanted += [process.number for process in below]
    return found_all


def identify(pid: int) -> ProcessId | None:
    """Return the process that has this id now, None if there is none or it is dead and not yet reaped."""
    found = read_stat(pid)
    return found[0] if found else None


def read_stat(pid: int) -> tuple[ProcessId, int] | None:
    """Return the process and its parent's id. Source: proc(5), /proc/pid/stat fields 3, 4 and 22."""
    try:
        # The second field, the name, may hold spaces and brackets: count from its end.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else (ProcessId(pid, int(fields[19])), int(fields[1]))


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


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
