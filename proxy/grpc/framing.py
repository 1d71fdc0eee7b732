"""Messages within DATA: a flag, four octets of length, the message.

Source: PROTOCOL-HTTP2.md, "Length-Prefixed-Message".
"""

import struct

from proxy.errors import Refused
from proxy.reasons import Reason

_PREFIX = struct.Struct(">BI")
PREFIX_OCTETS = _PREFIX.size


def frame(message: bytes) -> bytes:
    """Return `message` with its prefix, not compressed."""
    return _PREFIX.pack(0, len(message)) + message


class MessageReader:
    """Cuts octets into messages, however the octets are cut.

    `messages` holds those that are complete, oldest first, without prefix; the owner
    takes them out. No message longer than `limit_octets` is held (0: no limit), and
    the length is judged before the message arrives. `method` is for the sentence of a
    refusal. After a refusal the reader must not be fed again.
    """

    __slots__ = ("_held", "_limit_octets", "_method", "_needed_octets", "messages")

    def __init__(self, limit_octets: int, *, method: str = "this method") -> None:
        self._limit_octets = limit_octets
        self._method = method
        self._held = bytearray()
        self._needed_octets = PREFIX_OCTETS
        self.messages: list[bytes] = []

    @property
    def held_octets(self) -> int:
        """Octets of an unfinished message, its prefix included."""
        return len(self._held)

    @property
    def needed_octets(self) -> int:
        """How many octets the unfinished message has in all, its prefix included, as far as is known."""
        return self._needed_octets

    def feed(self, octets: bytes | memoryview) -> None:
        """Take the next octets of the stream.

        Raises:
            Refused: MESSAGE_COMPRESSED, MESSAGE_TOO_LARGE, or REQUEST_MALFORMED for
                a flag that is neither 0 nor 1.
        """
        self._held += octets
        if len(self._held) >= self._needed_octets:
            self._cut()

    def finish(self) -> None:
        """Note the end of the stream.

        Raises:
            Refused: REQUEST_MALFORMED, the last message is not complete.
        """
        if self._held:
            raise Refused(Reason.REQUEST_MALFORMED, why="it ends in the middle of a message")

    def _cut(self) -> None:
        """Move every complete message out of `_held`."""
        start = 0
        with memoryview(self._held) as view:
            while len(view) - start >= PREFIX_OCTETS:
                end = start + PREFIX_OCTETS + self._length(view, start)
                if end > len(view):
                    break
                self.messages.append(bytes(view[start + PREFIX_OCTETS : end]))
                start = end
        del self._held[:start]
        self._needed_octets = self._next_need()

    def _next_need(self) -> int:
        """Return how many octets must be held before cutting makes sense again."""
        if len(self._held) < PREFIX_OCTETS:
            return PREFIX_OCTETS
        return PREFIX_OCTETS + self._length(self._held, 0)

    def _length(self, octets: bytearray | memoryview, start: int) -> int:
        flag, length = _PREFIX.unpack_from(octets, start)
        if flag == 1:
            raise Refused(Reason.MESSAGE_COMPRESSED, method=self._method)
        if flag:
            raise Refused(Reason.REQUEST_MALFORMED, why="a message has an unknown flag")
        if self._limit_octets and length > self._limit_octets:
            raise Refused(Reason.MESSAGE_TOO_LARGE, value=length, limit=self._limit_octets)
        return int(length)
