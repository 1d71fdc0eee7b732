"""The bare engine, without a door: what a client or a test sees if it speaks to the daemon itself."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.lab.sockets import UPGRADE, read_upgrade, socket_directory


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


def serve(listener: socket.socket, daemon: str) -> None:
    """Take connections until the listener is shut."""
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        far = socket.socket(socket.AF_UNIX)
        far.connect(daemon)
        far.sendall(UPGRADE)
        read_upgrade(far)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=copy, args=(source, sink), daemon=True).start()


def copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the source ends, then end the sink."""
    try:
        while octets := source.recv(1 << 16):
            sink.sendall(octets)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            end.close()
