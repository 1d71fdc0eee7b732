"""How BuildKit's daemons read protobuf, as a model: what their generated Go code does with octets, odd ones too.

It takes what our reader refuses: of a scalar that is sent twice the last, of a message
all parts, of a choice (`oneof`) the last kind, of an enum 32 bits, of a field's number
likewise; overlong numbers; a key or value of a map whatever its wire type, even beyond
the entry's end. Text may be no UTF-8.

Source: moby/buildkit's *_vtproto.pb.go since v0.18 and the gogo *.pb.go before: the
functions UnmarshalVT/Unmarshal, and `skip`. Both do the same but for a message of a
`oneof` sent in two parts, which the older ones do not merge.
"""

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tests.helpers.buildkit_proto import message_class

Read = dict[int, Any]
_CUT = {FieldDescriptor.TYPE_INT32: 32, FieldDescriptor.TYPE_ENUM: 32, FieldDescriptor.TYPE_INT64: 64}
_BY_LENGTH = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE}


class GoError(ValueError):
    """The daemon refuses it."""


def go_reads(name: str, octets: bytes) -> Read:
    """Return what a daemon makes of `octets`: number -> value, all fields; texts are octets, no message is None.

    Raises:
        GoError: it refuses them.
    """
    return _message(message_class(name).DESCRIPTOR, octets, None)


def _message(descriptor: Descriptor, octets: bytes, into: Read | None) -> Read:
    read = _empty(descriptor) if into is None else into
    fields = {field.number: field for field in descriptor.fields}
    position = 0
    while position < len(octets):
        start = position
        wire, position = _number(octets, position)
        number, wire_type = _signed(wire >> 3, 32), wire & 7
        if wire_type == 4 or number <= 0:
            raise GoError("tag")
        if number in fields:
            position = _field(read, fields[number], octets, position, wire_type)
        else:
            position = _skipped(octets, start)
    return read


def _empty(descriptor: Descriptor) -> Read:
    read: Read = {}
    for field in descriptor.fields:
        if _is_map(field):
            read[field.number] = {}
        elif field.is_repeated:
            read[field.number] = []
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            read[field.number] = None
        else:
            read[field.number] = b"" if field.type in _BY_LENGTH else 0
    return read


def _is_map(field: Any) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _field(read: Read, field: Any, octets: bytes, position: int, wire_type: int) -> int:
    if field.type not in _BY_LENGTH:
        return _scalar(read, field, octets, position, wire_type)
    if wire_type != 2:
        raise GoError("wire type")
    start, end = _length(octets, position)
    if _is_map(field):
        key, value = _entry(field.message_type, octets, start, end)
        read[field.number][key] = value
        return end
    said = octets[start:end]
    if field.type != FieldDescriptor.TYPE_MESSAGE:
        value = said
    elif field.is_repeated:
        value = _message(field.message_type, said, None)
    else:
        value = _message(field.message_type, said, read[field.number])
        if field.containing_oneof:
            read.update({other.number: None for other in field.containing_oneof.fields})
    if field.is_repeated:
        read[field.number].append(value)
    else:
        read[field.number] = value
    return end


def _scalar(read: Read, field: Any, octets: bytes, position: int, wire_type: int) -> int:
    if wire_type == 2 and field.is_repeated:
        position, end = _length(octets, position)
        while position < end:
            number, position = _number(octets, position)
            read[field.number].append(_signed(number, _CUT[field.type]))
        return position
    if wire_type != 0:
        raise GoError("wire type")
    number, position = _number(octets, position)
    value = int(number != 0) if field.type == FieldDescriptor.TYPE_BOOL else _signed(number, _CUT[field.type])
    if field.is_repeated:
        read[field.number].append(value)
    else:
        read[field.number] = value
    return position


def _entry(descriptor: Descriptor, octets: bytes, position: int, end: int) -> tuple[bytes, Any]:
    value_field = descriptor.fields_by_number[2]
    is_message = value_field.type == FieldDescriptor.TYPE_MESSAGE
    key, value = b"", None if is_message else b"" if value_field.type in _BY_LENGTH else 0
    while position < end:
        start = position
        wire, position = _number(octets, position)
        number = _signed(wire >> 3, 32)
        if number == 1:
            first, position = _length(octets, position)
            key = octets[first:position]
        elif number == 2 and value_field.type not in _BY_LENGTH:
            flag, position = _number(octets, position)
            value = int(flag != 0)
        elif number == 2:
            first, position = _length(octets, position)
            value = octets[first:position]
            if is_message:
                value = _message(value_field.message_type, value, None)
        else:
            position = _skipped(octets, start)
            if position > end:
                raise GoError("end")
    return key, value


def _skipped(octets: bytes, position: int) -> int:
    """Return the position behind one field, a group with all that is in it."""
    depth = 0
    while position < len(octets):
        wire, position = _number(octets, position)
        depth += {3: 1, 4: -1}.get(wire & 7, 0)
        position = _behind(octets, position, wire & 7)
        if depth <= 0:
            break
    if depth or position > len(octets):
        raise GoError("end")
    return position


def _behind(octets: bytes, position: int, wire_type: int) -> int:
    if wire_type == 0:
        return _number(octets, position)[1]
    if wire_type == 2:
        return _length(octets, position)[1]
    if wire_type not in (1, 3, 4, 5):
        raise GoError("wire type")
    return position + {1: 8, 5: 4}.get(wire_type, 0)


def _length(octets: bytes, position: int) -> tuple[int, int]:
    """Return where something starts that is announced by its length, and the position behind it."""
    length, position = _number(octets, position)
    end = position + _signed(length, 64)
    if end < position or end > len(octets):
        raise GoError("length")
    return position, end


def _number(octets: bytes, position: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 64, 7):
        if position >= len(octets):
            raise GoError("end")
        octet = octets[position]
        position += 1
        number |= (octet & 0x7F) << shift
        if octet < 0x80:
            return number & ((1 << 64) - 1), position
    raise GoError("overflow")


def _signed(number: int, bits: int) -> int:
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number
