"""What hostile callers send, as data: each with the one right answer.

The same table is played against the relay alone and against a running door. The
names begin with the section of RFC 9113 (or RFC 7541, or the CVE) that says why.
"""

from dataclasses import dataclass

from proxy.events import ConnectionFault
from proxy.http2 import frames
from proxy.http2.exchange import MAX_STREAMS
from proxy.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    frame,
)
from tests.helpers.h2client import call_fields, head, plain_block

SIZE, PROTOCOL, FLOW = ErrorCode.FRAME_SIZE_ERROR, ErrorCode.PROTOCOL_ERROR, ErrorCode.FLOW_CONTROL_ERROR
CLOSED, COMPRESSION, CALM = ErrorCode.STREAM_CLOSED, ErrorCode.COMPRESSION_ERROR, ErrorCode.ENHANCE_YOUR_CALM
UNKNOWN = 0xBE
BLOCK = plain_block(call_fields())
# What every caller says behind the preface.
GREETING = frames.settings([]) + frames.SETTINGS_ACK

FAULTS = {
    SIZE: ConnectionFault.FRAME_SIZE,
    PROTOCOL: ConnectionFault.PROTOCOL,
    CLOSED: ConnectionFault.PROTOCOL,
    FLOW: ConnectionFault.FLOW_CONTROL,
    COMPRESSION: ConnectionFault.COMPRESSION,
    CALM: ConnectionFault.FLOOD,
}


@dataclass(frozen=True, slots=True)
class Attack:
    """Octets that must end the connection with a GOAWAY of `code`.

    They follow the greeting and, if `is_calling`, the open head of a call on stream 1.
    `is_racy`: how the daemon credits matters, so only the relay alone can be held to it.
    """

    name: str
    octets: bytes
    code: ErrorCode
    is_calling: bool = True
    is_racy: bool = False

    @property
    def fault(self) -> ConnectionFault:
        """The label under which the connection's end is counted."""
        return FAULTS[self.code]


def bad_block(octets: str) -> bytes:
    """Return HEADERS of stream 3 whose block is wrong."""
    return frames.headers(3, bytes.fromhex(octets), end_stream=True)


def announced(length: int, kind: int, flags: int = 0, stream: int = 1) -> bytes:
    """Return a frame head that announces `length` octets, without any of them."""
    return frames.HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, stream)


FRAMING = [
    Attack("4.2 a frame above MAX_FRAME_SIZE, on its head alone", announced(16_385, DATA), SIZE),
    Attack("4.2 16 MiB announced by a frame of unknown type", announced(0xFFFFFF, UNKNOWN), SIZE),
    Attack("4.2 16 MiB of HEADERS announced", announced(0xFFFFFF, HEADERS, 0, 3), SIZE),
    Attack("4.2 a whole DATA frame above MAX_FRAME_SIZE", frame(DATA, 0, 1, bytes(16_385)), SIZE),
    Attack("4.2 a whole DATA frame of 60000 octets", frame(DATA, 0, 1, bytes(60_000)), SIZE),
    Attack("6.1 DATA on stream 0", frame(DATA, 0, 0, b"x"), PROTOCOL),
    Attack("6.1 padding as long as the payload", frame(DATA, PADDED, 1, b"\x05abcd"), PROTOCOL),
    Attack("6.1 padded DATA without a padding length", frame(DATA, PADDED, 1), SIZE),
    Attack("6.2 HEADERS on stream 0", frame(HEADERS, END_HEADERS, 0, BLOCK), PROTOCOL),
    Attack("6.2 padding as long as the HEADERS", frame(HEADERS, END_HEADERS | PADDED, 3, b"\x05abcd"), PROTOCOL),
    Attack("6.2 HEADERS too short for their priority", frame(HEADERS, END_HEADERS | 0x20, 3, b"\0\0"), SIZE),
    Attack("6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    Attack("6.3 PRIORITY of 4 octets", frame(PRIORITY, 0, 1, bytes(4)), SIZE),
    Attack("6.4 RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, bytes(4)), PROTOCOL),
    Attack("6.4 RST_STREAM of 3 octets", frame(RST_STREAM, 0, 1, bytes(3)), SIZE),
    Attack("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1), PROTOCOL),
    Attack("6.5 SETTINGS of 7 octets", frame(SETTINGS, 0, 0, bytes(7)), SIZE),
    Attack("6.5 SETTINGS ACK with a payload", frame(SETTINGS, ACK, 0, bytes(6)), SIZE),
    Attack("6.5 SETTINGS ACK for nothing", frames.SETTINGS_ACK * 2, PROTOCOL),
    Attack("6.5.2 ENABLE_PUSH 2", frames.settings([(frames.ENABLE_PUSH, 2)]), PROTOCOL),
    Attack("6.5.2 INITIAL_WINDOW_SIZE 2^31", frames.settings([(frames.INITIAL_WINDOW_SIZE, 2**31)]), FLOW),
    Attack("6.5.2 MAX_FRAME_SIZE 100", frames.settings([(frames.MAX_FRAME_SIZE, 100)]), PROTOCOL),
    Attack("6.6 PUSH_PROMISE of a client", frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2"), PROTOCOL),
    Attack("6.7 PING on a stream", frame(PING, 0, 1, bytes(8)), PROTOCOL),
    Attack("6.7 PING of 7 octets", frame(PING, 0, 0, bytes(7)), SIZE),
    Attack("6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    Attack("6.8 GOAWAY of 7 octets", frame(GOAWAY, 0, 0, bytes(7)), SIZE),
    Attack("6.9 WINDOW_UPDATE of 0 on the connection", frame(WINDOW_UPDATE, 0, 0, bytes(4)), PROTOCOL),
    Attack("6.9 WINDOW_UPDATE of 0 on a stream", frame(WINDOW_UPDATE, 0, 1, bytes(4)), PROTOCOL),
    Attack("6.9 WINDOW_UPDATE of 5 octets", frame(WINDOW_UPDATE, 0, 1, bytes(5)), SIZE),
    Attack("6.9.1 the connection's window above 2^31-1", frames.window_update(0, 2**31 - 1), FLOW),
    Attack("6.9.1 a stream's window above 2^31-1", frames.window_update(1, 2**31 - 1), FLOW),
    Attack("6.9.1 windows added up above 2^31-1", frames.window_update(1, 2**30) * 2, FLOW),
    Attack(
        "6.9.2 a stream's window above 2^31-1 by SETTINGS",
        frames.window_update(1, 2**31 - 65_536) + frames.settings([(frames.INITIAL_WINDOW_SIZE, 65_537)]),
        FLOW,
    ),
    Attack("6.9.1 more DATA than the windows take", frames.data(1, bytes(65_536)), FLOW, is_racy=True),
    Attack(
        "6.9.1 more padding than the windows take",
        frame(DATA, PADDED, 1, b"\xff" + bytes(16_000)) * 5,
        FLOW,
        is_racy=True,
    ),
]

STREAMS = [
    Attack("3.4 the second SETTINGS are no preface", frames.PREFACE, SIZE),
    Attack("5.1 DATA on an idle stream", frames.data(7, b"x"), PROTOCOL),
    Attack("5.1 DATA on an even stream", frames.data(2, b"x"), PROTOCOL),
    Attack("5.1 RST_STREAM on an idle stream", frames.rst_stream(7, 8), PROTOCOL),
    Attack("5.1 WINDOW_UPDATE on an idle stream", frames.window_update(7, 1), PROTOCOL),
    Attack("5.1 DATA after END_STREAM", head(3, end_stream=True) + frames.data(3, b"x"), CLOSED, is_racy=True),
    Attack("5.1 HEADERS after END_STREAM", head(3, end_stream=True) + head(3, end_stream=True), PROTOCOL, is_racy=True),
    Attack("5.1.1 HEADERS on an even stream", head(2), PROTOCOL),
    Attack("8.1 a second head without END_STREAM", head(1), PROTOCOL),
    Attack("8.1 trailers of a caller", head(1, end_stream=True), PROTOCOL),
    Attack("6.10 CONTINUATION without HEADERS", frame(CONTINUATION, END_HEADERS, 1, BLOCK), PROTOCOL),
    Attack("6.10 PING inside a header block", frame(HEADERS, 0, 3, BLOCK) + frames.ping(bytes(8)), PROTOCOL),
    Attack("6.10 DATA inside a header block", frame(HEADERS, 0, 3, BLOCK) + frames.data(1, b"x"), PROTOCOL),
    Attack("6.10 SETTINGS inside a header block", frame(HEADERS, 0, 3, BLOCK) + frames.settings([]), PROTOCOL),
    Attack("6.10 an unknown frame inside a header block", frame(HEADERS, 0, 3, BLOCK) + frame(UNKNOWN, 0, 3), PROTOCOL),
    Attack(
        "6.10 CONTINUATION of another stream",
        frame(HEADERS, 0, 3, BLOCK) + frame(CONTINUATION, END_HEADERS, 5, b""),
        PROTOCOL,
    ),
    Attack("6.10 another head inside a header block", frame(HEADERS, 0, 3, BLOCK) + head(5), PROTOCOL),
]

COMPRESSED = [
    Attack("7541-6.1 index 0", bad_block("80"), COMPRESSION),
    Attack("7541-2.3.3 index out of range", bad_block("8286be"), COMPRESSION),
    Attack("7541-5.1 integer overflow", bad_block("ffffffffffffffffff7f"), COMPRESSION),
    Attack("7541-5.1 integer without end", bad_block("ff" + "80" * 3000 + "00"), COMPRESSION),
    Attack("7541-5.2 string cut short", bad_block("8286400361"), COMPRESSION),
    Attack("7541-5.2 EOS in a Huffman string", bad_block("4084fffffffc0161"), COMPRESSION),
    Attack("7541-5.2 padding of zeros", bad_block("4081180161"), COMPRESSION),
    Attack("7541-5.2 padding of 8 bits", bad_block("4081ff0161"), COMPRESSION),
    Attack("7541-6.3 table size above 4096", bad_block("3fe21f"), COMPRESSION),
    Attack("7541-4.2 table size after a field", bad_block("8220"), COMPRESSION),
    Attack("7541-4.2 a storm of table sizes", bad_block("20" * 1000), COMPRESSION),
    Attack(
        "7541-4.3 a wrong block behind END_STREAM of a live stream",
        frames.headers(1, b"\x80", end_stream=True),
        COMPRESSION,
    ),
]

FLOODS = [
    Attack(
        "CVE-2023-44487 rapid reset",
        b"".join(head(3 + 2 * n) + frames.rst_stream(3 + 2 * n, 8) for n in range(300)),
        CALM,
    ),
    Attack(
        "CVE-2024-27316 CONTINUATIONs without end",
        frame(HEADERS, END_STREAM, 3, BLOCK) + frame(CONTINUATION, 0, 3, b"\x82") * 500,
        CALM,
    ),
    Attack("CVE-2024-27316 an empty CONTINUATION", frame(HEADERS, 0, 3, BLOCK) + frame(CONTINUATION, 0, 3), CALM),
    Attack(
        "CVE-2024-27316 a header block of 100 KiB",
        frame(HEADERS, 0, 3, BLOCK) + frame(CONTINUATION, 0, 3, bytes(16_384)) * 7,
        CALM,
    ),
    Attack("CVE-2019-9515 SETTINGS", frames.settings([]) * 300, CALM),
    Attack("CVE-2019-9515 SETTINGS before any call", frames.settings([]) * 300, CALM, is_calling=False),
    Attack(
        "CVE-2019-9515 a window that goes up and down",
        frames.settings([(4, 1)]) * 100 + frames.settings([(4, 65_535)]) * 100,
        CALM,
    ),
    Attack("CVE-2020-11080 SETTINGS of 2000 entries", frames.settings([(0xF0F0, 1)] * 2000) * 200, CALM),
    Attack("CVE-2019-9512 PINGs before any call", frames.ping(b"flooding") * 300, CALM, is_calling=False),
    Attack("CVE-2019-9512 PINGs", frames.ping(b"flooding") * 300, CALM, is_racy=True),
    Attack("CVE-2019-9518 empty DATA", frames.data(1, b"") * 300, CALM),
    Attack("CVE-2019-9518 DATA of padding only", frame(DATA, PADDED, 1, b"\0") * 300, CALM),
    Attack("CVE-2019-9518 empty DATA of a stream that is over", head(3, b"/no/such") + frames.data(3, b"") * 300, CALM),
    Attack("CVE-2019-9513 PRIORITY", frame(PRIORITY, 0, 1, b"\0\0\0\3\x10") * 500, CALM),
    Attack("CVE-2019-9513 PRIORITY before any call", frame(PRIORITY, 0, 1, bytes(5)) * 500, CALM, is_calling=False),
    Attack("5.5 unknown frames", frame(UNKNOWN, 0, 0) * 500, CALM),
    Attack(
        "10.5 calls that are refused", b"".join(head(3 + 2 * n, b"/no/such", end_stream=True) for n in range(300)), CALM
    ),
    Attack("10.5 streams above the limit", b"".join(head(3 + 2 * n) for n in range(MAX_STREAMS + 200)), CALM),
    Attack("10.5 WINDOW_UPDATEs of 1", frames.window_update(0, 1) * 700_000, CALM),
    Attack(
        "10.5 WINDOW_UPDATEs of a stream that is over",
        head(3, b"/no/such") + frames.window_update(3, 1) * 700_000,
        CALM,
    ),
]

ATTACKS = FRAMING + STREAMS + COMPRESSED + FLOODS
