"""From HTTP/1.1 to the BuildKit inside a Docker daemon: `POST /grpc`, upgraded to h2c.

Source: moby/moby api/server/router/grpc/grpc_routes.go; RFC 9110 section 7.8. After
the head of the 101 answer the connection speaks HTTP/2, beginning with the client's
preface.
"""

UPGRADE_REQUEST = b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
MOST_HEAD_OCTETS = 16_384
_END = b"\r\n\r\n"


class UpgradeRefused(ConnectionError):
    """The daemon does not change to gRPC; the text says what it answered."""


def read_upgrade(octets: bytes) -> bytes | None:
    """Return what follows the head of the answer, or None while the head is not complete.

    Raises:
        UpgradeRefused: the answer is not 101 to h2c, or is no HTTP/1.1.
    """
    head, end, rest = octets.partition(_END)
    if not end:
        if len(octets) > MOST_HEAD_OCTETS or not octets.startswith(b"HTTP/1.1 "[: len(octets)]):
            raise UpgradeRefused("it does not speak HTTP/1.1: is it a Docker daemon?")
        return None
    status, *lines = head.split(b"\r\n")
    if not status.startswith(b"HTTP/1.1 101"):
        said = status.decode("ascii", "replace")[:80]
        raise UpgradeRefused(
            f"it answered {said!r} to POST /grpc: is it a Docker daemon with BuildKit (23.0 or later)?"
        )
    if not any(_is_h2c(line) for line in lines):
        raise UpgradeRefused("it changed to another protocol than h2c")
    return rest


def _is_h2c(line: bytes) -> bool:
    name, _, value = line.partition(b":")
    return name.lower() == b"upgrade" and value.strip().lower() == b"h2c"
