"""The other end of a connection, in words."""

import pytest

from proxy.edge.peer import peer, plain_address


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::1"),
        ("2001:db8::7", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_an_ipv4_address_is_one_whatever_the_socket_calls_it(address: str, plain: str) -> None:
    assert plain_address(address) == plain


def test_an_ipv6_address_stands_in_brackets_before_its_port() -> None:
    assert peer("2001:db8::7", 443) == "[2001:db8::7]:443"
    assert peer("192.0.2.7", 443) == "192.0.2.7:443"
