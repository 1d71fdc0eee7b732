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
MOST_FIELDS = 100_000
_MOST_CHOICE = (1 << 31) - 1


class WireError(ValueError):
    """Octets that are no message, or one that two parsers could read differently."""


class Shape(Enum):
    """How a known field is encoded, and whether it may be repeated.

    Octets (`bytes`) are a MESSAGE that nobody reads further.
    """

    NUMBER = (VARINT, False)
    FLAG = (VARINT, False, "flag")
    CHOICE = (VARINT, False, "choice")
    """An enum. Daemons keep 32 bits of it, so that a larger number would be another choice to them."""
    TEXT = (BYTES, False, "text")
    TEXTS = (BYTES, True, "text")
    MESSAGE = (BYTES, False)
    MESSAGES = (BYTES, True)
    UNREAD = (None, True)
    """Known, and nobody's to judge: it may be encoded in more than one way (repeated numbers)."""

    def __init__(self, wire_type: int | None, is_repeated: bool, check: str = "") -> None:
        self.wire_type = wire_type
        self.is_repeated = is_repeated
        self.check = check


Shapes = Mapping[int, Shape]
Value = int | memoryview


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
    end = len(view)
    # Nearly all tags and lengths are one octet; a definition has a million of them.
    tag = view[position] if position < end else 0x80
    if tag < 0x80:
        position += 1
    else:
        tag, position = _varint(view, position)
    number, wire_type = tag >> 3, tag & 7
    if not 1 <= number <= _MOST_NUMBER:
        raise WireError(f"no field has the number {number}")
    length = view[position] if position < end else 0x80
    if wire_type in (VARINT, BYTES):
        if length < 0x80:
            position += 1
        else:
            length, position = _varint(view, position)
        if wire_type == VARINT:
            return number, VARINT, length, position
    elif wire_type in _FIXED_OCTETS:
        length = _FIXED_OCTETS[wire_type]
    else:
        raise WireError(f"field {number} has wire type {wire_type}")
    if length > end - position:
        raise WireError(f"field {number} is cut short")
    return number, wire_type, view[position : position + length], position + length


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    """Return the number of more than one octet at `position`, and the position behind it."""
    number = 0
    # Ten octets hold 64 bits. Who reads on while there are more reads a large message for hours.
    for index, octet in enumerate(view[position : position + 10]):
        number |= (octet & 0x7F) << 7 * index
        if octet < 0x80:
            if octet == 0 or number >> 64:
                break
            return number, position + index + 1
    else:
        if len(view) - position < 10:
            raise WireError("a number is cut short")
    raise WireError("a number is longer than it need be")


class Budget:
    """How many fields may still be read of one request, in the messages inside of it too.

    An octet pair can be a field, so that 16 MiB could keep a reader busy for a minute, and everybody else waiting.
    Measured: reading and changing one takes 3 to 9 us. Requests of stock clients have some thousand at most.
    """

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_FIELDS


class Message:
    """A message of which some fields are known by `shapes`; all of them are checked.

    `unknown` holds the numbers of the others that were sent.
    """

    __slots__ = ("_values", "budget", "unknown")

    def __init__(self, octets: bytes | memoryview, shapes: Shapes, budget: Budget | None = None) -> None:
        """Read `octets`; `budget` is that of the message around it, if there is one.

        Raises:
            WireError: as `fields`; or a known field is encoded otherwise than its
                shape says, is sent twice though singular, or is no text or flag; or
                there are more than MOST_FIELDS.
        """
        self._values: dict[int, list[Value]] = {}
        self.unknown: set[int] = set()
        self.budget = budget = budget or Budget()
        values, left = self._values, budget.left
        view = memoryview(octets)
        position, end = 0, len(view)
        while position < end:
            left -= 1
            if left < 0:
                raise WireError(f"there are more than {MOST_FIELDS} fields")
            number, wire_type, value, position = read_field(view, position)
            shape = shapes.get(number)
            if shape is None:
                self.unknown.add(number)
                continue
            if shape.check or wire_type != shape.wire_type:
                _check(value, number, wire_type, shape)
            if number not in values:
                values[number] = [value]
            elif shape.is_repeated:
                values[number].append(value)
            else:
                raise WireError(f"field {number} is sent twice")
        budget.left = left

    def has(self, number: int) -> bool:
        """Tell whether the field was sent."""
        return number in self._values

    def number(self, number: int) -> int:
        """Return a NUMBER or a CHOICE; not sent is 0."""
        value = self._values.get(number, [0])[0]
        return value if isinstance(value, int) else 0

    def flag(self, number: int) -> bool:
        """Return a FLAG; not sent is False."""
        return bool(self._values.get(number, [0])[0])

    def text(self, number: int) -> str:
        """Return a TEXT; not sent is empty."""
        sent = self._values.get(number)
        return _text(sent[0], number) if sent else ""

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
            key, value = _pair(octets, number)
            if key in found:
                raise WireError(f"field {number} has a key twice")
            found[key] = value
        return found


def _pair(entry: memoryview, number: int) -> tuple[str, str]:
    said: list[str | None] = [None, None]
    position, end = 0, len(entry)
    while position < end:
        one, wire_type, value, position = read_field(entry, position)
        # Runtimes disagree on an entry with more than key and value: some drop the whole of it.
        if one not in (1, 2) or wire_type != BYTES or said[one - 1] is not None:
            raise WireError(f"field {number} has an entry with more than a key and a value")
        said[one - 1] = _text(value, number)
    return said[0] or "", said[1] or ""


def _check(value: Value, number: int, wire_type: int, shape: Shape) -> None:
    if wire_type != shape.wire_type and shape is not Shape.UNREAD:
        raise WireError(f"field {number} has wire type {wire_type}")
    if shape.check == "text":
        _text(value, number)
    elif shape.check == "flag" and value not in (0, 1):
        raise WireError(f"field {number} is neither true nor false")
    elif shape.check == "choice" and isinstance(value, int) and value > _MOST_CHOICE:
        raise WireError(f"field {number} is no choice that there is")


def _text(value: Value, number: int) -> str:
    try:
        return str(value, "utf-8") if isinstance(value, memoryview) else ""
    except UnicodeDecodeError:
        raise WireError(f"field {number} is not UTF-8") from None
