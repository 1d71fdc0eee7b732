import pytest

from proxy.identity.tokens.places import discovery_place, is_loopback, linked_place_fault, place_fault


@pytest.mark.parametrize(
    "url",
    [
        "https://issuer.example.com",
        "https://issuer.example.com:8443/a/b?c=d",
        "https://[2001:db8::1]/keys",
        "http://127.0.0.1:8080",
        "http://[::1]:8080/keys",
        "http://localhost:8080",
    ],
)
def test_keys_may_come_by_https_and_from_this_machine(url: str) -> None:
    assert place_fault(url) is None


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://issuer.example.com", "https://"),
        ("http://localhost.example.com", "https://"),
        ("http://127.0.0.1.example.com", "https://"),
        ("http://10.0.0.1/keys", "https://"),
        ("file:///etc/passwd", "not a URL"),
        ("ftp://issuer.example.com", "https://"),
        ("data:application/json,{}", "not a URL"),
        ("issuer.example.com", "not a URL"),
        ("kubernetes/serviceaccount", "not a URL"),
        ("https://", "not a URL"),
        ("https://user@issuer.example.com", "no user name"),
        ("https://:secret@issuer.example.com", "no user name"),
        ("https://issuer.example.com/#keys", "fragment"),
        ("https://issuer.example.com:port", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://issuer.example.com/a b", "not a URL"),
        ("https://issuer.example.com/\x7f", "not a URL"),
        ("https://issuer.example.com/\r\nhost: x", "not a URL"),
        ("https://issuér.example.com", "not a URL"),
    ],
)
def test_keys_may_come_from_nowhere_else(url: str, what: str) -> None:
    fault = place_fault(url)

    assert fault is not None
    assert what in fault


def test_an_issuer_elsewhere_cannot_point_at_a_service_of_this_machine() -> None:
    assert linked_place_fault("http://127.0.0.1/keys", issuer="https://issuer.example.com")
    assert linked_place_fault("http://127.0.0.1/keys", issuer="http://127.0.0.1") is None
    assert linked_place_fault("https://keys.example.com", issuer="https://issuer.example.com") is None
    assert linked_place_fault("file:///etc/passwd", issuer="https://issuer.example.com")


@pytest.mark.parametrize("issuer", ["https://issuer.example.com/a", "https://issuer.example.com/a/"])
def test_the_discovery_document_is_below_the_issuer(issuer: str) -> None:
    assert discovery_place(issuer) == "https://issuer.example.com/a/.well-known/openid-configuration"


def test_loopback_is_a_number_or_localhost() -> None:
    assert is_loopback("127.8.8.8")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("8.8.8.8")
    assert not is_loopback("localhost.localdomain")
