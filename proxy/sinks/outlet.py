"""Lines to a file descriptor, without ever waiting for whoever reads it.

Whoever reads standard error may be slow, stopped or gone. Then lines are not taken; the
event loop never stands still for them.
"""

import contextlib
import os
import select
import socket
import stat

# What a pipe that can be written to at all takes without blocking: PIPE_BUF of Linux, see pipe(7).
CHUNK_OCTETS = 4096


class Outlet:
    """Writes whole lines to `fd`."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = None
        self._socket: socket.socket | None = None
        self._poll = select.poll()
        self._rest = b""
        with contextlib.suppress(OSError):  # closed from the start: no line is ever taken
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                self._socket = socket.socket(fileno=os.dup(fd))
            else:
                self._fd = _own(fd)
                self._poll.register(self._fd, select.POLLOUT)

    def put(self, line: bytes) -> bool:
        """Write `line`, which ends with a line end; say whether it was taken.

        A line that is taken in part is taken: its rest goes before the next one.
        """
        if not self._drain():
            return False
        self._rest = line
        self._drain()
        if self._rest is not line:
            return True
        self._rest = b""
        return False

    def close(self) -> None:
        """Give the descriptor back; later lines are not taken."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _drain(self) -> bool:
        """Write what is left of the last line; say whether nothing is left."""
        try:
            while self._rest:
                self._rest = self._rest[self._write(self._rest) :]
        except BlockingIOError:
            return False
        except OSError:  # the reader is gone, and the rest of its line with it
            return False
        return True

    def _write(self, octets: bytes) -> int:
        if self._socket is not None:
            return self._socket.send(octets, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        if self._fd is None:
            raise OSError("closed")
        if not self._poll.poll(0):
            raise BlockingIOError
        return os.write(self._fd, octets[:CHUNK_OCTETS])


def _own(fd: int) -> int:
    """Return a descriptor of our own, non-blocking where that can be had without changing `fd` for others.

    A regular file must share its offset with `fd`: opened anew, it would be written over
    from its beginning. And in a container a pipe may belong to somebody else.
    """
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{fd}", flags)
    return os.dup(fd)
