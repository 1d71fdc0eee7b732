"""Octets that wait for a window: of a request that was read first, of an answer that is not the daemon's own.

Source: RFC 9113 section 5.2.
"""

from collections import deque
from collections.abc import Iterator

from proxy.http2 import frames
from proxy.http2.credit import Window
from proxy.http2.frames import DEFAULT_MAX_FRAME_OCTETS


class Backlog:
    """One direction of one stream: what waits, oldest first."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()

    def __bool__(self) -> bool:
        return bool(self._pieces)

    @property
    def octets(self) -> int:
        """How much waits."""
        return sum(map(len, self._pieces))

    @property
    def pieces(self) -> tuple[memoryview, ...]:
        """What waits, in order."""
        return tuple(self._pieces)

    def append(self, octets: bytes) -> None:
        """Let `octets` wait; they must not change any more."""
        if octets:
            self._pieces.append(memoryview(octets))

    def clear(self) -> None:
        """Forget all."""
        self._pieces.clear()

    def send_on(self, number: int, window: Window, whole: Window, *, is_last: bool) -> Iterator[bytes]:
        """Yield DATA frames of stream `number` as far as its window and the connection's (`whole`) reach.

        The frame that leaves nothing ends the stream if `is_last`.
        """
        while self._pieces:
            piece = self._pieces[0]
            room = min(len(piece), whole.takes, window.takes, DEFAULT_MAX_FRAME_OCTETS)
            if room <= 0:
                return
            if room < len(piece):
                self._pieces[0] = piece[room:]
            else:
                self._pieces.popleft()
            whole.release(room)
            window.release(room)
            yield frames.data(number, bytes(piece[:room]), end_stream=is_last and not self._pieces)
