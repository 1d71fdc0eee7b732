"""A process that we started: what it costs while it lives, and its end."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

PAGE_OCTETS = os.sysconf("SC_PAGE_SIZE")
SECOND_NS = 1_000_000_000


class Child:
    """A server process with whatever it forks; its output goes to `log`.

    Raises:
        OSError: the program is not there.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        cpus: frozenset[int] = frozenset(),
    ) -> None:
        self.log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=None if environment is None else {**os.environ, **environment},
            )
        self.pin(cpus)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def pin(self, cpus: frozenset[int]) -> None:
        """Keep the process, and what it forks later, on `cpus`; empty leaves it where it is."""
        if cpus:
            os.sched_setaffinity(self.pid, cpus)

    def cpu_seconds(self) -> float:
        """Return the CPU time of all living threads of the tree; exact to the scheduler's nanoseconds."""
        return sum(_thread_ns(thread) for pid in self._tree() for thread in _threads(pid)) / SECOND_NS

    def rss_octets(self) -> int:
        """Return the resident memory of the largest process of the tree: the one that does the work."""
        return max((_rss_octets(pid) for pid in self._tree()), default=0)

    def stop(self, *, patience_s: float = 5.0) -> None:
        """End the process: asked first, then killed."""
        if not self.is_alive:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            for pid in list(self._tree()):
                os.kill(pid, signal.SIGKILL)
            self._process.wait()

    def said(self) -> str:
        """Return the beginning of the log: a program that does not start says why first."""
        return self.log.read_text(errors="replace")[:300]

    def _tree(self) -> Iterator[int]:
        waiting = [self.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            for thread in _threads(pid):
                waiting += map(int, _read(thread / "children").split())


def wait_for(condition: Callable[[], bool], *, within_s: float) -> bool:
    """Return whether `condition()` came true in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def _threads(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _thread_ns(thread: Path) -> int:
    words = _read(thread / "schedstat").split()
    return int(words[0]) if words else 0


def _rss_octets(pid: int) -> int:
    words = _read(Path(f"/proc/{pid}/statm")).split()
    return int(words[1]) * PAGE_OCTETS if words else 0


def _read(path: Path) -> str:
    """A thread may end while we look at it."""
    try:
        return path.read_text()
    except OSError:
        return ""
