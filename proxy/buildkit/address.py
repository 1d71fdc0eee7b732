"""Where the daemon listens: `unix:///run/buildkit/buildkitd.sock`, `docker:///var/run/docker.sock`.

Both are unix sockets. Behind `docker` sits a Docker daemon, whose embedded BuildKit
is reached by an upgrade of HTTP/1.1. Addresses on a network are refused: buildkitd
trusts whoever reaches it, so nobody but kilngate may.
"""

from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

# sockaddr_un.sun_path holds 108 octets, the closing NUL among them (unix(7)).
MOST_PATH_OCTETS = 107


class UpstreamKind(Enum):
    """What answers at a socket; the value is the scheme of its URL."""

    UNIX = "unix"
    DOCKER = "docker"


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """A daemon's socket: `path` is absolute."""

    kind: UpstreamKind
    path: str

    def __str__(self) -> str:
        return f"{self.kind.value}://{self.path}"


def parse_upstream(url: str) -> UpstreamAddress:
    """Return the address that `url` names.

    Raises:
        ValueError: not `unix://` or `docker://` and an absolute path; says what is.
    """
    parts = urlsplit(url)
    kinds = {kind.value: kind for kind in UpstreamKind}
    if parts.scheme in ("tcp", "http", "https"):
        raise ValueError("buildkitd must listen on a unix socket only: whoever reaches its TCP port owns it")
    if parts.scheme not in kinds or parts.netloc or parts.query or parts.fragment or not parts.path.startswith("/"):
        raise ValueError("expected unix:///run/buildkit/buildkitd.sock or docker:///var/run/docker.sock")
    if len(parts.path.encode()) > MOST_PATH_OCTETS or not url.isprintable():
        raise ValueError(f"the path of a unix socket has at most {MOST_PATH_OCTETS} printable octets")
    return UpstreamAddress(kinds[parts.scheme], parts.path)
