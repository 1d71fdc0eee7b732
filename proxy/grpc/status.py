"""How a call ends: the fields that carry a status, and the text within them.

Source: PROTOCOL-HTTP2.md, "Responses", and its percent-encoding of Status-Message.
"""

import re
from collections.abc import Sequence

from proxy.reasons import Code

Field = tuple[bytes, bytes]

_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_VERBATIM = frozenset(range(0x20, 0x7F)) - {ord("%")}
_CODES = {b"%d" % code: code for code in Code}


def trailers(code: Code, message: str) -> list[Field]:
    """Return the fields that end a call whose response head was sent already."""
    return [(b"grpc-status", b"%d" % code), (b"grpc-message", percent_encode(message))]


def trailers_only(code: Code, message: str) -> list[Field]:
    """Return the one head that is the whole answer of a call."""
    return [(b":status", b"200"), (b"content-type", b"application/grpc"), *trailers(code, message)]


def percent_encode(message: str) -> bytes:
    """Return `message` as UTF-8 in which all but printable ASCII, and `%`, is written `%XX`."""
    raw = message.encode("utf-8", "replace")
    return b"".join(b"%c" % octet if octet in _VERBATIM else b"%%%02X" % octet for octet in raw)


def percent_decode(value: bytes) -> str:
    """Return the text of `value`; never fails, as the source demands: what is no escape stays as it is."""
    raw = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), value)
    return raw.decode("utf-8", "replace")


def read_status(fields: Sequence[Field]) -> tuple[Code, str] | None:
    """Return the status and message that `fields` carry, or None if they carry none.

    A status that is no known code reads as UNKNOWN, and so do two that differ.
    """
    said = {value for name, value in fields if name == b"grpc-status"}
    if not said:
        return None
    code = _CODES.get(said.pop(), Code.UNKNOWN) if len(said) == 1 else Code.UNKNOWN
    message = next((value for name, value in fields if name == b"grpc-message"), b"")
    return code, percent_decode(message)
