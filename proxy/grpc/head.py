"""The head of a call: judged strictly, then reduced to what the daemon may see.

A head is read once for each distinct header block of a connection (the relay
remembers the result), but a caller may make every block distinct: so the usual
head is judged in a few passes over all names and all values at once.

Source: RFC 9113 section 8.2 and 8.3; PROTOCOL-HTTP2.md, "Requests".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.errors import Refused
from proxy.reasons import Reason

Fields = Sequence[tuple[bytes, bytes]]

_NAME_OCTETS = b"0123456789abcdefghijklmnopqrstuvwxyz_.-"
_VALUE_OCTETS = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
_NEEDED_PSEUDO = frozenset({b":method", b":scheme", b":path"})
_KNOWN_PSEUDO = _NEEDED_PSEUDO | {b":authority"}
_SCHEMES = frozenset({b"http", b"https"})
_CONTENT_TYPES = frozenset({b"application/grpc", b"application/grpc+proto"})
# Fields of one connection have no meaning on the next (RFC 9113 8.2.2). A length beside
# END_STREAM and gRPC's own lengths is a third opinion that we would have to check.
_UNWELCOME = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"content-length"}
)
_SINGULAR = frozenset({b"host", b"te", b"content-type", b"grpc-timeout", b"grpc-encoding"})
# PROTOCOL-HTTP2.md, "Timeout": at most 8 digits and a unit. The daemon keeps the time; we only see that it can be read.
_TIMEOUT = re.compile(rb"[0-9]{1,8}[HMSmun]")
_BINARY = re.compile(rb"[A-Za-z0-9+/]*={0,2}(?:,[A-Za-z0-9+/]*={0,2})*")

# Whoever sits behind may believe these about the caller: only we may say them, and we
# say nothing. `-` and `_` are the same to many servers.
_WITHHELD = frozenset(
    {b"authorization", b"cookie", b"forwarded", b"expect", b"remote-user", b"x-real-ip", b"x-remote-user"}
    # What an environment put into a trace is kept by the daemon, with the trace: tokens were seen there.
    | {b"tracestate", b"baggage"}
) | (_UNWELCOME - {b"proxy-connection"})
_WITHHELD_PREFIXES = (b"x-kilngate", b"x-forwarded", b"x-tenant", b"x-auth", b"x-client", b"proxy-")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A head that may be judged; `path` is exactly as sent."""

    path: bytes
    authorization: tuple[bytes, ...]
    fields: tuple[tuple[bytes, bytes], ...]

    def value(self, name: bytes) -> tuple[bytes, ...]:
        """Return all values of the field `name` (lower case), in order."""
        return tuple(value for other, value in self.fields if other == name)


def parse_request(fields: Fields) -> RequestHead:
    """Return what a request's head says.

    Raises:
        Refused: REQUEST_MALFORMED, if HTTP/2 or gRPC forbids it, or if two servers
            could read it differently.
    """
    pseudo = _read_pseudo(fields)
    regular = fields[len(pseudo) :]
    _check_octets(regular, pseudo)
    said = _read_regular(regular)
    _check_meaning(pseudo, said)
    return RequestHead(
        path=pseudo[b":path"],
        authorization=tuple(value for name, value in regular if name == b"authorization"),
        fields=tuple(fields),
    )


def forwardable(fields: Fields) -> list[tuple[bytes, bytes]]:
    """Return the fields that may reach the daemon, in order and unchanged."""
    return [field for field in fields if not is_withheld(field[0])]


def is_withheld(name: bytes) -> bool:
    """Tell whether the field `name`, in any spelling, must not reach the daemon."""
    plain = name.lower().replace(b"_", b"-")
    return plain in _WITHHELD or plain.startswith(_WITHHELD_PREFIXES)


def _read_pseudo(fields: Fields) -> dict[bytes, bytes]:
    """Return the pseudo-header fields, which come first and once each."""
    pseudo: dict[bytes, bytes] = {}
    for name, value in fields:
        if not name.startswith(b":"):
            break
        if name in pseudo or name not in _KNOWN_PSEUDO:
            raise _malformed("a pseudo-header field is unknown or sent twice")
        pseudo[name] = value
    if not pseudo.keys() >= _NEEDED_PSEUDO:
        raise _malformed("a pseudo-header field is missing")
    return pseudo


def _check_octets(regular: Fields, pseudo: dict[bytes, bytes]) -> None:
    """Refuse names and values with octets that some server reads as a separator."""
    names = [name for name, _ in regular]
    values = [value for _, value in regular] + list(pseudo.values())
    if b"" in names or b"".join(names).translate(None, _NAME_OCTETS):
        raise _malformed("a field name is empty or has an octet that no name may have")
    if b"".join(values).translate(None, _VALUE_OCTETS):
        raise _malformed("a field value has a control character")
    if any(value != value.strip(b" \t") for value in values):
        raise _malformed("a field value begins or ends with a space")


def _read_regular(regular: Fields) -> dict[bytes, bytes]:
    """Return the regular fields by name, after refusing those that must not be there or be there twice."""
    said = dict(regular)
    if len(said) != len(regular):
        names = [name for name, _ in regular]
        if any(names.count(name) > 1 for name in _SINGULAR):
            raise _malformed("a field that must be sent once is sent twice")
    if not _UNWELCOME.isdisjoint(said):
        raise _malformed("a field of HTTP/1.1 connections or a content-length is sent")
    for name, value in regular:
        if name.endswith(b"-bin") and not _is_base64(value):
            raise _malformed("a binary field is not base64")
    return said


def _check_meaning(pseudo: dict[bytes, bytes], said: dict[bytes, bytes]) -> None:
    """Refuse what is well-formed HTTP/2 but no gRPC call."""
    if pseudo[b":method"] != b"POST":
        raise _malformed("the method is not POST")
    if pseudo[b":scheme"] not in _SCHEMES:
        raise _malformed("the scheme is neither http nor https")
    if not pseudo[b":path"].startswith(b"/"):
        raise _malformed("the path does not begin with /")
    if b"host" in said and pseudo.get(b":authority", said[b"host"]) != said[b"host"]:
        raise _malformed("host and :authority differ")
    if said.get(b"te", b"trailers") != b"trailers":
        raise _malformed("te is not trailers")
    if said.get(b"content-type") not in _CONTENT_TYPES:
        raise _malformed("the content-type is not application/grpc")
    if b"grpc-timeout" in said and not _TIMEOUT.fullmatch(said[b"grpc-timeout"]):
        raise _malformed("malformed grpc-timeout")


def _is_base64(value: bytes) -> bool:
    """Tell whether `value` is base64, padded or not, or a comma list of such."""
    return _BINARY.fullmatch(value) is not None and all(len(one.rstrip(b"=")) % 4 != 1 for one in value.split(b","))


def _malformed(why: str) -> Refused:
    return Refused(Reason.REQUEST_MALFORMED, why=why)
