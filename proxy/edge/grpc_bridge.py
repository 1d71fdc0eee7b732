"""A private unix socket behind which the connection to the daemon is upgraded already.

grpcio dials sockets itself and cannot speak HTTP/1.1 first, so it dials this one.
"""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from proxy.buildkit.address import UpstreamAddress
from proxy.edge.upstream import open_upstream

_READ_OCTETS = 65_536


@asynccontextmanager
async def bridged(address: UpstreamAddress) -> AsyncIterator[str]:
    """Yield the path of a socket that leads to `address`, for our user alone, as long as the block lasts."""
    # The directory has mode 0700: nobody else can reach what is in it.
    with tempfile.TemporaryDirectory(prefix="kilngate-") as directory, socket.socket(socket.AF_UNIX) as listener:
        path = f"{directory}/grpc"
        listener.bind(path)
        listener.listen()
        listener.setblocking(False)
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(_serve(listener, address))
            try:
                yield path
            except Exception as error:
                # A group would wrap it.
                failure = error
            serving.cancel()
        if failure:
            raise failure


async def _serve(listener: socket.socket, address: UpstreamAddress) -> None:
    """Carry one connection after the other; a look at the daemon needs one."""
    loop = asyncio.get_running_loop()
    while True:
        near, _ = await loop.sock_accept(listener)
        with near:
            try:
                far, early = await open_upstream(address)
            except OSError:
                continue
            with far:
                await _splice(near, far, early)


async def _splice(near: socket.socket, far: socket.socket, early: bytes) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_copy(near, far, b""))
        tasks.create_task(_copy(far, near, early))


async def _copy(source: socket.socket, target: socket.socket, octets: bytes) -> None:
    """Copy until the source ends; a broken connection is an end, too."""
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(target, octets)
        while octets := await loop.sock_recv(source, _READ_OCTETS):
            await loop.sock_sendall(target, octets)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # Wake whoever still copies the other way.
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
