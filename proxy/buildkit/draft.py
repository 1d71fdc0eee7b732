"""A message that may be changed before the daemon gets it.

What is not changed keeps its octets and its place, unknown fields too: a client's
request is edited, never made anew. A field that was not there goes where its number
belongs, so what was in order stays so.

Source: protobuf.dev, "Encoding".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from proxy.buildkit.wire import BYTES, VARINT, Budget, Message, Shape, Shapes, Value, WireError, read_field

Octets = bytes | memoryview
_ENTRY: Shapes = {1: Shape.TEXT, 2: Shape.MESSAGE}
_ONE_OCTET = [bytes([value]) for value in range(0x80)]


class UnknownField(WireError):
    """A field that this version of kilngate does not know; what it asks for cannot be judged."""

    def __init__(self, number: int) -> None:
        super().__init__(f"field {number} is unknown")
        self.number = number


class Draft(Message):
    """A message of which every field of `shapes` can be read (as of `Message`) and changed."""

    __slots__ = ("_changed", "_octets", "_pairs", "takes_unknown")

    def __init__(
        self, octets: Octets, shapes: Shapes, budget: Budget | None = None, *, takes_unknown: bool = False
    ) -> None:
        """Read `octets`, as `Message`; with `takes_unknown` a field that is not in `shapes` passes unread.

        Raises:
            UnknownField: such a field, without `takes_unknown`.
            WireError: as `Message`.
        """
        super().__init__(octets, shapes, budget)
        self._octets = octets
        self._changed: dict[int, bool] = {}  # number -> whether it was sent
        self._pairs: dict[int, dict[str, str]] = {}
        self.takes_unknown = takes_unknown
        if not takes_unknown and self.unknown:
            raise UnknownField(min(self.unknown))

    @property
    def is_changed(self) -> bool:
        """Whether anything was set to what it was not."""
        return bool(self._changed)

    def inner(self, number: int, shapes: Shapes) -> list["Draft"]:
        """Read the MESSAGE, or all MESSAGES of a field, as strictly as this one.

        Raises:
            UnknownField, WireError: as the constructor.
        """
        tolerance = self.takes_unknown
        return [Draft(octets, shapes, self.budget, takes_unknown=tolerance) for octets in self.messages(number)]

    def edit(self, number: int, shapes: Shapes, change: Callable[["Draft"], None]) -> None:
        """Let `change` edit the MESSAGE, or each of the MESSAGES of a field.

        Raises:
            UnknownField, WireError: as the constructor.
        """
        if not self.has(number):
            return
        inner = self.inner(number, shapes)
        for one in inner:
            change(one)
        if any(one.is_changed for one in inner):
            self.set_messages(number, [one.encode() for one in inner])

    def pairs(self, number: int) -> dict[str, str]:
        """Return a `map<string, string>`, as `Message.pairs`; it is read once."""
        if number not in self._pairs:
            self._pairs[number] = super().pairs(number)
        return dict(self._pairs[number])

    def entries(self, number: int) -> Iterator["Draft"]:
        """Yield the entries of a `map<string, message>`, which travels as MESSAGES: 1 is the key, 2 the message.

        Raises:
            WireError: an entry cannot be read or has more than that, or a key is sent twice.
        """
        keys: set[str] = set()
        for octets in self.messages(number):
            entry = Draft(octets, _ENTRY, self.budget, takes_unknown=True)
            # As with pairs: some runtimes drop the whole of such an entry.
            if entry.unknown:
                raise WireError(f"field {number} has an entry with an unknown field")
            if entry.text(1) in keys:
                raise WireError(f"field {number} has a key twice")
            keys.add(entry.text(1))
            yield entry

    def set_text(self, number: int, text: str) -> None:
        """Make a TEXT say `text`; empty is not sent."""
        if text != self.text(number):
            self.set_texts(number, [text] if text else [])

    def set_texts(self, number: int, texts: Iterable[str]) -> None:
        """Make TEXTS say `texts`."""
        self._set(number, [memoryview(text.encode()) for text in texts])

    def set_flag(self, number: int, is_set: bool) -> None:
        """Make a FLAG true or false; false is not sent."""
        if is_set != self.flag(number):
            self._set(number, [1] if is_set else [])

    def set_messages(self, number: int, messages: Iterable[Octets]) -> None:
        """Make a MESSAGE (one or none) or MESSAGES say `messages`."""
        # A view that was read is passed on as it is: large messages are then known to be equal without a look.
        self._set(number, [one if isinstance(one, memoryview) else memoryview(one) for one in messages])

    def set_pairs(self, number: int, pairs: Mapping[str, str]) -> None:
        """Make a `map<string, string>` say `pairs`; a pair that was sent keeps its octets."""
        sent = self.pairs(number)
        if dict(pairs) == sent:
            return
        octets = dict(zip(sent, self.messages(number), strict=True))
        self.set_messages(
            number,
            [octets[key] if sent.get(key) == value else encode_pair(key, value) for key, value in pairs.items()],
        )

    def encode(self) -> bytes:
        """Return the message with what was changed, else the octets that were read.

        A changed field stands where its first one stood, a new one before the first that has a greater number.
        """
        return b"".join(self._pieces()) if self._changed else bytes(self._octets)

    def _set(self, number: int, values: Sequence[Value]) -> None:
        sent = self._values.get(number, [])
        if list(values) != sent:
            self._changed.setdefault(number, bool(sent))
            self._pairs.pop(number, None)
            self._values[number] = list(values)

    def _pieces(self) -> list[Octets]:
        """Return what is kept, in the longest runs that there are, and what is said anew."""
        view = memoryview(self._octets)
        changed, pieces = self._changed, list[Octets]()
        left = sorted(changed)
        new = [number for number in left if not changed[number]]
        kept_from, position, end = 0, 0, len(view)
        while position < end:
            start = position
            number, _, _, position = read_field(view, start)
            is_changed = number in changed
            if not is_changed and not (new and new[0] < number):
                continue
            pieces.append(view[kept_from:start])
            kept_from = position if is_changed else start
            while new and new[0] < number:
                left.remove(new[0])
                pieces += self._encoded(new.pop(0))
            if number in left:
                left.remove(number)
                pieces += self._encoded(number)
        pieces.append(view[kept_from:])
        for number in left:
            pieces += self._encoded(number)
        return pieces

    def _encoded(self, number: int) -> Iterator[Octets]:
        for value in self._values[number]:
            if isinstance(value, int):
                yield encode_number(number, value)
            else:
                yield _head(number, len(value))
                yield value


def encode_number(number: int, value: int) -> bytes:
    """Return the field `number` with a varint."""
    return _varint(number << 3 | VARINT) + _varint(value)


def encode_octets(number: int, octets: Octets) -> bytes:
    """Return the field `number` with a text, octets or a message."""
    return _head(number, len(octets)) + octets


def encode_pair(key: str, value: str) -> bytes:
    """Return an entry of a `map<string, string>`."""
    return encode_octets(1, key.encode()) + encode_octets(2, value.encode())


def _head(number: int, length: int) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(length)


def _varint(value: int) -> bytes:
    if value < 0x80:
        return _ONE_OCTET[value]
    said = bytearray()
    while value >= 0x80:
        said.append(value & 0x7F | 0x80)
        value >>= 7
    said.append(value)
    return bytes(said)
