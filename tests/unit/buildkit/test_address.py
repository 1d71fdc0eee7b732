"""Addresses of daemons."""

import pytest

from proxy.buildkit.address import UpstreamAddress, parse_upstream


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("unix:///run/buildkit/buildkitd.sock", UpstreamAddress("unix", "/run/buildkit/buildkitd.sock")),
        ("docker:///var/run/docker.sock", UpstreamAddress("docker", "/var/run/docker.sock")),
        ("unix:///" + "a" * 106, UpstreamAddress("unix", "/" + "a" * 106)),
    ],
)
def test_the_socket_of_a_daemon_is_read_and_written(url: str, address: UpstreamAddress) -> None:
    assert parse_upstream(url) == address
    assert str(address) == url


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("tcp://buildkitd:1234", "unix socket only"),
        ("https://farm.example.com", "unix socket only"),
        ("/run/buildkit/buildkitd.sock", "expected unix:///"),
        ("unix://run/buildkit/buildkitd.sock", "expected unix:///"),
        ("unix:", "expected unix:///"),
        ("unix:run", "expected unix:///"),
        ("ssh:///a", "expected unix:///"),
        ("", "expected unix:///"),
        ("unix:///a?b", "expected unix:///"),
        ("unix:///a#b", "expected unix:///"),
        ("unix:///" + "a" * 107, "at most 107"),
        ("unix:///" + "ü" * 54, "at most 107"),
        ("unix:///a\0b", "printable"),
        ("unix:///a\nb", "printable"),
    ],
)
def test_every_other_address_is_refused_with_what_is_expected(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_upstream(url)
