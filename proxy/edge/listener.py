"""The public port: an accept loop of our own.

asyncio's would hide callers until their handshake is over, and spin when descriptors
run out. Here every caller is counted from the first moment, gets the TLS context of
the generation that is in force at that moment, and one timer looks after all deadlines.
"""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterable

from proxy.edge.admission import Admission
from proxy.edge.api.visitor import Visitor
from proxy.edge.arrival import Arrival
from proxy.edge.downstream import Downstream
from proxy.edge.greeting import Speech
from proxy.edge.host import Connection, Host
from proxy.edge.peer import peer as written
from proxy.edge.peer import plain_address
from proxy.edge.tls import ServerTls
from proxy.edge.tls_records import TlsConnection
from proxy.errors import Refused
from proxy.events import ConnectionFault, ConnectionOpened, ConnectionRefused, Warned
from proxy.identity.credentials import PresentedCertificate
from proxy.settings.listen import Listen

# Python 3.11 accepts `backlog` connections in one go; a flood must not hold up the rest.
ACCEPTS_A_TURN = 16
BACKLOG = 512
TICK_S = 1.0
# With no descriptors left, accepting again at once would only burn CPU.
EXHAUSTED_S = 0.5
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        OSError: the address is taken or not ours; the text names it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it; without it small answers wait 40 ms for an ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(f"cannot listen on {written(host, port)} (listen.address): {error.strerror}") from error
    return sock


class Listener:
    """Accepts callers and keeps all of their connections.

    `tls` is what new connections get; assign a new one to reload.
    """

    def __init__(
        self, sock: socket.socket, *, listen: Listen, tls: ServerTls, make_host: Callable[["Listener"], Host]
    ) -> None:
        self.tls = tls
        self._sock = sock
        self._balancers = _networks(listen)
        self._admission = Admission(most=listen.max_connections, most_per_address=listen.max_connections_per_address)
        self._arrivals: set[Arrival] = set()
        self._callers: set[Connection] = set()
        self._host = make_host(self)
        self._is_accepting = False
        self._is_smaller = asyncio.Event()

    @property
    def is_accepting(self) -> bool:
        """New connections are taken."""
        return self._is_accepting

    @property
    def builds(self) -> int:
        """Connections on which a build runs."""
        return sum(1 for caller in self._callers if caller.has_build)

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return len(self._arrivals) + len(self._callers)

    def apply(self, listen: Listen, tls: ServerTls) -> None:
        """Take what a reload brought: new connections get it."""
        self.tls = tls
        self._host.listen = listen
        self._balancers = _networks(listen)
        self._admission.most = listen.max_connections
        self._admission.most_per_address = listen.max_connections_per_address

    async def run(self) -> None:
        """Accept callers and look after deadlines until cancelled."""
        self._accept_again()
        try:
            while True:
                await asyncio.sleep(TICK_S)
                now_ns = self._host.now_ns()
                self._host.world.builds.tick(now_ns)
                for arrival in list(self._arrivals):
                    arrival.tick(now_ns)
                for caller in list(self._callers):
                    caller.tick(now_ns)
        finally:
            self.stop_accepting()

    def stop_accepting(self) -> None:
        """Close the port; connections that are open stay."""
        if self._is_accepting:
            self._is_accepting = False
            self._host.loop.remove_reader(self._sock)
        self._sock.close()

    def drain(self) -> None:
        """Ask callers without a build to leave."""
        for caller in list(self._callers):
            caller.drain()
        for arrival in list(self._arrivals):
            arrival.close(ConnectionFault.DRAINED)

    def cut(self, refused: Refused) -> None:
        """End every call with a sentence."""
        for caller in list(self._callers):
            caller.cut(refused, ConnectionFault.DRAINED)

    def end_withdrawn(self, judge: Callable[[PresentedCertificate], Refused | None]) -> int:
        """End the connections whose certificate may not be used any more, with the sentence that `judge` has for it.

        Return how many there were.
        """
        shown = [(caller, caller.certificate) for caller in list(self._callers)]
        found = [(caller, judge(certificate)) for caller, certificate in shown if certificate is not None]
        ended = [(caller, refused) for caller, refused in found if refused is not None]
        for caller, refused in ended:
            caller.cut(refused, ConnectionFault.REVOKED)
        return len(ended)

    async def wait_empty(self) -> None:
        """Wait until no connection is open."""
        while self.connections:
            self._is_smaller.clear()
            await self._is_smaller.wait()

    def closed(self, caller: Connection) -> None:
        """Forget a connection that closed itself."""
        if caller in self._callers:
            self._callers.discard(caller)
            self._admission.leave(caller.address)
            self._is_smaller.set()

    def _accept_again(self) -> None:
        if self._sock.fileno() >= 0:
            self._is_accepting = True
            self._host.loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            self._take(sock, plain_address(address[0]), address[1])

    def _rest(self, error: OSError) -> None:
        """Accept nothing for a moment: there is nothing to accept with."""
        if error.errno not in _EXHAUSTED:
            return
        self._host.world.emit(Warned(f"cannot accept connections: {error.strerror}"))
        self._host.loop.remove_reader(self._sock)
        self._host.loop.call_later(EXHAUSTED_S, self._accept_again)

    def _take(self, sock: socket.socket, address: str, port: int) -> None:
        peer = written(address, port)
        is_balancer = _is_in(address, self._balancers)
        if (fault := self._admission.fault(None if is_balancer else address)) is not None:
            sock.close()
            self._host.world.emit(ConnectionRefused(peer, fault))
            return
        sock.setblocking(False)
        # A caller who vanishes with octets of ours unread is noticed by the kernel.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 45_000)
        arrival = Arrival(
            self._host,
            sock,
            self.tls,
            address=address,
            peer=peer,
            named=self._named if is_balancer else None,
            done=self._arrived,
        )
        self._host.world.emit(ConnectionOpened(arrival.number, peer))
        if not arrival.is_closed:
            self._admission.enter(address)
            self._arrivals.add(arrival)

    def _named(self, arrival: Arrival, address: str) -> ConnectionFault | None:
        """Count a connection from a balancer as one of the caller's own address; say why it is not taken."""
        self._admission.leave(arrival.address)
        fault = self._admission.fault(address)
        self._admission.enter(address if fault is None else arrival.address)
        return fault

    def _arrived(self, arrival: Arrival, start: bytes | None) -> None:
        """An arrival said what it speaks, or was closed."""
        if arrival not in self._arrivals:
            return
        self._arrivals.discard(arrival)
        self._is_smaller.set()
        if start is None or arrival.tls is None:
            self._admission.leave(arrival.address)
            return
        self._callers.add(self._conversant(arrival, arrival.tls, start))

    def _conversant(self, arrival: Arrival, tls: TlsConnection, start: bytes) -> Connection:
        if arrival.speech is Speech.HTTP1:
            return Visitor(self._host, arrival, tls, start, self._host.new_api())
        return Downstream(self._host, arrival, tls, start)


def _networks(listen: Listen) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(str(network)) for network in listen.proxy_protocol_from)


def _is_in(address: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return any(parsed in network for network in networks)
