"""What a caller has no room for yet of an answer.

An answer of ours takes room in the caller's connection that the daemon counts on. So
two things may have to wait for credit of the caller: the answer of ours, if there is
no room at all, and the last octets of the daemon, if ours were there first.
"""

from typing import Final

from proxy.http2 import frames
from proxy.http2.credit import Window
from proxy.http2.frames import DEFAULT_MAX_FRAME_OCTETS, Buffer, ErrorCode, ProtocolFault
from proxy.http2.stream import Stream

# So much room that the daemon counts on may be taken from it, and so much of what it says kept, at most. A caller gives
# credit long before: when half of its window is used up.
MAX_TAKEN_OCTETS: Final = 64 << 20


class Rests:
    """The rests of all answers of one connection, in the order in which they began to wait.

    `out` is what is said to the caller now.
    """

    __slots__ = ("_down", "is_paused", "waiting")

    def __init__(self, down: Window) -> None:
        self.waiting: dict[int, Stream] = {}
        # A window that the caller announced counts for us when we have acknowledged it (RFC 9113 6.5.3).
        self.is_paused = False
        self._down = down

    def must_wait(self, stream: Stream, octets: int) -> bool:
        """Whether DATA of the daemon has no room, or octets before it had none.

        Raises:
            ProtocolFault: FLOW_CONTROL_ERROR, it has none because the daemon sends more than it may.
        """
        if not stream.rest and self._down.takes >= octets:
            return False
        if octets > self._down.may:
            raise ProtocolFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the caller's window takes")
        return True

    def keep(self, stream: Stream, octets: memoryview, out: list[Buffer], *, padding_octets: int) -> None:
        """Keep octets of the daemon, and send what there is room for."""
        for window in (self._down, stream.down):
            window.keep(len(octets))
            window.drop(padding_octets)
        self._wait(stream, bytes(octets), out)

    def say(self, stream: Stream, octets: bytes, out: list[Buffer]) -> None:
        """Send octets of ours as far as there is room; the rest waits."""
        for window in (self._down, stream.down):
            window.queue(len(octets))
        self._wait(stream, octets, out)

    def send(self, stream: Stream, out: list[Buffer]) -> None:
        """Send what waits of an answer, as far as the caller's windows reach."""
        while stream.rest and (room := self._room(stream)) > 0:
            piece = stream.rest.pop(0)
            if room < len(piece):
                stream.rest.insert(0, piece[room:])
            out.append(frames.data(stream.number, piece[:room]))
            self._down.release(room)
            stream.down.release(room)
        if not stream.rest:
            self.waiting.pop(stream.number, None)
        stream.settle_answer()

    def drop(self, stream: Stream) -> None:
        """Forget what waits of an answer."""
        self._down.discard(sum(map(len, stream.rest)))
        stream.rest.clear()
        self.waiting.pop(stream.number, None)

    def _wait(self, stream: Stream, octets: bytes, out: list[Buffer]) -> None:
        if octets:
            stream.rest.append(octets)
            self.waiting[stream.number] = stream
        self.send(stream, out)

    def _room(self, stream: Stream) -> int:
        if self.is_paused:
            return 0
        room = min(len(stream.rest[0]), self._down.takes, stream.down.takes, DEFAULT_MAX_FRAME_OCTETS)
        return min(room, self._down.gap + MAX_TAKEN_OCTETS) if stream.is_ours else room
