"""What the loop watches, with a real loop and a real pair of sockets."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from proxy.edge.watch import Poller, Watch

PATIENCE_S = 10.0


class Heard:
    """A watch whose callbacks are noted; the socket is always writable, and readable once `say` was called."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.readable = asyncio.Event()
        self.writable = asyncio.Event()
        self.poller = Poller(loop)
        self.watch = Watch(self.poller, self.ours.fileno(), self.readable.set, self.writable.set)

    def close(self) -> None:
        self.watch.stop()
        self.poller.close()
        self.ours.close()
        self.theirs.close()


def with_watch(story: Callable[[Heard], Awaitable[None]]) -> None:
    async def whole() -> None:
        heard = Heard(asyncio.get_running_loop())
        try:
            await story(heard)
        finally:
            heard.close()

    asyncio.run(asyncio.wait_for(whole(), PATIENCE_S))


async def turns(number: int = 3) -> None:
    """Let the loop look at its sockets."""
    for _ in range(number):
        await asyncio.sleep(0)


def test_nothing_is_watched_until_it_is_wanted() -> None:
    async def story(heard: Heard) -> None:
        heard.theirs.send(b"x")
        await turns()

        assert not heard.readable.is_set()
        assert not heard.writable.is_set()
        assert (heard.watch.is_reading, heard.watch.is_writing) == (False, False)

    with_watch(story)


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_wanted_is_called_back_until_it_is_no_more(times: int) -> None:
    async def story(heard: Heard) -> None:
        for _ in range(times):
            heard.watch.read(True)
            heard.watch.write(True)
        heard.theirs.send(b"x")
        await heard.readable.wait()
        await heard.writable.wait()
        for _ in range(times):
            heard.watch.read(False)
            heard.watch.write(False)
        heard.readable.clear()
        heard.writable.clear()
        await turns()

        assert not heard.readable.is_set()
        assert not heard.writable.is_set()

    with_watch(story)


def test_a_watch_that_stopped_can_begin_again() -> None:
    async def story(heard: Heard) -> None:
        heard.watch.read(True)
        heard.watch.write(True)
        heard.watch.stop()
        stopped = (heard.watch.is_reading, heard.watch.is_writing)
        heard.watch.read(True)
        heard.theirs.send(b"x")
        await heard.readable.wait()

        assert stopped == (False, False)
        assert not heard.writable.is_set()

    with_watch(story)
