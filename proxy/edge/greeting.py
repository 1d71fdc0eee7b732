"""The first octets of a caller: what does it speak?"""

import re
from enum import Enum
from typing import Final

from proxy.edge.proxy_header import SIGNATURE_2
from proxy.http2.frames import PREFACE

# Enough of an HTTP/1.1 request to know it for one: a method, known or not. `PRI` is for HTTP/2 alone (RFC 9113 11.6).
_METHOD: Final = re.compile(rb"(?!PRI )[A-Z]{1,16}(?: |\Z)")


class Speech(Enum):
    """What the first octets are."""

    UNCLEAR = "more octets are needed"
    HTTP2 = "the HTTP/2 preface"
    HTTP1 = "an HTTP/1.1 request"
    OTHER = "something else"


def instead_of_tls(start: bytes) -> str:
    """Return a word for the operator on a caller who does not begin with TLS."""
    if start.startswith((b"PROXY ", SIGNATURE_2)):
        return "a PROXY header, from an address that is not in listen.proxy_protocol_from"
    if start.startswith(PREFACE[:8]) or (b" " in start and _METHOD.match(start)):
        return "HTTP without TLS"
    return f"the first octets are {start[:8]!r}"


def recognise(start: bytes | memoryview) -> Speech:
    """Return what `start`, all octets so far, begins with."""
    said = bytes(start[: len(PREFACE)])
    if said == PREFACE[: len(said)]:
        return Speech.HTTP2 if len(said) == len(PREFACE) else Speech.UNCLEAR
    if not _METHOD.match(said):
        return Speech.OTHER
    return Speech.HTTP1 if b" " in said else Speech.UNCLEAR
