import pytest

from proxy.settings.address import Endpoint, parse_endpoint, parse_network


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        ("0.0.0.0:8443", "0.0.0.0", 8443, False),
        ("127.0.0.1:0", "127.0.0.1", 0, True),
        ("localhost:8443", "127.0.0.1", 8443, True),
        ("[::]:8443", "::", 8443, False),
        ("[::1]:65535", "::1", 65535, True),
        ("10.1.2.3:443", "10.1.2.3", 443, False),
    ],
)
def test_an_address_is_an_ip_address_and_a_port(text: str, host: str, port: int, is_loopback: bool) -> None:
    endpoint = parse_endpoint(text)

    assert endpoint == Endpoint(host, port)
    assert endpoint.is_loopback is is_loopback


@pytest.mark.parametrize("text", ["0.0.0.0:8443", "[::1]:9464"])
def test_an_address_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_endpoint(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":8443",
        "8443",
        "0.0.0.0",
        "0.0.0.0:",
        "0.0.0.0:x",
        "0.0.0.0:65536",
        "0.0.0.0:-1",
        "::1:80",
        "[::1]",
        "[10.0.0.1]:80",
        *["farm.example.com:8443", "0.0.0.0:٨٠", "0.0.0.0:123456", "[localhost]:80", "127.1:80", "::ffff:10.0.0.1:80"],
    ],
)
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="not an address; expected an IP address and a port"):
        parse_endpoint(text)


def test_a_network_has_no_bits_beyond_its_mask() -> None:
    assert str(parse_network("10.0.0.0/8")) == "10.0.0.0/8"
    assert str(parse_network("fd00::1")) == "fd00::1/128"
    with pytest.raises(ValueError, match=r"has host bits set\); expected one such as"):
        parse_network("10.0.0.1/8")
