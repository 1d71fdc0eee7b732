"""The bare engine, without a door: what a client or a test sees if it speaks to the daemon itself."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.lab.sockets import UPGRADE, read_upgrade, remove_sockets, socket_directory


@contextmanager
def bare(url: str, directory: Path) -> Iterator[str]:
    """Give a unix endpoint at which `url` can be dialled without an upgrade."""
    if url.startswith("unix://"):
        yield url
        return
    path = socket_directory(directory) / "bare.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=serve, args=(listener, url.removeprefix("docker://")), daemon=True).start()
        yield f"unix://{path}"
        listener.shutdown(socket.SHUT_RDWR)
    remove_sockets(path.parent)


def serve(listener: socket.socket, daemon: str) -> None:
    """Take connections until the listener is shut."""
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=join, args=(near, daemon), daemon=True).start()


def join(near: socket.socket, daemon: str) -> None:
    """Join a client to the daemon until both have ended."""
    with near, socket.socket(socket.AF_UNIX) as far:
        try:
            far.connect(daemon)
            far.sendall(UPGRADE)
            read_upgrade(far)
        except (OSError, EOFError):
            return
        up = threading.Thread(target=copy, args=(near, far), daemon=True)
        up.start()
        copy(far, near)
        up.join()


def copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy until either side ends, then end the other."""
    try:
        while octets := source.recv(1 << 16):
            sink.sendall(octets)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
