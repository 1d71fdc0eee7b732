"""Protobuf on the wire, read strictly.

Parsers differ on what is odd: of two singular values one takes the last, another
merges; a wrong wire type is an error here and an unknown field there. Whoever judges
one reading while the daemon acts on another has judged nothing. So what is odd is an
error: a singular field sent twice, a known field of another type, a number that is
longer than it need be, text that is not UTF-8, a group. Unknown fields are skipped
but must be whole.

Source: protobuf.dev, "Encoding".
"""

from collections.abc import Iterator, Mapping
from enum import Enum

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_OCTETS = {FIXED64: 8, FIXED32: 4}
_MOST_NUMBER = (1 << 29) - 1


class WireError(ValueError):
    """Octets that are no message, or one that two parsers could read differently."""


class Shape(Enum):
    """How a known field is encoded, and whether it may be repeated."""

    NUMBER = (VARINT, False)
    FLAG = (VARINT, False, "flag")
    TEXT = (BYTES, False, "text")
    TEXTS = (BYTES, True, "text")
    MESSAGE = (BYTES, False)
    MESSAGES = (BYTES, True)

    def __init__(self, wire_type: int, is_repeated: bool, check: str = "") -> None:
        self.wire_type = wire_type
        self.is_repeated = is_repeated
        self.check = check


Shapes = Mapping[int, Shape]
Value = int | memoryview
_PAIR: Shapes = {1: Shape.TEXT, 2: Shape.TEXT}


def fields(octets: bytes | memoryview) -> Iterator[tuple[int, int, Value]]:
    """Yield (field number, wire type, value) of each field, in order, copying nothing.

    The value is the number itself for VARINT, else the octets.

    Raises:
        WireError: at the first field that is not whole or not canonical.
    """
    view = memoryview(octets)
    position, end = 0, len(view)
    while position < end:
        number, wire_type, value, position = read_field(view, position)
        yield number, wire_type, value


def read_field(view: memoryview, position: int) -> tuple[int, int, Value, int]:
    """Return field number, wire type and value of the field at `position`, and the position behind it.

    Raises:
        WireError: it is not whole or not canonical.
    """
    tag, position = _varint(view, position)
    number, wire_type = tag >> 3, tag & 7
    if not 1 <= number <= _MOST_NUMBER:
        raise WireError(f"no field has the number {number}")
    if wire_type == VARINT:
        value, position = _varint(view, position)
        return number, VARINT, value, position
    if wire_type == BYTES:
        length, position = _varint(view, position)
    elif wire_type in _FIXED_OCTETS:
        length = _FIXED_OCTETS[wire_type]
    else:
        raise WireError(f"field {number} has wire type {wire_type}")
    if length > len(view) - position:
        raise WireError(f"field {number} is cut short")
    return number, wire_type, view[position : position + length], position + length


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    """Return the number at `position` and the position behind it."""
    try:
        octet = view[position]
        if octet < 0x80:
            return octet, position + 1
        number, shift = octet & 0x7F, 7
        while True:
            position += 1
            octet = view[position]
            number |= (octet & 0x7F) << shift
            if octet < 0x80:
                break
            shift += 7
    except IndexError:
        raise WireError("a number is cut short") from None
    if octet == 0 or number >> 64:
        raise WireError("a number is longer than it need be")
    return number, position + 1


class Message:
    """A message of which some fields are known by `shapes`; all of them are checked.

    `unknown` holds the numbers of the others that were sent.
    """

    __slots__ = ("_values", "unknown")

    def __init__(self, octets: bytes | memoryview, shapes: Shapes) -> None:
        """Read `octets`.

        Raises:
            WireError: as `fields`; or a known field is encoded otherwise than its
                shape says, is sent twice though singular, or is no text or flag.
        """
        self._values: dict[int, list[Value]] = {}
        self.unknown: set[int] = set()
        for number, wire_type, value in fields(octets):
            shape = shapes.get(number)
            if shape is not None:
                self._keep(number, wire_type, value, shape)
            else:
                self.unknown.add(number)

    def _keep(self, number: int, wire_type: int, value: Value, shape: Shape) -> None:
        if wire_type != shape.wire_type:
            raise WireError(f"field {number} has wire type {wire_type}")
        kept = self._values.setdefault(number, [])
        if kept and not shape.is_repeated:
            raise WireError(f"field {number} is sent twice")
        if shape.check == "text":
            _text(value, number)
        if shape.check == "flag" and value not in (0, 1):
            raise WireError(f"field {number} is neither true nor false")
        kept.append(value)

    def has(self, number: int) -> bool:
        """Tell whether the field was sent."""
        return number in self._values

    def flag(self, number: int) -> bool:
        """Return a FLAG; not sent is False."""
        return bool(self._values.get(number, [0])[0])

    def number(self, number: int) -> int:
        """Return a NUMBER; not sent is 0."""
        value = self._values.get(number, [0])[0]
        return value if isinstance(value, int) else 0

    def text(self, number: int) -> str:
        """Return a TEXT; not sent is empty."""
        return next(iter(self.texts(number)), "")

    def texts(self, number: int) -> list[str]:
        """Return all TEXTS of a field, in order."""
        return [_text(value, number) for value in self._values.get(number, ())]

    def messages(self, number: int) -> list[memoryview]:
        """Return the octets of a MESSAGE or of all MESSAGES of a field, in order."""
        return [value for value in self._values.get(number, ()) if isinstance(value, memoryview)]

    def pairs(self, number: int) -> dict[str, str]:
        """Return a `map<string, string>`, which travels as MESSAGES.

        Raises:
            WireError: a pair cannot be read, or a key is sent twice.
        """
        found: dict[str, str] = {}
        for octets in self.messages(number):
            # Runtimes disagree on an entry with more than key and value: some drop the whole of it.
            if any(one not in _PAIR for one, _, _ in fields(octets)):
                raise WireError(f"field {number} has an entry with an unknown field")
            pair = Message(octets, _PAIR)
            key = pair.text(1)
            if key in found:
                raise WireError(f"field {number} has a key twice")
            found[key] = pair.text(2)
        return found


def _text(value: Value, number: int) -> str:
    try:
        return str(value, "utf-8") if isinstance(value, memoryview) else ""
    except UnicodeDecodeError:
        raise WireError(f"field {number} is not UTF-8") from None
