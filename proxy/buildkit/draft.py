"""A message that may be changed before the daemon gets it.

What is not changed keeps its octets and its place, unknown fields too: a client's
request is edited, never made anew.

Source: protobuf.dev, "Encoding".
"""

from collections.abc import Iterable, Mapping, Sequence

from proxy.buildkit.wire import BYTES, VARINT, Message, Shapes, Value, WireError, read_field


class UnknownField(WireError):
    """A field that this version of kilngate does not know; what it asks for cannot be judged."""

    def __init__(self, number: int) -> None:
        super().__init__(f"field {number} is unknown")
        self.number = number


class Draft(Message):
    """A message of which every field of `shapes` can be read (as of `Message`) and changed."""

    __slots__ = ("_changed", "_octets")

    def __init__(self, octets: bytes | memoryview, shapes: Shapes, *, takes_unknown: bool = False) -> None:
        """Read `octets`; with `takes_unknown` a field that is not in `shapes` passes unread.

        Raises:
            UnknownField: such a field, without `takes_unknown`.
            WireError: as `Message`.
        """
        super().__init__(octets, shapes)
        self._octets = octets
        self._changed: set[int] = set()
        if not takes_unknown and self.unknown:
            raise UnknownField(min(self.unknown))

    @property
    def is_changed(self) -> bool:
        """Whether `encode` differs from what was read."""
        return bool(self._changed)

    def set_text(self, number: int, text: str) -> None:
        """Make a TEXT say `text`; empty is not sent."""
        self.set_texts(number, [text] if text else [])

    def set_texts(self, number: int, texts: Iterable[str]) -> None:
        """Make TEXTS say `texts`."""
        self._set(number, [memoryview(text.encode()) for text in texts])

    def set_flag(self, number: int, is_set: bool) -> None:
        """Make a FLAG true or false; false is not sent."""
        self._set(number, [1] if is_set else [])

    def set_messages(self, number: int, messages: Iterable[bytes | memoryview]) -> None:
        """Make a MESSAGE (one or none) or MESSAGES say `messages`."""
        self._set(number, [memoryview(one) for one in messages])

    def set_pairs(self, number: int, pairs: Mapping[str, str]) -> None:
        """Make a `map<string, string>` say `pairs`."""
        self.set_messages(number, [encode_pair(key, value) for key, value in pairs.items()])

    def encode(self) -> bytes:
        """Return the message with what was changed; a changed field stands where its first one stood, else last."""
        if not self._changed:
            return bytes(self._octets)
        view, position = memoryview(self._octets), 0
        said = bytearray()
        left = set(self._changed)
        while position < len(view):
            start = position
            number, _, _, position = read_field(view, start)
            if number not in self._changed:
                said += view[start:position]
            elif number in left:
                left.discard(number)
                said += self._encoded(number)
        for number in sorted(left):
            said += self._encoded(number)
        return bytes(said)

    def _set(self, number: int, values: Sequence[Value]) -> None:
        if list(values) != self._values.get(number, []):
            self._values[number] = list(values)
            self._changed.add(number)

    def _encoded(self, number: int) -> bytes:
        return b"".join(
            encode_number(number, value) if isinstance(value, int) else encode_octets(number, value)
            for value in self._values[number]
        )


def encode_number(number: int, value: int) -> bytes:
    """Return the field `number` with a varint."""
    return _varint(number << 3 | VARINT) + _varint(value)


def encode_octets(number: int, octets: bytes | memoryview) -> bytes:
    """Return the field `number` with a text, octets or a message."""
    return _varint(number << 3 | BYTES) + _varint(len(octets)) + bytes(octets)


def encode_pair(key: str, value: str) -> bytes:
    """Return an entry of a `map<string, string>`."""
    return encode_octets(1, key.encode()) + encode_octets(2, value.encode())


def _varint(value: int) -> bytes:
    said = bytearray()
    while value >= 0x80:
        said.append(value & 0x7F | 0x80)
        value >>= 7
    said.append(value)
    return bytes(said)
