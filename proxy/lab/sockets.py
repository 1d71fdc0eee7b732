"""Free ports, socket paths that are short enough, and who answers HTTP/2 on a socket."""

import hashlib
import os
import shutil
import socket
import tempfile
from pathlib import Path

from proxy.lab.missing import Missing

# sun_path holds 108 octets with its final NUL (unix(7)); daemons add names of their own, the longest about 40.
LONGEST_DIRECTORY = 64
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\x00" + bytes(4)
UPGRADE = b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
SETTINGS_TYPE = 4


def free_port(preferred: int = 0) -> int:
    """Return a loopback port that nobody listens on: the preferred one if it is free."""
    with socket.socket() as probe:
        # As a server would bind it: connections of an earlier run that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_taken(port: int) -> bool:
    """Return whether somebody takes connections on a loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3.0):
            return True
    except OSError:
        return False


def is_open(path: Path) -> bool:
    """Return whether somebody takes connections on a unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def socket_directory(wanted: Path) -> Path:
    """Return `wanted`, created; or one in the temporary directory if a socket beneath `wanted` had too long a path.

    The same `wanted` always gives the same directory.

    Raises:
        Missing: somebody else owns the temporary directory of that name.
    """
    chosen = wanted.absolute()
    if len(bytes(chosen)) > LONGEST_DIRECTORY:
        chosen = Path(tempfile.gettempdir(), f"kilngate-{hashlib.sha256(bytes(chosen)).hexdigest()[:12]}")
    chosen.mkdir(mode=0o700, parents=True, exist_ok=True)
    if chosen.is_symlink() or chosen.stat().st_uid != os.geteuid():
        raise Missing(f"{chosen} belongs to somebody else; remove it")
    return chosen


def remove_sockets(directory: Path) -> None:
    """Remove a directory that `socket_directory` gave, with all that daemons left in it."""
    shutil.rmtree(directory, ignore_errors=True)


def answers_http2(url: str, timeout_s: float = 3.0) -> bool:
    """Return whether the first frame from `unix:///path` or `docker:///path` is an HTTP/2 SETTINGS frame."""
    scheme, _, path = url.partition("://")
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(path)
            if scheme == "docker":
                connection.sendall(UPGRADE)
                if not read_upgrade(connection):
                    return False
            connection.sendall(PREFACE)
            return read(connection, 9)[3] == SETTINGS_TYPE
    except (OSError, EOFError):
        return False


def read_upgrade(connection: socket.socket) -> bool:
    """Read the head of the answer to UPGRADE, and no octet more; return whether it says 101."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read(connection, 1)
    return head.split(b" ", 2)[1] == b"101"


def read(connection: socket.socket, octets: int) -> bytes:
    """Read exactly so many octets.

    Raises:
        EOFError: the connection ended before.
    """
    got = b""
    while len(got) < octets:
        chunk = connection.recv(octets - len(got))
        if not chunk:
            raise EOFError
        got += chunk
    return got
