"""The PROXY protocol, versions 1 and 2: whole, octet by octet, and anything else."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.edge.proxy_header import MAX_HEADER_OCTETS, SIGNATURE_2, ProxyHeader, read_proxy_header

TLS = b"\x16\x03\x01"


def version_2(body: bytes, *, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE_2 + struct.pack(">BBH", command, family, len(body)) + body


def addresses(source: str, port: int = 40_000) -> bytes:
    """Return source and destination, as version 2 packs them."""
    packed = ipaddress.ip_address(source).packed
    return packed + bytes(len(packed)) + struct.pack(">HH", port, 8443)


GOOD = [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 8443\r\n", "192.0.2.7", 40_000),
    (b"PROXY TCP6 2001:DB8::0:7 2001:db8::1 65535 8443\r\n", "2001:db8::7", 65_535),
    (b"PROXY UNKNOWN\r\n", None, 0),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None, 0),
    (version_2(addresses("192.0.2.7")), "192.0.2.7", 40_000),
    (version_2(addresses("2001:db8::7", 1), family=0x21), "2001:db8::7", 1),
    (version_2(addresses("192.0.2.7") + b"\x04\0\x02\0\0"), "192.0.2.7", 40_000),
    (version_2(b"", command=0x20, family=0), None, 0),
    (version_2(addresses("192.0.2.7"), command=0x20), None, 0),
    (version_2(b"", family=0), None, 0),
    (version_2(bytes(216), family=0x31), None, 0),
    (version_2(bytes(MAX_HEADER_OCTETS - 16), family=0), None, 0),
]

BAD = {
    "TLS without a header": TLS + bytes(40),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "lower case": b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "no address": b"PROXY TCP4 192.0.2.7\r\n",
    "no such address": b"PROXY TCP4 192.0.2.777 198.51.100.1 1 2\r\n",
    "an address that is not ASCII": b"PROXY TCP4 \xff\xfe 198.51.100.1 1 2\r\n",
    "IPv6 as TCP4": b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
    "IPv4 as TCP6": b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
    "a port above 65535": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n",
    "UDP": b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "more than a line may say": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
    "two spaces": b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
    "a line without end": b"PROXY TCP4 " + b"1" * 96,
    "version 1 in version 2": version_2(addresses("192.0.2.7"), command=0x11),
    "no such command": version_2(addresses("192.0.2.7"), command=0x22),
    "too long": version_2(bytes(MAX_HEADER_OCTETS - 15)),
    "IPv4 cut short": version_2(addresses("192.0.2.7")[:-1]),
    "IPv6 cut short": version_2(addresses("2001:db8::7")[:-1], family=0x21),
    "UDP in version 2": version_2(addresses("192.0.2.7"), family=0x12),
}


@pytest.mark.parametrize(("header", "address", "port"), GOOD)
def test_a_header_tells_the_caller_and_its_own_length(header: bytes, address: str | None, port: int) -> None:
    assert read_proxy_header(header + TLS) == ProxyHeader(len(header), address, port)


@pytest.mark.parametrize("header", [header for header, _, _ in GOOD])
def test_a_header_that_comes_octet_by_octet_is_waited_for_to_its_last(header: bytes) -> None:
    starts = [read_proxy_header(header[:size]) for size in range(len(header))]

    assert starts == [None] * len(header)
    assert read_proxy_header(header) is not None


@pytest.mark.parametrize("octets", BAD.values(), ids=BAD)
def test_what_is_no_header_is_refused(octets: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_proxy_header(octets)


@pytest.mark.parametrize("octets", BAD.values(), ids=BAD)
def test_what_is_no_header_is_never_taken_for_one_on_its_way(octets: bytes) -> None:
    for size in range(len(octets)):
        try:
            assert read_proxy_header(octets[:size]) is None
        except ValueError:
            return


starts = st.sampled_from(
    [b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN", SIGNATURE_2, SIGNATURE_2 + b"\x21\x11"]
)


@given(starts, st.binary(max_size=200))
def test_whatever_comes_is_a_header_or_more_is_needed_or_it_is_refused(start: bytes, rest: bytes) -> None:
    octets = start + rest
    try:
        header = read_proxy_header(octets)
    except ValueError:
        return

    assert header is None or 0 < header.octets <= len(octets)


@given(st.ip_addresses(), st.integers(0, 65_535), st.binary(max_size=50))
def test_both_versions_tell_the_same(
    source: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, more: bytes
) -> None:
    line = f"PROXY TCP{source.version} {source} {source} {port} 8443\r\n".encode()
    packed = version_2(addresses(str(source), port), family=0x11 if source.version == 4 else 0x21)

    assert read_proxy_header(line + more) == ProxyHeader(len(line), str(source), port)
    assert read_proxy_header(packed + more) == ProxyHeader(len(packed), str(source), port)
