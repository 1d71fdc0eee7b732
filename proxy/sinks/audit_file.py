"""The file behind the audit log: append whole lines, find the end again after a restart.

One process writes a file: a lock sees to that, for two writers would break the chain.
What is not a regular file (a pipe, /dev/stdout) is written to and never read back.
"""

import contextlib
import fcntl
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from proxy.sinks.chain import GENESIS, digest, read_link

# A record is far smaller: every text in it is cut.
TAIL_OCTETS = 1 << 20


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a file ends: number of the last record, hash of the last line.

    `is_torn`: that line is no whole record. `is_open`: it has no line end.
    """

    seq: int = 0
    head: str = GENESIS
    is_torn: bool = False
    is_open: bool = False


class AuditFile:
    """Lines, appended. All methods wait for the disk; call them from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self._is_regular = False
        self._whole_octets = 0
        self._is_cut = False

    def open(self) -> Tail:
        """Open or create the file, mode 0640, instead of the one that is open; return where it ends.

        Raises:
            OSError: it cannot be opened, or another process writes it (BlockingIOError).
        """
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY, 0o640)
        try:
            is_regular = stat.S_ISREG(os.fstat(fd).st_mode)
            if is_regular:
                _lock(fd)
            tail = read_tail(_last_octets(fd)) if is_regular else Tail()
        except BaseException:
            os.close(fd)
            raise
        self.close()
        self._fd, self._is_regular, self._is_cut = fd, is_regular, False
        return tail

    def is_moved(self) -> bool:
        """Say whether the path leads to another file by now, or to none: the log was rotated."""
        if self._fd is None:
            return True
        ours = os.fstat(self._fd)
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return True
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def append(self, lines: bytes) -> None:
        """Write all of `lines` or none, and wait until the disk has them.

        Raises:
            OSError: they are not written. The same lines may be tried again.
        """
        if self._fd is None:
            raise OSError("the audit log is not open")
        self._mend()
        self._whole_octets = os.fstat(self._fd).st_size
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
                self._is_cut = self._is_regular
            if self._is_regular:
                os.fdatasync(self._fd)
            self._is_cut = False
        except OSError:
            with contextlib.suppress(OSError):
                self._mend()
            raise

    def close(self) -> None:
        """Close the file; the lock goes with it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _mend(self) -> None:
        # A full disk can take half a batch. Half a line must not stay: the batch is written again as a whole.
        if self._is_cut and self._fd is not None:
            os.ftruncate(self._fd, self._whole_octets)
            self._is_cut = False


def read_tail(end: bytes) -> Tail:
    """Return where a file ends whose last octets are `end`."""
    *whole, rest = end.split(b"\n")
    lines = [*whole, rest] if rest else whole
    if not lines:
        return Tail()
    last = read_link(lines[-1])
    if last is not None:
        return Tail(last[0], digest(lines[-1]), is_open=bool(rest))
    seen = [link[0] for link in map(read_link, lines[:-1]) if link is not None]
    return Tail(seen[-1] if seen else 0, digest(lines[-1]), is_torn=True, is_open=bool(rest))


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as held:
        # Two writers would break each other's chain.
        raise BlockingIOError(held.errno, "another kilngate writes this audit log: give each its own file") from None


def _last_octets(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    return os.pread(fd, TAIL_OCTETS, max(0, size - TAIL_OCTETS))
