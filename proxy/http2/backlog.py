"""Octets that wait for a window: of a request that was read first, of an answer that is not the daemon's own.

Source: RFC 9113 section 5.2.
"""

from collections import deque
from collections.abc import Iterator

from proxy.http2 import frames
from proxy.http2.credit import Window
from proxy.http2.frames import DEFAULT_MAX_FRAME_OCTETS

# What waits in one direction of one stream, oldest first; no piece is empty.
Backlog = deque[memoryview]


def octets_in(backlog: Backlog) -> int:
    """Return how much waits."""
    return sum(map(len, backlog))


def wait(backlog: Backlog, octets: bytes) -> None:
    """Let `octets` wait; they must not change any more."""
    if octets:
        backlog.append(memoryview(octets))


def send_on(backlog: Backlog, number: int, window: Window, whole: Window, *, is_last: bool) -> Iterator[bytes]:
    """Yield DATA frames of stream `number` as far as its window and the connection's (`whole`) reach.

    The frame that leaves nothing ends the stream if `is_last`.
    """
    while backlog:
        piece = backlog[0]
        room = min(len(piece), whole.takes, window.takes, DEFAULT_MAX_FRAME_OCTETS)
        if room <= 0:
            return
        if room < len(piece):
            backlog[0] = piece[room:]
        else:
            backlog.popleft()
        whole.release(room)
        window.release(room)
        yield frames.data(number, bytes(piece[:room]), end_stream=is_last and not backlog)
