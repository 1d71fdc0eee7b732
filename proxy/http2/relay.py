"""The relay: two directions of one caller's connection, octets in and octets out.

The owner gives octets to `from_caller` and `from_daemon`, then takes `to_caller` and
`to_daemon` and sends them. Nothing here waits: what takes time (the daemon's
connection, a token's keys) is asked for and reported back by a method.

What is left in `to_caller` and `to_daemon` may be slices of the buffer that was
given: send or copy them before the buffer is used again.
"""

from typing import Any

from proxy.errors import Refused
from proxy.http2 import frames
from proxy.http2.calls import Calls
from proxy.http2.exchange import Daemon, Exchange
from proxy.http2.frames import Buffer, ErrorCode
from proxy.http2.from_caller import OWN_PING, FromCaller
from proxy.http2.from_daemon import FromDaemon
from proxy.http2.settings import SettingsExchange
from proxy.reasons import Code, Reason
from proxy.units import said

# A request that must be read before it goes on is complete in a moment, or never.
MESSAGE_LIMIT_NS = 30_000_000_000
_NO_STREAM_YET = (1 << 31) - 1


class Relay:
    """One caller's HTTP/2 connection and the one to the daemon that belongs to it."""

    def __init__(self, calls: Calls[Any]) -> None:
        self._exchange = Exchange(calls)
        self._settings = SettingsExchange(self._exchange)
        self._from_caller = FromCaller(self._exchange, self._settings)
        self._from_daemon = FromDaemon(self._exchange, self._settings)
        self._settings.open_caller()
        self.from_caller = self._from_caller.receive
        self.from_daemon = self._from_daemon.receive

    # --- what the owner asks ----------------------------------------------------------------

    @property
    def wants_daemon(self) -> bool:
        """A call was admitted and waits for the daemon's connection."""
        return self._exchange.daemon is Daemon.WANTED

    @property
    def open_streams(self) -> int:
        """Streams that are not over on both sides."""
        return len(self._exchange.streams)

    @property
    def received_frame_octets(self) -> int:
        """All whole frames that came from the caller, in octets."""
        return self._exchange.budgets.wire_octets

    @property
    def has_more(self) -> bool:
        """Whole frames of the caller were left for the next turn."""
        return self._from_caller.has_more

    @property
    def is_going(self) -> bool:
        """One of the two sides has said GOAWAY."""
        return self._from_caller.is_going or self._from_daemon.is_going

    def take_to_caller(self) -> list[Buffer]:
        """Return and forget what must be sent to the caller now."""
        said = self._exchange.to_caller
        if said:
            self._exchange.to_caller = []
        return said

    def take_to_daemon(self) -> list[Buffer]:
        """Return and forget what must be sent to the daemon now."""
        said = self._exchange.to_daemon
        if said:
            self._exchange.to_daemon = []
        return said

    # --- what the owner reports -------------------------------------------------------------

    def daemon_ready(self) -> None:
        """The connection to the daemon is open: say our preface and what waited."""
        exchange = self._exchange
        exchange.daemon = Daemon.READY
        self._settings.open_daemon()
        exchange.credit_daemon(None)
        exchange.forward_heads()

    def daemon_failed(self, refused: Refused, now_ns: int) -> None:
        """No connection could be had in time: end the calls that wait; later ones try again."""
        exchange = self._exchange
        exchange.daemon = Daemon.ABSENT
        for stream in [each for each in exchange.heads if each.call is not None]:
            exchange.refuse(stream, refused, now_ns)

    def daemon_lost(self, refused: Refused, now_ns: int) -> None:
        """The daemon's connection broke: end every call with a sentence, and the connection with GOAWAY."""
        exchange = self._exchange
        exchange.daemon = Daemon.GONE
        self.end_calls(refused, now_ns)
        exchange.to_daemon.clear()
        self.goaway(ErrorCode.NO_ERROR)

    def caller_lost(self, now_ns: int) -> None:
        """The caller's connection ended: every call of it is over."""
        exchange = self._exchange
        for stream in list(exchange.streams.values()):
            exchange.finish(stream, Code.CANCELLED, now_ns)
        exchange.streams.clear()
        exchange.heads.clear()

    def retry(self, number: int, now_ns: int) -> None:
        """What was missing to decide a call is there: decide again."""
        stream = self._exchange.streams.get(number)
        if stream is not None and stream.call is None:
            self._from_caller.begin(stream, now_ns)
            self._from_caller.read_again(stream, now_ns)

    def let_go(self, number: int) -> None:
        """What a call waited for is there: its octets may go on."""
        stream = self._exchange.streams.get(number)
        if stream is not None and stream.call is not None:
            stream.take_up(stream.call)
            self._from_caller.move_on(stream)

    def answer(self, number: int, now_ns: int) -> None:
        """Answer one call ourselves: nothing, and status OK."""
        stream = self._exchange.streams.get(number)
        if stream is not None and not stream.is_over:
            self._exchange.answer(stream, b"", now_ns)
            self._exchange.forward_heads()

    def end_call(self, number: int, refused: Refused, now_ns: int) -> None:
        """End one call with a sentence."""
        stream = self._exchange.streams.get(number)
        if stream is not None:
            self._exchange.refuse(stream, refused, now_ns)
            self._exchange.forward_heads()

    def end_calls(self, refused: Refused, now_ns: int) -> None:
        """End every call with a sentence."""
        for stream in list(self._exchange.streams.values()):
            self._exchange.refuse(stream, refused, now_ns)

    def tick(self, now_ns: int) -> None:
        """End calls whose request message does not come to its end."""
        for stream in list(self._exchange.streams.values()):
            if stream.reader is not None and now_ns - stream.opened_ns > MESSAGE_LIMIT_NS:
                late = Refused(Reason.MESSAGE_LATE, method="this method", limit=said(MESSAGE_LIMIT_NS))
                self._exchange.refuse(stream, late, now_ns)

    def report_octets(self) -> None:
        """Tell the octets that passed so far, for calls that last long."""
        for stream in self._exchange.streams.values():
            self._exchange.report_octets(stream)

    def goaway(self, code: ErrorCode, *, is_final: bool = True, why: str = "") -> None:
        """Tell the caller that no new call is taken; if not final, only to open no new one soon (6.8)."""
        last = self._exchange.last_stream if is_final else _NO_STREAM_YET
        self._exchange.to_caller.append(frames.goaway(last, code, why.encode()))

    def ping(self) -> None:
        """Ask the caller whether it is still there; `has_answered` tells."""
        self._from_caller.pong_seen = False
        self._exchange.to_caller.append(frames.ping(OWN_PING))

    @property
    def has_answered(self) -> bool:
        """Whether the caller answered the last `ping`."""
        return self._from_caller.pong_seen
