"""A caller's connection until it says what it speaks: PROXY header, TLS handshake, first octets.

Nothing here costs more than one small object for each caller, and every step has a
deadline, so that silent and malformed callers cannot pile up.
"""

import socket
from collections.abc import Callable
from contextlib import suppress

from proxy.edge.greeting import Speech, recognise
from proxy.edge.host import Host
from proxy.edge.peer import peer as written
from proxy.edge.peer import plain_address
from proxy.edge.proxy_header import MAX_HEADER_OCTETS, read_proxy_header
from proxy.edge.tls import ServerTls
from proxy.edge.tls_records import PeerClosed, TlsConnection, TlsFailed, Want
from proxy.events import ConnectionClosed, ConnectionFault, HandshakeEnded, HandshakeResult


class Arrival:
    """One connection that was taken and did not say yet what it speaks.

    `done(arrival, octets)` is called with its first octets when `speech` is known, or with
    None when the connection is closed. With `named` a PROXY header comes first: `address`
    and `peer` become the caller's, unless `named(arrival, address)` says why it is not taken.
    """

    def __init__(
        self,
        host: Host,
        sock: socket.socket,
        tls: ServerTls,
        *,
        address: str,
        peer: str,
        named: Callable[["Arrival", str], ConnectionFault | None] | None,
        done: Callable[["Arrival", bytes | None], None],
    ) -> None:
        self.sock = sock
        self.address = address
        self.peer = peer
        self.number = host.next_connection()
        self.opened_ns = host.now_ns()
        self.tls: TlsConnection | None = None
        self.speech = Speech.UNCLEAR
        self._host = host
        self._server = tls
        self._named = named
        self._done = done
        self._start = b""
        self._deadline_ns = self.opened_ns + host.listen.handshake_timeout
        self._fd = sock.fileno()
        self.is_closed = False
        host.loop.add_reader(self._fd, self._read_header if named else self._begin)

    def tick(self, now_ns: int) -> None:
        """Close a connection that takes too long."""
        if now_ns < self._deadline_ns or self.is_closed:
            return
        if self._start or (self.tls is not None and self.tls.version):
            self.close(ConnectionFault.NO_PREFACE)
        else:
            self._tell_handshake(HandshakeResult.TIMED_OUT, "")
            self.close(ConnectionFault.HANDSHAKE, "too slow")

    def close(self, fault: ConnectionFault | None, detail: str = "") -> None:
        """Close the connection."""
        if self.is_closed:
            return
        self.is_closed = True
        self._leave()
        with suppress(OSError):
            self.tls.close() if self.tls else self.sock.close()
        host = self._host
        duration_ns = host.now_ns() - self.opened_ns
        host.world.emit(ConnectionClosed(self.number, self.peer, None, duration_ns, fault, detail))
        self._done(self, None)

    def _leave(self) -> None:
        """Leave the socket to whoever comes next."""
        self._host.loop.remove_reader(self._fd)
        self._host.loop.remove_writer(self._fd)

    def _read_header(self) -> None:
        """Take the PROXY header off the socket and nothing behind it: that is for TLS."""
        try:
            start = self.sock.recv(MAX_HEADER_OCTETS, socket.MSG_PEEK)
            header = read_proxy_header(start) if start else None
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self.close(ConnectionFault.PROXY_HEADER, str(error))
            return
        if header is None:
            if not start or len(start) == MAX_HEADER_OCTETS:
                self.close(ConnectionFault.PROXY_HEADER, "no header")
                return
            # What was only looked at is still there to be read: wake us for more, or the loop would never rest.
            self._wake_above(len(start))
            return
        self.sock.recv(header.octets)
        self._wake_above(0)
        if header.address is not None and not self._name(plain_address(header.address), header.port):
            return
        self._begin()

    def _wake_above(self, octets: int) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, octets + 1)

    def _name(self, address: str, port: int) -> bool:
        """Take over who calls; tell whether it may go on."""
        assert self._named is not None
        self.peer = written(address, port)
        if (fault := self._named(self, address)) is not None:
            self.close(fault)
            return False
        self.address = address
        return True

    def _begin(self) -> None:
        self._host.loop.add_reader(self._fd, self._shake)
        self.tls = self._server.wrap(self.sock)
        self._shake()

    def _shake(self) -> None:
        assert self.tls is not None
        try:
            want = self.tls.handshake()
        except TlsFailed as failure:
            self._tell_handshake(failure.result, failure.detail)
            self.close(failure.fault, failure.detail)
            return
        loop = self._host.loop
        if want is Want.WRITE:
            loop.add_writer(self._fd, self._shake)
            return
        loop.remove_writer(self._fd)
        if want is Want.DONE:
            self._tell_handshake(self._verdict(), "")
            self._deadline_ns = self._host.now_ns() + self._host.listen.preface_timeout
            loop.add_reader(self._fd, self._greet)
            self._greet()

    def _verdict(self) -> HandshakeResult:
        presented = self.tls.presented if self.tls else None
        if presented is None:
            return HandshakeResult.NO_CERTIFICATE
        return HandshakeResult.BAD_CERTIFICATE if presented.faults else HandshakeResult.OK

    def _greet(self) -> None:
        assert self.tls is not None
        try:
            octets = self.tls.receive_into(self._host.scratch)
        except PeerClosed:
            self.close(None)
            return
        self._start += bytes(self._host.scratch[:octets])
        self.speech = recognise(self._start)
        if self.speech is Speech.OTHER:
            self.close(ConnectionFault.NOT_HTTP2)
        elif self.speech is not Speech.UNCLEAR:
            self._leave()
            self._done(self, self._start)

    def _tell_handshake(self, result: HandshakeResult, detail: str) -> None:
        host = self._host
        duration_ns = host.now_ns() - self.opened_ns
        host.world.emit(HandshakeEnded(self.number, self.peer, result, duration_ns, detail))
