"""Where the daemon listens: `unix:///run/buildkit/buildkitd.sock`, `docker:///var/run/docker.sock`.

Both are unix sockets. Behind `docker` sits a Docker daemon, whose embedded BuildKit
is reached by an upgrade of HTTP/1.1. Addresses on a network are refused: buildkitd
trusts whoever reaches it, so nobody but kilngate may.
"""

from typing import Literal, NamedTuple
from urllib.parse import urlsplit

Scheme = Literal["unix", "docker"]

SCHEMES: dict[str, Scheme] = {"unix": "unix", "docker": "docker"}
# sockaddr_un.sun_path holds 108 octets, the closing NUL among them (unix(7)).
MOST_PATH_OCTETS = 107


class UpstreamAddress(NamedTuple):
    """A unix socket, by its absolute path, that speaks BuildKit at once (`unix`) or after an upgrade (`docker`)."""

    scheme: Scheme
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"


def parse_upstream(url: str) -> UpstreamAddress:
    """Return the address that `url` names.

    Raises:
        ValueError: not `unix://` or `docker://` and an absolute path; says what is.
    """
    parts = urlsplit(url)
    if parts.scheme in ("tcp", "http", "https"):
        raise ValueError("buildkitd must listen on a unix socket only: whoever reaches its TCP port owns it")
    if parts.scheme not in SCHEMES or parts.netloc or parts.query or parts.fragment or not parts.path.startswith("/"):
        raise ValueError("expected unix:///run/buildkit/buildkitd.sock or docker:///var/run/docker.sock")
    if len(parts.path.encode()) > MOST_PATH_OCTETS or not url.isprintable():
        raise ValueError(f"the path of a unix socket has at most {MOST_PATH_OCTETS} printable octets")
    return UpstreamAddress(SCHEMES[parts.scheme], parts.path)
