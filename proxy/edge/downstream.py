"""One caller's connection from the preface on, and the connection to the daemon that belongs to it.

Everything happens in callbacks of the loop that never wait: read what is there, let
the relay look at it, send what came of it. A side whose socket is full stops the
reading of the other side; that, and the windows of HTTP/2, bound what is held.
"""

from contextlib import suppress

from proxy.call.conversation import TOO_MUCH_FROM_A_STRANGER, Conversation
from proxy.call.world import TakeStart, no_start
from proxy.edge.arrival import Arrival
from proxy.edge.farewell import LINGER_NS, has_left, say_goodbye
from proxy.edge.host import Host
from proxy.edge.tls_records import PeerClosed, TlsConnection
from proxy.edge.upstream_link import UpstreamLink
from proxy.edge.watch import Watch
from proxy.errors import Refused
from proxy.events import ConnectionClosed, ConnectionFault
from proxy.http2.frames import PREFACE, ErrorCode, ProtocolFault
from proxy.http2.relay import Relay
from proxy.identity.credentials import PresentedCertificate
from proxy.reasons import Reason
from proxy.routing.routes import Destination
from proxy.units import SECOND_NS

# Above this a side that does not take its octets stops the reading of the other one.
FULL_OCTETS = 128 * 1024
# Strangers may say this much before the connection is closed.
STRANGER_OCTETS = 64 * 1024
# buildx and buildctl never ask whether we are there; a vanished laptop is found by asking it.
SILENCE_NS = 30 * SECOND_NS
PONG_NS = 15 * SECOND_NS
QUIET_NS = 5 * SECOND_NS
IDLE_NS = 15 * 60 * SECOND_NS
PROGRESS_NS = 5 * SECOND_NS

_FAULTS = {
    ErrorCode.FLOW_CONTROL_ERROR: ConnectionFault.FLOW_CONTROL,
    ErrorCode.COMPRESSION_ERROR: ConnectionFault.COMPRESSION,
    ErrorCode.FRAME_SIZE_ERROR: ConnectionFault.FRAME_SIZE,
    ErrorCode.ENHANCE_YOUR_CALM: ConnectionFault.FLOOD,
    ErrorCode.INTERNAL_ERROR: ConnectionFault.INTERNAL,
}


class Downstream:
    """A caller's HTTP/2 connection."""

    def __init__(self, host: Host, arrival: Arrival, tls: TlsConnection, start: bytes) -> None:
        self.number = arrival.number
        self.address = arrival.address
        self.peer = arrival.peer
        self.is_closed = False
        self._opened_ns = arrival.opened_ns
        self._host = host
        self._sock = arrival.sock
        self._tls = tls
        self._link: UpstreamLink | None = None
        self._conversation = Conversation(
            host.world, connection=self.number, peer=self.peer, certificate=tls.presented, waker=self
        )
        self._relay = Relay(self._conversation)
        self._kept = start[len(PREFACE) :]
        self._daemon_kept = b""
        self._caller_watch = Watch(host.poller, self._sock.fileno(), self._receive, self._flush_caller)
        self._daemon_watch: Watch | None = None
        self._is_asking = False
        self._is_poked = False
        self._is_stranger = True
        # One of the two sockets did not take all that was for it: what is watched is not the usual.
        self._is_held_up = False
        self._ending: tuple[ConnectionFault | None, str, int] | None = None
        self._begun_ns = self._heard_ns = self._busy_ns = self._told_ns = host.now_ns()
        self._asked_ns = 0
        self._is_leaving = False
        self._is_shed = False
        self._caller_watch.read(True)
        host.loop.call_soon(self._process_kept)
        if tls.has_pending:
            host.loop.call_soon(self._receive_again)

    # --- the caller's octets ----------------------------------------------------------------

    def _receive(self) -> None:
        if self._ending:
            self._discard()
            return
        try:
            octets = self._tls.receive_into(self._host.room_behind(self._kept))
        except PeerClosed as closed:
            self._end(None, closed.detail)
            return
        if octets:
            self._process(len(self._kept) + octets)
            if self._tls.has_pending:
                self._again()

    def _process_kept(self) -> None:
        if self.is_closed or self._ending or not self._caller_watch.is_reading:
            return
        self._host.scratch[: len(self._kept)] = self._kept
        self._process(len(self._kept))

    def _process(self, octets: int) -> None:
        host = self._host
        self._heard_ns = now_ns = host.now_ns()
        view = host.scratch[:octets]
        try:
            taken = self._relay.from_caller(view, now_ns)
            self._kept = bytes(view[taken:]) if taken < octets else b""
            if self._is_stranger:
                self._check_stranger()
        except ProtocolFault as fault:
            self._fail(fault)
            return
        except Exception as error:  # a bug of ours ends this connection and no other
            self._fail_ourselves(error)
            return
        self._flush()
        if self._relay.has_more:
            self._again()

    def _again(self) -> None:
        """Go on in the next turn, after others had theirs."""
        self._host.loop.call_soon(self._process_kept if self._relay.has_more else self._receive_again)

    def _receive_again(self) -> None:
        if not self.is_closed and not self._ending and self._caller_watch.is_reading:
            self._receive()

    def _check_stranger(self) -> None:
        said_octets = self._relay.received_frame_octets + len(self._kept)
        self._is_stranger = self._conversation.tenant is None
        if self._is_stranger and said_octets > STRANGER_OCTETS:
            raise ProtocolFault(ErrorCode.ENHANCE_YOUR_CALM, TOO_MUCH_FROM_A_STRANGER)

    # --- the daemon's octets ----------------------------------------------------------------

    def _receive_daemon(self) -> None:
        link = self._link
        if link is None or self._ending:
            return
        try:
            octets = link.receive_into(self._host.room_behind(self._daemon_kept))
        except PeerClosed as closed:
            self._daemon_lost(closed.detail)
            return
        if octets:
            self._process_daemon(len(self._daemon_kept) + octets)

    def _process_daemon(self, octets: int) -> None:
        view = self._host.scratch[:octets]
        try:
            taken = self._relay.from_daemon(view, self._host.now_ns())
        except ProtocolFault as fault:
            self._daemon_lost(fault.why)
            return
        except Exception as error:  # a bug of ours, or a daemon that makes no sense
            self._host.world.report_bug(error)
            self._daemon_lost(type(error).__name__)
            return
        self._daemon_kept = bytes(view[taken:]) if taken < octets else b""
        self._flush()

    @property
    def destination(self) -> Destination:
        """The daemon that the calls of this connection go to."""
        return self._conversation.destination

    def daemon_opened(self, link: UpstreamLink, early: bytes, take_start: TakeStart = no_start) -> None:
        """The connection to the daemon is there."""
        self._is_asking = False
        if self.is_closed or self._ending:
            link.close()
            return
        self._link = link
        self._conversation.take_daemon_start = take_start
        self._daemon_watch = Watch(self._host.poller, link.fileno(), self._receive_daemon, self._flush_daemon)
        self._daemon_watch.read(True)
        self._relay.daemon_ready()
        self._flush()
        if early and not self.is_closed:
            self._host.scratch[: len(early)] = early
            self._process_daemon(len(early))

    def daemon_failed(self, refused: Refused) -> None:
        """No connection to the daemon could be had in time."""
        self._is_asking = False
        if not self.is_closed and not self._ending:
            self._relay.daemon_failed(refused, self._host.now_ns())
            self._flush()

    def _daemon_lost(self, detail: str) -> None:
        if self._ending or self.is_closed:
            return
        self._close_link()
        self._relay.daemon_lost(Refused(Reason.UPSTREAM_LOST, detail=detail), self._host.now_ns())
        self._end(None, detail)

    # --- what the conversation asks ---------------------------------------------------------

    def retry(self, stream: int) -> None:
        """Decide a call again."""
        if not self.is_closed and not self._ending:
            self._relay.retry(stream, self._host.now_ns())
            self._poke()

    def let_go(self, stream: int) -> None:
        """Let the octets of a call go on."""
        self._relay.let_go(stream)
        self._poke()

    def answer(self, stream: int) -> None:
        """Answer a call with nothing."""
        self._relay.answer(stream, self._host.now_ns())
        self._poke()

    def end_call(self, stream: int, refused: Refused) -> None:
        """End a call with a sentence."""
        self._relay.end_call(stream, refused, self._host.now_ns())
        self._poke()

    def _poke(self) -> None:
        """Send what came of it soon; another connection may be in the middle of its turn now."""
        if not self._is_poked:
            self._is_poked = True
            self._host.loop.call_soon(self._poked)

    def _poked(self) -> None:
        self._is_poked = False
        if not self.is_closed and not self._ending:
            self._flush()

    # --- sending ----------------------------------------------------------------------------

    def _flush(self) -> None:
        """Send what the relay said to either side."""
        try:
            if (link := self._link) is not None and (said := self._relay.take_to_daemon()):
                link.send(said)
        except PeerClosed as closed:
            self._daemon_lost(closed.detail)
            return
        try:
            if said := self._relay.take_to_caller():
                self._tls.send(said)
        except PeerClosed as closed:
            self._end(None, closed.detail)
            return
        if self._relay.wants_daemon and not self._is_asking:
            self._is_asking = True
            self._host.open_daemon(self)
        self._balance()

    def _balance(self) -> None:
        """Stop reading where the other side is full; watch sockets that take no more."""
        unsent = self._tls.unsent_octets
        link_unsent = self._link.unsent_octets if self._link else 0
        if not (unsent or link_unsent or self._is_held_up):
            return
        self._is_held_up = bool(unsent or link_unsent)
        self._caller_watch.write(unsent > 0)
        self._caller_watch.read(unsent <= FULL_OCTETS and link_unsent <= FULL_OCTETS)
        if self._daemon_watch is not None:
            self._daemon_watch.write(link_unsent > 0)
            self._daemon_watch.read(unsent <= FULL_OCTETS)

    def _flush_caller(self) -> None:
        try:
            is_out = self._tls.flush()
        except PeerClosed as closed:
            self._close(None, closed.detail)
            return
        if self._ending:
            if is_out:
                self._linger()
            return
        was_reading = self._caller_watch.is_reading
        self._balance()
        if self._caller_watch.is_reading and not was_reading:
            self._again()

    def _flush_daemon(self) -> None:
        if self._link is None:
            return
        try:
            self._link.flush()
        except PeerClosed as closed:
            self._daemon_lost(closed.detail)
            return
        was_reading = self._caller_watch.is_reading
        self._balance()
        if self._caller_watch.is_reading and not was_reading:
            self._again()

    # --- time -------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> None:
        """Look after deadlines; called about once a second."""
        if self._ending:
            if now_ns - self._ending[2] > LINGER_NS:
                self._close_as_ended()
            return
        self._conversation.tick(now_ns)
        self._relay.tick(now_ns)
        self._shed(now_ns)
        self._tell_progress(now_ns)
        self._check_silence(now_ns)
        self._check_idle(now_ns)
        self._poked()

    def _shed(self, now_ns: int) -> None:
        """Give back the memory that TLS keeps for traffic, once when there is none."""
        is_quiet = now_ns - self._heard_ns > QUIET_NS
        if is_quiet and not self._is_shed:
            self._tls.shed()
        self._is_shed = is_quiet

    def _tell_progress(self, now_ns: int) -> None:
        if now_ns - self._told_ns >= PROGRESS_NS:
            self._told_ns = now_ns
            self._relay.report_octets()
            self._conversation.tell_progress()

    def _check_silence(self, now_ns: int) -> None:
        if now_ns - self._heard_ns < SILENCE_NS:
            self._asked_ns = 0
        elif not self._asked_ns:
            self._asked_ns = now_ns
            self._relay.ping()
        elif now_ns - self._asked_ns > PONG_NS:
            self._close(ConnectionFault.SILENT, "")

    def _check_idle(self, now_ns: int) -> None:
        if self.is_closed:
            return
        if self._relay.open_streams:
            self._busy_ns = now_ns
        if self._conversation.tenant is None:
            if now_ns - self._begun_ns > self._host.listen.first_request_timeout:
                # Whoever has a call open now waits for the keys of its token.
                self._relay.end_calls(Refused(Reason.KEYS_UNAVAILABLE, detail="not in time"), now_ns)
                self._goodbye(ConnectionFault.FIRST_REQUEST_LATE)
        elif now_ns - self._busy_ns > IDLE_NS:
            self._goodbye(ConnectionFault.IDLE)
        elif self._is_leaving and not self._relay.open_streams:
            self._goodbye(ConnectionFault.DRAINED)

    # --- the end ----------------------------------------------------------------------------

    @property
    def certificate(self) -> PresentedCertificate | None:
        """What the caller showed in the handshake."""
        return self._tls.presented

    @property
    def has_build(self) -> bool:
        """A build runs on this connection."""
        return not self._ending and self._conversation.has_build

    def drain(self) -> None:
        """Ask the caller to open no new calls, and close when none is left. A live build keeps its connection whole."""
        if not self._is_leaving and not self._ending and not self._conversation.has_build:
            self._is_leaving = True
            self._relay.goaway(ErrorCode.NO_ERROR, is_final=False)
            self._flush()

    def cut(self, refused: Refused, fault: ConnectionFault) -> None:
        """End every call with a sentence, and the connection."""
        if not self._ending:
            self._relay.end_calls(refused, self._host.now_ns())
            self._goodbye(fault)

    def _goodbye(self, fault: ConnectionFault) -> None:
        self._relay.goaway(ErrorCode.NO_ERROR)
        self._end(fault, "")

    def _fail(self, fault: ProtocolFault) -> None:
        self._relay.goaway(fault.code, why=fault.why)
        self._end(_FAULTS.get(fault.code, ConnectionFault.PROTOCOL), fault.why)

    def _fail_ourselves(self, error: Exception) -> None:
        """Tell the callers of all calls that it is our fault, as far as the relay still can, and end the connection."""
        self._host.world.report_bug(error)
        with suppress(Exception):
            self._relay.end_calls(Refused(Reason.INTERNAL), self._host.now_ns())
        self._fail(ProtocolFault(ErrorCode.INTERNAL_ERROR, type(error).__name__))

    def _end(self, fault: ConnectionFault | None, detail: str) -> None:
        """End all calls, say what is left to say, and close when it is out."""
        if self._ending or self.is_closed:
            return
        now_ns = self._host.now_ns()
        self._ending = (fault, detail, now_ns)
        with suppress(PeerClosed):
            if self._link is not None and (said := self._relay.take_to_daemon()):
                self._link.send(said)
        self._relay.caller_lost(now_ns)
        self._close_link()
        try:
            self._tls.send(self._relay.take_to_caller())
            if self._tls.flush():
                self._linger()
            else:
                self._caller_watch.write(True)
        except PeerClosed:
            self._close(fault, detail)

    def _linger(self) -> None:
        """All is said: wait until the caller has read it."""
        self._caller_watch.write(False)
        if say_goodbye(self._tls, self._sock):
            self._caller_watch.read(True)
        else:
            self._close_as_ended()

    def _discard(self) -> None:
        if has_left(self._sock):
            self._close_as_ended()

    def _close_as_ended(self) -> None:
        fault, detail, _ = self._ending or (None, "", 0)
        self._close(fault, detail)

    def _close_link(self) -> None:
        """Close the daemon's side: it ends whatever it still does for this caller."""
        if self._daemon_watch is not None:
            self._daemon_watch.stop()
            self._daemon_watch = None
        if self._link is not None:
            self._link.close()
            self._link = None

    def _close(self, fault: ConnectionFault | None, detail: str) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        now_ns = self._host.now_ns()
        self._relay.caller_lost(now_ns)
        self._close_link()
        self._caller_watch.stop()
        # It calls us back: without it nothing holds us, and what OpenSSL keeps of the connection is freed now.
        del self._caller_watch
        self._sock.close()
        tenant = self._conversation.tenant
        self._conversation.close()
        self._host.closed(self)
        self._host.world.emit(ConnectionClosed(self.number, self.peer, tenant, now_ns - self._opened_ns, fault, detail))
