"""What the loop watches for one socket: changed only when it changes."""

import asyncio
from collections.abc import Callable


class Watch:
    """Reading and writing interest in one descriptor."""

    __slots__ = ("_fd", "_loop", "_on_readable", "_on_writable", "is_reading", "is_writing")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        on_readable: Callable[[], None],
        on_writable: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._on_readable = on_readable
        self._on_writable = on_writable
        self.is_reading = False
        self.is_writing = False

    def read(self, wanted: bool) -> None:
        """Call back when there is something to read, or do not."""
        if wanted is not self.is_reading:
            self.is_reading = wanted
            if wanted:
                self._loop.add_reader(self._fd, self._on_readable)
            else:
                self._loop.remove_reader(self._fd)

    def write(self, wanted: bool) -> None:
        """Call back when the socket takes octets again, or do not."""
        if wanted is not self.is_writing:
            self.is_writing = wanted
            if wanted:
                self._loop.add_writer(self._fd, self._on_writable)
            else:
                self._loop.remove_writer(self._fd)

    def stop(self) -> None:
        """Watch nothing any more."""
        self.read(False)
        self.write(False)
