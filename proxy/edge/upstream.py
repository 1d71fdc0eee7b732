"""Connections to the build daemon's socket.

Source: unix(7); `proxy.buildkit.upgrade` for the way through a Docker daemon.
"""

import asyncio
import socket

from proxy.buildkit.address import UpstreamAddress
from proxy.buildkit.upgrade import UPGRADE_REQUEST, UpgradeRefused, read_upgrade

OPEN_LIMIT_S = 5.0
# connect(2) never blocks on a unix socket: with a full backlog it says EAGAIN, and polling
# tells nothing. So try again, as seldom as nobody would notice.
_RETRY_S = 0.01
_READ_OCTETS = 4096


async def open_upstream(address: UpstreamAddress) -> tuple[socket.socket, bytes]:
    """Return a connected, non-blocking socket that waits for the HTTP/2 client preface.

    Beside it are octets of HTTP/2 that the daemon sent already.

    Raises:
        OSError: nobody listens, the socket may not be opened, a Docker daemon refused
            the upgrade (`UpgradeRefused`), or it took longer than `OPEN_LIMIT_S`
            (`TimeoutError`). The text says which, for the operator.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        async with asyncio.timeout(OPEN_LIMIT_S):
            await _connect(sock, address.path)
            early = await _upgrade(sock) if address.scheme == "docker" else b""
    except TimeoutError:
        sock.close()
        raise TimeoutError(f"it did not answer within {OPEN_LIMIT_S:g} s") from None
    except BaseException:
        sock.close()
        raise
    return sock, early


async def _connect(sock: socket.socket, path: str) -> None:
    while True:
        try:
            sock.connect(path)
        except BlockingIOError:
            await asyncio.sleep(_RETRY_S)
        else:
            return


async def _upgrade(sock: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, UPGRADE_REQUEST)
    octets = b""
    while (early := read_upgrade(octets)) is None:
        more = await loop.sock_recv(sock, _READ_OCTETS)
        if not more:
            raise UpgradeRefused("it closed the connection during the upgrade")
        octets += more
    return early
