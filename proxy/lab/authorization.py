"""A bearer token added to every call of an HTTP/2 client that cannot carry one.

Only the client's half of the connection is touched, and only its header blocks:
a literal field that enters no table is appended, so the client's compression
state stays right without being known (RFC 7541 section 6.2.3). Everything else
passes as it is.

Source: RFC 9113 sections 4.1, 6.2, 6.10.
"""

from collections.abc import Callable

PREFACE_OCTETS = 24
HEAD_OCTETS = 9
HEADERS, CONTINUATION = 1, 9
END_HEADERS, PADDED = 0x04, 0x08
# Every peer takes frames of this size (RFC 9113 section 4.2).
FRAME_OCTETS = 16_384
# "Never indexed", with the name at index 23 of the static table: authorization (RFC 7541 section 6.2.3, appendix A).
NEVER_INDEXED_AUTHORIZATION = b"\x1f\x08"


class AuthorizationAdder:
    """Octets of the client in, octets for the server out.

    `read_token` is asked once for each call, so that a renewed token is used at once.
    A block after a call's first is its trailers and passes as it is.
    """

    def __init__(self, read_token: Callable[[], str]) -> None:
        self._read_token = read_token
        self._kept = bytearray()
        self._is_begun = False
        self._newest_stream = 0
        self._is_request = False

    def feed(self, octets: bytes) -> bytes:
        """Return what may be sent on; an incomplete frame is kept until its rest comes."""
        self._kept += octets
        out = bytearray()
        if not self._is_begun and len(self._kept) >= PREFACE_OCTETS:
            self._is_begun = True
            out += self._take(PREFACE_OCTETS)
        while self._is_begun and (frame := self._take_frame()):
            out += self._rewritten(frame)
        return bytes(out)

    def _take_frame(self) -> bytes | None:
        if len(self._kept) < HEAD_OCTETS:
            return None
        octets = HEAD_OCTETS + int.from_bytes(self._kept[:3])
        return self._take(octets) if len(self._kept) >= octets else None

    def _take(self, octets: int) -> bytes:
        taken = bytes(self._kept[:octets])
        del self._kept[:octets]
        return taken

    def _rewritten(self, frame: bytes) -> bytes:
        kind, flags, stream = frame[3], frame[4], int.from_bytes(frame[5:HEAD_OCTETS])
        if kind == HEADERS:
            self._is_request = stream > self._newest_stream
            self._newest_stream = max(stream, self._newest_stream)
        elif kind != CONTINUATION:
            return frame
        if not self._is_request or not flags & END_HEADERS:
            return frame
        return with_field(frame, authorization_field(self._read_token()))


def with_field(frame: bytes, field: bytes) -> bytes:
    """Return a HEADERS or CONTINUATION frame that ends a block, with `field` at the block's end."""
    flags, stream = frame[4], frame[5:HEAD_OCTETS]
    payload = frame[HEAD_OCTETS:]
    if not (frame[3] == HEADERS and flags & PADDED) and len(payload) + len(field) <= FRAME_OCTETS:
        return (len(payload) + len(field)).to_bytes(3) + frame[3:HEAD_OCTETS] + payload + field
    # Padding ends the frame, or the frame is full: the field goes into a frame of its own.
    opened = frame[:4] + bytes((flags & ~END_HEADERS,)) + frame[5:]
    return opened + len(field).to_bytes(3) + bytes((CONTINUATION, END_HEADERS)) + stream + field


def authorization_field(token: str) -> bytes:
    """Return `authorization: Bearer <token>` as an HPACK literal that no table remembers."""
    value = b"Bearer " + token.encode("ascii")
    return NEVER_INDEXED_AUTHORIZATION + length(len(value)) + value


def length(octets: int) -> bytes:
    """Return an integer with a prefix of 7 bits, no Huffman flag (RFC 7541 sections 5.1 and 5.2)."""
    if octets < 127:
        return bytes((octets,))
    coded = bytearray((127,))
    rest = octets - 127
    while rest >= 128:
        coded.append(rest % 128 + 128)
        rest //= 128
    coded.append(rest)
    return bytes(coded)
