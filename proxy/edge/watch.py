"""What is watched for sockets of the public port: one epoll of our own, which the loop watches in turn.

A loop's own way to a callback (its selector, a handle, a context for each event) costs more than
most of what a connection has to do then. Here an event is a look-up and a call, and a busy port
goes round several times before the loop has its turn.

Source: epoll(7), level-triggered: what is not done yet is told again.
"""

import asyncio
import select
from collections.abc import Callable
from typing import Final

_READ: Final = select.EPOLLIN | select.EPOLLPRI
_WRITE: Final = select.EPOLLOUT
# Timers, signals and the operator's port wait at most for so many rounds over the sockets that are ready.
_ROUNDS_A_TURN: Final = 8
_EVENTS_A_ROUND: Final = 256


class Poller:
    """All sockets that are watched; `loop` calls when one of them has something."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.watches: dict[int, Watch] = {}
        self.epoll = select.epoll()
        self._loop = loop
        loop.add_reader(self.epoll.fileno(), self._turn)

    def close(self) -> None:
        """Watch nothing any more."""
        self._loop.remove_reader(self.epoll.fileno())
        self.epoll.close()

    def _turn(self) -> None:
        poll, watches = self.epoll.poll, self.watches
        for _ in range(_ROUNDS_A_TURN):
            ready = poll(0, _EVENTS_A_ROUND)
            if not ready:
                return
            for fd, events in ready:
                # A callback may have stopped the watch of a later event of this round.
                watch = watches.get(fd)
                if watch is None:
                    continue
                # An error or a hang-up is told to whoever watches: the next call on the socket says what it is.
                if events & ~_WRITE and watch.is_reading:
                    watch.on_readable()
                if events & ~_READ and watch.is_writing:
                    watch.on_writable()


class Watch:
    """Reading and writing interest in one descriptor, told to the kernel only when it changes."""

    __slots__ = ("_fd", "_poller", "is_reading", "is_writing", "on_readable", "on_writable")

    def __init__(
        self, poller: Poller, fd: int, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        self._poller = poller
        self._fd = fd
        self.on_readable = on_readable
        self.on_writable = on_writable
        self.is_reading = False
        self.is_writing = False

    def read(self, wanted: bool) -> None:
        """Call back when there is something to read, or do not."""
        if wanted is not self.is_reading:
            self._change(wanted, self.is_writing)

    def write(self, wanted: bool) -> None:
        """Call back when the socket takes octets again, or do not."""
        if wanted is not self.is_writing:
            self._change(self.is_reading, wanted)

    def stop(self) -> None:
        """Watch nothing any more."""
        if self.is_reading or self.is_writing:
            self._change(False, False)

    def _change(self, reading: bool, writing: bool) -> None:
        poller, was_watched = self._poller, self.is_reading or self.is_writing
        self.is_reading, self.is_writing = reading, writing
        events = (_READ if reading else 0) | (_WRITE if writing else 0)
        if not events:
            # The kernel tells a hang-up even to those who asked for nothing, again and again.
            del poller.watches[self._fd]
            poller.epoll.unregister(self._fd)
        elif was_watched:
            poller.epoll.modify(self._fd, events)
        else:
            poller.watches[self._fd] = self
            poller.epoll.register(self._fd, events)
