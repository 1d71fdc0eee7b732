"""Reading frame payloads strictly: what a frame may look like, and what it says.

`check_head` needs only the nine octets of the head, so a frame that cannot be
right is refused before its payload is awaited or buffered.

Source: RFC 9113 sections 4.2, 6.1 to 6.10; the numbers beside the checks.
"""

from struct import Struct
from typing import Final, NamedTuple, TypeVar

from proxy.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    DEFAULT_MAX_FRAME_OCTETS,
    ENABLE_CONNECT_PROTOCOL,
    ENABLE_PUSH,
    GOAWAY,
    HEAD,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    LARGEST_MAX_FRAME_OCTETS,
    MAX_FRAME_SIZE,
    MAX_WINDOW_OCTETS,
    PADDED,
    PING,
    PING_OCTETS,
    PRIORITY,
    PRIORITY_OCTETS,
    PUSH_PROMISE,
    RST_STREAM,
    SETTING_OCTETS,
    SETTINGS,
    STREAM_MASK,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    ErrorCode,
    ProtocolFault,
    StreamFault,
)

# Slices come back as the type that was given: a view costs no copy.
Octets = TypeVar("Octets", bytes, memoryview)

_SETTING = Struct(">HL")
_LONG = Struct(">L")
_TWO_LONGS = Struct(">LL")

_OF_CONNECTION: Final = frozenset({SETTINGS, PING, GOAWAY})
_OF_STREAM: Final = frozenset({DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, CONTINUATION})
_EXACT_OCTETS: Final = {RST_STREAM: 4, PING: PING_OCTETS, WINDOW_UPDATE: 4}
_LEAST_OCTETS: Final = {GOAWAY: 8}


class Head(NamedTuple):
    """The nine octets in front of a payload; `length` in octets, `stream` without its reserved bit."""

    length: int
    kind: int
    flags: int
    stream: int


class Goaway(NamedTuple):
    """What a GOAWAY says; `code` may be one that nobody has defined."""

    last_stream: int
    code: int
    debug: bytes


def read_head(buffer: bytes | bytearray | memoryview, at: int = 0) -> Head:
    """Return the frame head at octet `at` of `buffer`, which must hold nine octets from there."""
    high, low, kind, flags, stream = HEAD.unpack_from(buffer, at)
    return Head(high << 16 | low, kind, flags, stream & STREAM_MASK)


def check_head(head: Head, *, max_frame_octets: int = DEFAULT_MAX_FRAME_OCTETS) -> None:
    """Refuse a frame that cannot be right whatever its payload holds; unknown types pass.

    Raises:
        ProtocolFault: FRAME_SIZE_ERROR for an impossible length (4.2), PROTOCOL_ERROR for
            a frame on stream 0 that belongs to a stream, or the other way round (6).
        StreamFault: FRAME_SIZE_ERROR for a PRIORITY whose length is not 5 (6.3).
    """
    length, kind, flags, stream = head
    if length > max_frame_octets:
        raise ProtocolFault(ErrorCode.FRAME_SIZE_ERROR, "frame above MAX_FRAME_SIZE")
    if kind in (_OF_STREAM if stream == 0 else _OF_CONNECTION):
        raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "frame on a stream where its type may not be")
    if length != _EXACT_OCTETS.get(kind, length) or length < _LEAST_OCTETS.get(kind, 0):
        raise ProtocolFault(ErrorCode.FRAME_SIZE_ERROR, "wrong length for the type of the frame")
    if kind == SETTINGS and length % SETTING_OCTETS | (flags & ACK and length):
        raise ProtocolFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong length")
    if kind == PRIORITY and length != PRIORITY_OCTETS:
        raise StreamFault(stream, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of a wrong length")


def read_settings(payload: bytes | memoryview, *, from_server: bool = False) -> list[tuple[int, int]]:
    """Return the (id, value) entries of a SETTINGS payload in order, unknown ids too.

    Raises:
        ProtocolFault: a length that is no multiple of six, or a value that the setting may not have (6.5.2).
    """
    if len(payload) % SETTING_OCTETS:
        raise ProtocolFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong length")
    entries = list(_SETTING.iter_unpack(payload))
    for setting, value in entries:
        _check_setting(setting, value, from_server=from_server)
    return entries


def _check_setting(setting: int, value: int, *, from_server: bool) -> None:
    if setting == INITIAL_WINDOW_SIZE and value > MAX_WINDOW_OCTETS:
        raise ProtocolFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE above 2^31-1")
    if setting == MAX_FRAME_SIZE and not DEFAULT_MAX_FRAME_OCTETS <= value <= LARGEST_MAX_FRAME_OCTETS:
        raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of its range")
    # A server never offers to be pushed to (6.5.2).
    if setting == ENABLE_PUSH and value > (not from_server):
        raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH has a value it may not have")
    # RFC 8441 section 3.
    if setting == ENABLE_CONNECT_PROTOCOL and value > 1:
        raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "ENABLE_CONNECT_PROTOCOL is neither 0 nor 1")


def unpadded(flags: int, payload: Octets) -> Octets:
    """Return a DATA or HEADERS payload without its padding.

    Raises:
        ProtocolFault: PROTOCOL_ERROR when the padding is as long as the payload (6.1),
            FRAME_SIZE_ERROR when there is no room for its length.
    """
    if not flags & PADDED:
        return payload
    if not payload:
        raise ProtocolFault(ErrorCode.FRAME_SIZE_ERROR, "padded frame without a padding length")
    end = len(payload) - payload[0]
    if end < 1:
        raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "padding as long as the payload")
    return payload[1:end]


def header_fragment(flags: int, payload: Octets) -> Octets:
    """Return the fragment of a header block in a HEADERS payload, without padding and priority.

    Raises:
        ProtocolFault: as `unpadded`, also when the padding reaches into the priority;
            FRAME_SIZE_ERROR when the frame has no room for a priority at all (6.2).
    """
    fragment = unpadded(flags, payload)
    if not flags & WITH_PRIORITY:
        return fragment
    if len(payload) < PRIORITY_OCTETS + bool(flags & PADDED):
        raise ProtocolFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
    if len(fragment) < PRIORITY_OCTETS:
        raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "padding reaches into the priority")
    return fragment[PRIORITY_OCTETS:]


def read_goaway(payload: bytes | memoryview) -> Goaway:
    """Return the fields of a GOAWAY payload of at least eight octets."""
    last_stream, code = _TWO_LONGS.unpack_from(payload)
    return Goaway(last_stream & STREAM_MASK, code, bytes(payload[_TWO_LONGS.size :]))


def read_error_code(payload: bytes | memoryview) -> int:
    """Return the code of a RST_STREAM payload of four octets; it may be one that nobody has defined."""
    code: int = _LONG.unpack(payload)[0]
    return code


def read_increment(stream: int, payload: bytes | memoryview) -> int:
    """Return the octets that a WINDOW_UPDATE payload of four octets gives, 1 to 2^31-1.

    Raises:
        StreamFault, ProtocolFault: PROTOCOL_ERROR for an increment of 0, of a stream or the connection (6.9).
    """
    octets: int = _LONG.unpack(payload)[0] & MAX_WINDOW_OCTETS
    if octets:
        return octets
    if stream:
        raise StreamFault(stream, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
    raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
