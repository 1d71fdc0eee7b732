"""The PROXY protocol: who really calls, as a load balancer tells it in front of TLS.

Only listed balancers are believed, and from them the header is demanded: a stranger
who could send one would choose his own address.

Source: haproxy doc/proxy-protocol.txt, sections 2.1 (version 1) and 2.2 (version 2).
"""

import ipaddress
import re
import struct
from typing import Final, NamedTuple

SIGNATURE_2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
# A version 1 line has at most 107 octets; version 2 may add TLVs, of which nobody sends more.
MAX_HEADER_OCTETS: Final = 1024
_MAX_LINE_OCTETS: Final = 107
_LINE = re.compile(rb"PROXY (TCP4|TCP6) (\S{1,45}) (\S{1,45}) ([0-9]{1,5}) ([0-9]{1,5})\r\n")
_FIXED = struct.Struct(">12sBBH")
_ADDRESS_OCTETS = {1: 4, 2: 16}


class ProxyHeader(NamedTuple):
    """A read header: its length in octets, and the caller; None for the balancer's own health checks."""

    octets: int
    address: str | None
    port: int


def read_proxy_header(start: bytes) -> ProxyHeader | None:
    """Return the header at the start of a connection, or None if more octets are needed.

    Raises:
        ValueError: this is no PROXY header.
    """
    if start[: len(SIGNATURE_2)] == SIGNATURE_2[: len(start)]:
        return _version_2(start) if len(start) >= _FIXED.size else None
    if start[:6] == b"PROXY "[: len(start)]:
        return _version_1(start)
    raise ValueError("no PROXY header")


def _version_1(start: bytes) -> ProxyHeader | None:
    end = start.find(b"\r\n")
    if end < 0:
        if len(start) >= _MAX_LINE_OCTETS:
            raise ValueError("PROXY line too long")
        return None
    line = start[: end + 2]
    if line.startswith(b"PROXY UNKNOWN"):
        return ProxyHeader(len(line), None, 0)
    found = _LINE.fullmatch(line)
    if found is None or int(found[4]) > 65535:
        raise ValueError("PROXY line cannot be read")
    address = ipaddress.ip_address(found[2].decode("ascii", "replace"))
    if address.version != (4 if found[1] == b"TCP4" else 6):
        raise ValueError("PROXY line names the wrong family")
    return ProxyHeader(len(line), str(address), int(found[4]))


def _version_2(start: bytes) -> ProxyHeader | None:
    _, version_command, family, length = _FIXED.unpack_from(start)
    if version_command not in (0x20, 0x21) or _FIXED.size + length > MAX_HEADER_OCTETS:
        raise ValueError("PROXY header of an unknown version or too long")
    if len(start) < _FIXED.size + length:
        return None
    width = _ADDRESS_OCTETS.get(family >> 4)
    if version_command == 0x20 or width is None:
        return ProxyHeader(_FIXED.size + length, None, 0)
    if family & 0xF != 1 or length < 2 * width + 4:
        raise ValueError("PROXY header without a TCP address")
    at = _FIXED.size
    address = ipaddress.ip_address(start[at : at + width])
    (port,) = struct.unpack_from(">H", start, at + 2 * width)
    return ProxyHeader(_FIXED.size + length, str(address), port)
