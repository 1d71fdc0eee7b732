"""One HTTPS connection: TLS as a transport of asyncio, for one request.

A connection carries one request, so that nothing can hide behind it: no pipeline, no second reading
of where a request ends. It may take its time only within limits that one timer looks after.

Source: docs.python.org, asyncio "Transports and Protocols".
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from proxy.call.world import Emit
from proxy.edge.arrival import Arrival
from proxy.edge.farewell import LINGER_NS, has_left, say_goodbye
from proxy.edge.host import Host
from proxy.edge.tls_records import PeerClosed, TlsConnection
from proxy.edge.watch import Watch
from proxy.errors import Refused
from proxy.events import ConnectionClosed, ConnectionFault
from proxy.identity.credentials import PresentedCertificate
from proxy.units import SECOND_NS

# Request and answer together; an answer may wait for the keys of a token's issuer.
WHOLE_NS = 30 * SECOND_NS
HIGH_OCTETS, LOW_OCTETS = 64 * 1024, 16 * 1024


class Visitor(asyncio.Transport):
    """A caller who speaks HTTP/1.1, from its first octets on. `tenant` is told by whoever proves one."""

    def __init__(
        self, host: Host, arrival: Arrival, tls: TlsConnection, start: bytes, protocol: asyncio.Protocol
    ) -> None:
        super().__init__({"peername": (arrival.address, 0)})
        self.number = arrival.number
        self.address = arrival.address
        self.peer = arrival.peer
        self.tenant: str | None = None
        self.has_build = False
        self._host = host
        self._sock = arrival.sock
        self._tls = tls
        self._protocol: asyncio.BaseProtocol = protocol
        self._opened_ns, self._begun_ns = arrival.opened_ns, host.now_ns()
        self._is_heard = self._is_paused = self._has_ended = self._is_told_full = self._is_over = False
        self._closing_ns = 0
        self._watch = Watch(host.poller, self._sock.fileno(), self._receive, self._flush)
        self._watch.read(True)
        host.loop.call_soon(self._begin, protocol, start)

    @property
    def certificate(self) -> PresentedCertificate | None:
        """What the caller showed in the handshake."""
        return self._tls.presented

    @property
    def emit(self) -> Emit:
        """Where what happens is told."""
        return self._host.world.emit

    @property
    def now_ns(self) -> Callable[[], int]:
        """The clock of durations."""
        return self._host.now_ns

    def heard(self) -> None:
        """Note that the request is there as a whole: from now on it is us who take time."""
        self._is_heard = True

    # --- what asyncio asks of a transport ---------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See asyncio."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See asyncio."""
        return self._protocol

    def is_closing(self) -> bool:
        """See asyncio."""
        return self._is_over or bool(self._closing_ns)

    def is_reading(self) -> bool:
        """See asyncio."""
        return not (self._is_paused or self._has_ended or self.is_closing())

    def pause_reading(self) -> None:
        """See asyncio."""
        self._is_paused = True
        self._balance()

    def resume_reading(self) -> None:
        """See asyncio."""
        self._is_paused = False
        self._balance()
        if self._tls.has_pending:
            self._host.loop.call_soon(self._receive)

    def get_write_buffer_size(self) -> int:
        """See asyncio."""
        return self._tls.unsent_octets

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """See asyncio."""
        return LOW_OCTETS, HIGH_OCTETS

    def can_write_eof(self) -> bool:
        """See asyncio: `close` says that all is said."""
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See asyncio."""
        self.writelines((data,))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """See asyncio."""
        if self.is_closing():
            return
        try:
            self._tls.send(list(list_of_data))
        except PeerClosed as closed:
            self._lose(None, closed.detail)
            return
        self._balance()

    def close(self) -> None:
        """Say what is left to say, and then goodbye."""
        if not self.is_closing():
            self._closing_ns = self._host.now_ns()
            self._flush()

    def abort(self) -> None:
        """Close at once."""
        self._lose(None)

    # --- what the listener asks -------------------------------------------------------------

    def tick(self, now_ns: int) -> None:
        """Look after deadlines; called about once a second."""
        if self._closing_ns:
            if now_ns - self._closing_ns > LINGER_NS:
                self._lose(None)
            return
        if self._has_ended and not self._is_heard:
            self._lose(None, "closed in the middle of a request")
            return
        patience_ns = WHOLE_NS if self._is_heard else self._host.listen.first_request_timeout
        if now_ns - self._begun_ns > patience_ns:
            self._lose(ConnectionFault.FIRST_REQUEST_LATE, "" if not self._is_heard else "the answer took too long")

    def drain(self) -> None:
        """Stay: a request takes a moment only."""

    def cut(self, refused: Refused, fault: ConnectionFault) -> None:
        """Close at once."""
        self._lose(fault, refused.reason.label)

    # --- octets -----------------------------------------------------------------------------

    def _begin(self, protocol: asyncio.Protocol, start: bytes) -> None:
        if self._is_over:
            return
        protocol.connection_made(self)
        protocol.data_received(start)
        if self._tls.has_pending:
            self._receive()

    def _receive(self) -> None:
        if self._closing_ns:
            self._discard()
            return
        if not self.is_reading():
            return
        try:
            octets = self._tls.receive_into(self._host.scratch)
        except PeerClosed as closed:
            self._hear_end(closed)
            return
        if octets:
            assert isinstance(self._protocol, asyncio.Protocol)
            self._protocol.data_received(bytes(self._host.scratch[:octets]))
            if self._tls.has_pending:
                self._host.loop.call_soon(self._receive)

    def _hear_end(self, closed: PeerClosed) -> None:
        """Who says goodbye in good form may still read the answer; a connection that broke is over."""
        if not closed.is_clean:
            self._lose(None, closed.detail)
            return
        self._has_ended = True
        self._balance()
        assert isinstance(self._protocol, asyncio.Protocol)
        self._protocol.eof_received()

    def _flush(self) -> None:
        try:
            is_out = self._tls.flush()
        except PeerClosed as closed:
            self._lose(None, closed.detail)
            return
        if is_out and self._closing_ns:
            self._linger()
            return
        self._balance()

    def _balance(self) -> None:
        """Watch what is waited for, and hold whoever writes while too much is unsent."""
        if self._is_over:
            return
        unsent = self._tls.unsent_octets
        self._watch.read(self.is_reading())
        self._watch.write(unsent > 0)
        if unsent > HIGH_OCTETS and not self._is_told_full:
            self._is_told_full = True
            self._protocol.pause_writing()
        elif unsent <= LOW_OCTETS and self._is_told_full:
            self._is_told_full = False
            self._protocol.resume_writing()

    # --- the end ----------------------------------------------------------------------------

    def _linger(self) -> None:
        """All is said: wait until the caller has read it."""
        self._watch.write(False)
        if say_goodbye(self._tls, self._sock):
            self._watch.read(True)
        else:
            self._lose(None)

    def _discard(self) -> None:
        if has_left(self._sock):
            self._lose(None)

    def _lose(self, fault: ConnectionFault | None, detail: str = "") -> None:
        if self._is_over:
            return
        self._is_over = True
        self._watch.stop()
        with suppress(OSError):
            self._sock.close()
        host = self._host
        host.loop.call_soon(self._protocol.connection_lost, None)
        host.closed(self)
        duration_ns = host.now_ns() - self._opened_ns
        host.world.emit(ConnectionClosed(self.number, self.peer, self.tenant, duration_ns, fault, detail))
