"""HTTP/2 frames: their words, how to build each, and how to read each payload strictly.

A frame is nine octets of head and a payload:

    +-----------------------------------------------+
    | length (24) | type (8) | flags (8) | R (1) stream (31) |
    +-----------------------------------------------+

The relay walks heads with `HEAD.unpack_from` and passes bulk payloads on unread.
Faults found here come in two sizes: `ProtocolFault` ends the connection with a
GOAWAY, `StreamFault` ends one stream with a RST_STREAM. Their texts are ours and
quote nothing that the peer sent.

Source: RFC 9113 sections 4 to 7 (section numbers beside the checks).
"""

from collections.abc import Iterable
from enum import IntEnum
from struct import Struct
from typing import Final

Buffer = bytes | memoryview

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# high octet of the length, its low 16 bits, type, flags, stream with the reserved bit on top
HEAD: Final = Struct(">BHBBL")
HEAD_OCTETS: Final = 9

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6
ENABLE_CONNECT_PROTOCOL: Final = 0x8

STREAM_MASK: Final = 0x7FFF_FFFF
MAX_WINDOW_OCTETS: Final = 0x7FFF_FFFF
DEFAULT_WINDOW_OCTETS: Final = 65_535
DEFAULT_MAX_FRAME_OCTETS: Final = 16_384
LARGEST_MAX_FRAME_OCTETS: Final = 0xFF_FFFF
PING_OCTETS: Final = 8
SETTING_OCTETS: Final = 6
PRIORITY_OCTETS: Final = 5

_SETTING = Struct(">HL")
_LONG = Struct(">L")
_TWO_LONGS = Struct(">LL")


class ErrorCode(IntEnum):
    """Error codes of RST_STREAM and GOAWAY (RFC 9113 section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class ProtocolFault(Exception):
    """The peer broke the protocol: the connection ends with a GOAWAY of `code`."""

    def __init__(self, code: ErrorCode, why: str) -> None:
        super().__init__(code.name, why)
        self.code = code
        self.why = why


class StreamFault(Exception):
    """The peer broke the protocol on one stream: it ends with a RST_STREAM of `code`."""

    def __init__(self, stream: int, code: ErrorCode, why: str) -> None:
        super().__init__(stream, code.name, why)
        self.stream = stream
        self.code = code
        self.why = why


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame of any type."""
    length = len(payload)
    return HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, stream) + payload


def data(
    stream: int, payload: bytes, *, end_stream: bool = False, max_frame_octets: int = DEFAULT_MAX_FRAME_OCTETS
) -> bytes:
    """Return `payload` as DATA frames of at most `max_frame_octets` each; nothing to say is one empty frame."""
    pieces = [payload[at : at + max_frame_octets] for at in range(0, len(payload), max_frame_octets)] or [b""]
    last = pieces.pop()
    frames = [frame(DATA, 0, stream, piece) for piece in pieces]
    frames.append(frame(DATA, END_STREAM if end_stream else 0, stream, last))
    return b"".join(frames)


def headers(
    stream: int, block: bytes, *, end_stream: bool = False, max_frame_octets: int = DEFAULT_MAX_FRAME_OCTETS
) -> bytes:
    """Return an encoded header block as HEADERS, with CONTINUATIONs above `max_frame_octets`."""
    flags = END_STREAM if end_stream else 0
    if len(block) <= max_frame_octets:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    pieces = [block[at : at + max_frame_octets] for at in range(0, len(block), max_frame_octets)]
    middle = [frame(CONTINUATION, 0, stream, piece) for piece in pieces[1:-1]]
    return b"".join(
        [frame(HEADERS, flags, stream, pieces[0]), *middle, frame(CONTINUATION, END_HEADERS, stream, pieces[-1])]
    )


def rst_stream(stream: int, code: int) -> bytes:
    """Return a RST_STREAM."""
    return frame(RST_STREAM, 0, stream, _LONG.pack(code))


def settings(entries: Iterable[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame of (id, value) entries in their order."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*entry) for entry in entries))


SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0)


def ping(opaque: bytes, *, ack: bool = False) -> bytes:
    """Return a PING with eight octets of `opaque`."""
    return frame(PING, ACK if ack else 0, 0, opaque)


def goaway(last_stream: int, code: int, debug: bytes = b"") -> bytes:
    """Return a GOAWAY: streams above `last_stream` were not and will not be served."""
    return frame(GOAWAY, 0, 0, _TWO_LONGS.pack(last_stream, code) + debug)


def window_update(stream: int, octets: int) -> bytes:
    """Return a WINDOW_UPDATE; `stream` 0 is the connection. `octets` is 1 to 2^31-1."""
    return frame(WINDOW_UPDATE, 0, stream, _LONG.pack(octets))
