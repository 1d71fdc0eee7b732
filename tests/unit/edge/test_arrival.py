"""A connection before it speaks HTTP/2: what the other tests of a real door cannot count."""

import asyncio
import socket
from typing import Any

from proxy.edge.arrival import Arrival
from proxy.edge.host import Host
from proxy.edge.watch import Poller
from proxy.events import ConnectionClosed, ConnectionFault
from proxy.settings.listen import Listen
from tests.helpers.talk import Farm


class CountingSocket(socket.socket):
    """A socket that counts how often it is looked at."""

    looks = 0

    def recv(self, *args: Any) -> bytes:
        """Look."""
        self.looks += 1
        return super().recv(*args)


def connected() -> tuple[CountingSocket, socket.socket]:
    """Return both ends of a TCP connection of this machine, not blocking."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        caller = socket.create_connection(server.getsockname())
        taken, _ = server.accept()
    counting = CountingSocket(fileno=taken.detach())
    counting.setblocking(False)
    return counting, caller


def test_a_header_that_stays_unfinished_leaves_the_loop_at_rest() -> None:
    farm = Farm()

    async def story() -> int:
        sock, caller = connected()
        loop = asyncio.get_running_loop()
        poller = Poller(loop)
        host = Host(farm.world, Listen(), loop, poller, lambda _: None, lambda _: None, asyncio.Protocol)
        arrival = Arrival(
            host, sock, None, address="127.0.0.1", peer="",  # type: ignore[arg-type]
            named=lambda *_: None, done=lambda *_: None,
        )  # fmt: skip
        for octets in (b"PROXY", b" TCP4 192.0.2.7"):
            caller.sendall(octets)
            # As many turns as a loop would spin in that never rests.
            for _ in range(200):
                await asyncio.sleep(0.0001)
        looks = sock.looks
        arrival.close(ConnectionFault.PROXY_HEADER, "over")
        caller.close()
        poller.close()
        return looks

    looks = asyncio.run(story())

    assert 1 <= looks <= 2
    assert [event.fault for event in farm.heard(ConnectionClosed)] == [ConnectionFault.PROXY_HEADER]
