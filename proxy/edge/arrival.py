"""A caller's connection until it speaks HTTP/2: PROXY header, TLS handshake, preface.

Nothing here costs more than one small object for each caller, and every step has a
deadline, so that silent and malformed callers cannot pile up.
"""

import socket
from collections.abc import Callable
from contextlib import suppress

from proxy.edge.greeting import HTTP1_ANSWER, Speech, recognise
from proxy.edge.host import Host
from proxy.edge.proxy_header import MAX_HEADER_OCTETS, read_proxy_header
from proxy.edge.tls import ServerTls
from proxy.edge.tls_records import PeerClosed, TlsConnection, TlsFailed, Want
from proxy.events import ConnectionClosed, ConnectionFault, HandshakeEnded, HandshakeResult


class Arrival:
    """One connection that was taken and is not yet HTTP/2.

    `done(arrival, octets)` is called with the octets that followed the preface, or with
    None when the connection is closed. `address` and `peer` change if a PROXY header
    names the caller.
    """

    def __init__(
        self,
        host: Host,
        sock: socket.socket,
        tls: ServerTls,
        *,
        address: str,
        peer: str,
        has_proxy_header: bool,
        done: Callable[["Arrival", bytes | None], None],
    ) -> None:
        self.sock = sock
        self.socket_address = address
        self.address = address
        self.peer = peer
        self.number = host.next_connection()
        self.opened_ns = host.now_ns()
        self.tls: TlsConnection | None = None
        self._host = host
        self._server = tls
        self._done = done
        self._start = b""
        self._deadline_ns = self.opened_ns + host.listen.handshake_timeout
        self._fd = sock.fileno()
        self.is_closed = False
        host.loop.add_reader(self._fd, self._read_header if has_proxy_header else self._begin)

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
        self.sock.recv(header.octets)
        if header.address is not None:
            self.address = header.address
            self.peer = f"{header.address}:{header.port}"
        self._begin()

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
        speech = recognise(self._start)
        if speech is Speech.HTTP2:
            self._leave()
            self._done(self, self._start)
        elif speech is Speech.HTTP1:
            self._answer_http1()
        elif speech is Speech.OTHER:
            self.close(ConnectionFault.NOT_HTTP2)

    def _answer_http1(self) -> None:
        assert self.tls is not None
        with suppress(PeerClosed):
            self.tls.send([HTTP1_ANSWER])
        self.close(ConnectionFault.NOT_HTTP2, "HTTP/1.1")

    def _tell_handshake(self, result: HandshakeResult, detail: str) -> None:
        host = self._host
        duration_ns = host.now_ns() - self.opened_ns
        host.world.emit(HandshakeEnded(self.number, self.peer, result, duration_ns, detail))
