"""Frames of the caller: passed on, judged, or answered.

The loop is the hot path. DATA of a stream whose call was admitted is only counted
and passes as slices of the receive buffer; a run of such frames is one slice.
Everything else leaves the run and is looked at frame by frame.

Source: RFC 9113; the numbers beside the checks are its sections.
"""

from collections.abc import Callable
from typing import Final

from proxy.errors import Refused
from proxy.http2 import frames, payloads
from proxy.http2.abuse import MAX_BLOCK_OCTETS, MAX_CONTINUATIONS
from proxy.http2.backlog import wait
from proxy.http2.exchange import MAX_STREAMS, Daemon, Exchange
from proxy.http2.frames import DEFAULT_MAX_FRAME_OCTETS, HEAD, HEAD_OCTETS, STREAM_MASK, ErrorCode, ProtocolFault
from proxy.http2.hpack import HeaderListTooLarge
from proxy.http2.payloads import Head
from proxy.http2.settings import SettingsExchange
from proxy.http2.stream import Stream
from proxy.reasons import Code, Reason

# Frames looked at in one turn: a flood of tiny frames must not hold up other connections.
FRAMES_A_TURN: Final = 2048
# Above this a request message that must be read needs more than the first window.
SMALL_MESSAGE_OCTETS: Final = 32_768
# All that a connection's unread messages may take together.
MAX_ALLOWANCE_OCTETS: Final = 64 << 20
# Our own PINGs; the answer is swallowed.
OWN_PING: Final = b"kilngate"


class FromCaller:
    """Reads the caller's frames, in order."""

    def __init__(self, exchange: Exchange, settings: SettingsExchange) -> None:
        self._exchange = exchange
        self._settings = settings
        self._block: tuple[int, int, bytearray, int] | None = None
        self._has_settings = False
        self.has_more = False
        self.pong_seen = False
        self.is_going = False

    def receive(self, view: memoryview, now_ns: int) -> int:  # noqa: C901  the hot path is one loop on purpose
        """Take the whole frames at the start of `view`; return how many octets they were.

        Slices of `view` are left in `to_daemon`: they must be sent or copied before the
        buffer is used again.

        Raises:
            ProtocolFault: the connection must end.
        """
        exchange = self._exchange
        streams = exchange.streams
        whole = exchange.up
        out = exchange.to_daemon
        unpack = HEAD.unpack_from
        largest = DEFAULT_MAX_FRAME_OCTETS
        at = run = passed = 0
        size = len(view)
        self.has_more = False
        for _ in range(FRAMES_A_TURN):
            if size - at < HEAD_OCTETS:
                break
            high, low, kind, flags, number = unpack(view, at)
            length = high << 16 | low
            end = at + HEAD_OCTETS + length
            if end > size and length <= largest:
                break
            # kind 0 is DATA; flag 8 is PADDED. Nothing here may be looked up twice.
            if kind == 0 and 0 < length <= largest and not flags & 8 and self._block is None:
                stream = streams.get(number)
                if stream is not None and stream.is_direct and whole.gap >= 0 and end <= size:
                    window = stream.up
                    whole.may -= length
                    window.may -= length
                    if whole.may < 0 or window.may < self._settings.caller_slack_octets:
                        raise ProtocolFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the window takes")
                    stream.received_octets += length
                    passed += length
                    if flags & 1:
                        stream.caller_ended = stream.end_passed = True
                        stream.is_direct = False
                        if stream.is_done:
                            exchange.forget(stream)
                    at = end
                    continue
            if at > run:
                out.append(view[run:at])
            # kind 1 is HEADERS; of its flags only END_HEADERS (4) and perhaps END_STREAM (1): the usual call.
            if (
                kind == 1
                and flags | 1 == 5
                and length <= largest
                and number & 1
                and end <= size
                and self._is_open(number)
            ):
                self._head(number, flags, bytes(view[at + HEAD_OCTETS : end]), now_ns)
                at = run = end
                continue
            run = at if self._frame(Head(length, kind, flags, number & STREAM_MASK), view, at, now_ns) else end
            at = end
        else:
            self.has_more = True
        if at > run:
            out.append(view[run:at])
        exchange.budgets.wire_octets += at
        exchange.budgets.work_octets += passed
        exchange.budgets.check_overhead()
        return at

    def _is_open(self, number: int) -> bool:
        """Whether nothing is left to check of a usual HEADERS frame: no block is open, no bit is reserved."""
        return self._block is None and self._has_settings and number <= STREAM_MASK

    def _frame(self, head: Head, view: memoryview, at: int, now_ns: int) -> bool:
        """Look at one frame; tell whether it passes to the daemon as it is."""
        try:
            payloads.check_head(head)
            self._check_order(head)
            act = _BY_KIND.get(head.kind, FromCaller._noise)
            return act(self, head.flags, head.stream, view[at + HEAD_OCTETS : at + HEAD_OCTETS + head.length], now_ns)
        except frames.StreamFault as fault:
            # RFC 9113 5.4.2 lets us; a peer that provokes resets (CVE-2025-8671) gets one.
            raise ProtocolFault(fault.code, fault.why) from None

    def _check_order(self, head: Head) -> None:
        if not self._has_settings and (head.kind != frames.SETTINGS or head.flags & frames.ACK):
            raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS (3.4)")
        if self._block is not None and (head.kind != frames.CONTINUATION or head.stream != self._block[0]):
            raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "a frame inside a header block (6.10)")

    def _known(self, number: int) -> Stream | None:
        """Return the live stream, None for one that is over.

        Raises:
            ProtocolFault: the stream is idle (5.1).
        """
        stream = self._exchange.streams.get(number)
        if stream is None and (number > self._exchange.last_stream or number % 2 == 0):
            raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "a frame on an idle stream (5.1)")
        return stream

    # --- DATA -------------------------------------------------------------------------------

    def _data(self, flags: int, number: int, payload: memoryview, now_ns: int) -> bool:
        exchange = self._exchange
        stream = self._known(number)
        octets = payloads.unpadded(flags, payload)
        is_last = bool(flags & frames.END_STREAM)
        if not octets and not is_last:
            exchange.budgets.empty_data.spend(now_ns)
        if len(payload) > exchange.up.may:
            raise ProtocolFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the connection's window takes")
        if stream is None:
            exchange.up.drop(len(payload))
            exchange.credit_caller(None)
            return False
        if stream.caller_ended:
            raise ProtocolFault(ErrorCode.STREAM_CLOSED, "DATA after END_STREAM (5.1)")
        if len(payload) > stream.up.may - self._settings.caller_slack_octets:
            raise ProtocolFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the stream's window takes")
        self._keep(stream, octets, padding_octets=len(payload) - len(octets), is_last=is_last)
        self._read(stream, octets, now_ns)
        self.move_on(stream)
        return False

    def _keep(self, stream: Stream, octets: memoryview, *, padding_octets: int, is_last: bool) -> None:
        exchange = self._exchange
        for window in (exchange.up, stream.up):
            window.keep(len(octets))
            if padding_octets:
                window.drop(padding_octets)
        stream.received_octets += len(octets)
        exchange.budgets.work_octets += len(octets)
        stream.caller_ended = is_last
        if octets:
            wait(stream.queue, bytes(octets))

    def _read(self, stream: Stream, octets: memoryview, now_ns: int) -> None:
        """Read on in a request message that must be judged; judge it when the request is complete."""
        if stream.reader is None or stream.call is None:
            return
        try:
            stream.reader.feed(octets)
            self._make_room(stream)
            if stream.caller_ended:
                self._judge(stream, now_ns)
        except Refused as refused:
            self._exchange.refuse(stream, refused, now_ns)

    def _make_room(self, stream: Stream) -> None:
        """Let the caller send a message that is longer than the first window."""
        assert stream.reader is not None
        needed = stream.reader.needed_octets
        exchange = self._exchange
        if needed <= SMALL_MESSAGE_OCTETS or stream.up.allowance or stream.caller_ended:
            return
        if exchange.up.allowance + needed > MAX_ALLOWANCE_OCTETS:
            raise Refused(Reason.MESSAGE_TOO_LARGE, value=needed, limit=MAX_ALLOWANCE_OCTETS - exchange.up.allowance)
        stream.up.allowance = needed
        exchange.up.allowance += needed

    def _judge(self, stream: Stream, now_ns: int) -> None:
        assert stream.reader is not None
        assert stream.call is not None
        stream.reader.finish()
        if len(stream.reader.messages) != 1:
            raise Refused(Reason.REQUEST_MALFORMED, why="it must have exactly one message")
        verdict = self._exchange.calls.judge(stream.call, stream.reader.messages[0], now_ns)
        if verdict.answer is not None:
            self._exchange.answer(stream, verdict.answer, now_ns)
            return
        if verdict.message is not None:
            self._exchange.replace_request(stream, verdict.message)
        stream.reader = None
        stream.take_up(stream.call)
        self._exchange.up.allowance -= stream.up.allowance
        stream.up.allowance = 0

    def move_on(self, stream: Stream) -> None:
        """Send on what may go, credit the caller, and forget the stream if both sides have ended it."""
        exchange = self._exchange
        if stream.number not in exchange.streams:
            return
        exchange.pump(stream)
        exchange.credit_caller(stream)
        exchange.credit_caller(None)
        if stream.is_done:
            exchange.forget(stream)

    def read_again(self, stream: Stream, now_ns: int) -> None:
        """Read what arrived before the call was decided."""
        if stream.number in self._exchange.streams:
            self._read(stream, memoryview(b"".join(stream.queue)), now_ns)
            self.move_on(stream)

    # --- heads ------------------------------------------------------------------------------

    def _headers(self, flags: int, number: int, payload: memoryview, now_ns: int) -> bool:
        if number % 2 == 0:
            raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "a caller's stream must be odd (5.1.1)")
        fragment = payloads.header_fragment(flags, payload)
        if flags & frames.END_HEADERS:
            self._head(number, flags, bytes(fragment), now_ns)
        else:
            self._block = (number, flags, bytearray(fragment), 0)
        return False

    def _continuation(self, flags: int, number: int, payload: memoryview, now_ns: int) -> bool:
        if self._block is None:
            raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS (6.10)")
        _, first_flags, block, count = self._block
        block += payload
        if count >= MAX_CONTINUATIONS or len(block) > MAX_BLOCK_OCTETS or not payload:
            raise ProtocolFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block in too many pieces or too long")
        self._block = (number, first_flags, block, count + 1)
        if flags & frames.END_HEADERS:
            self._block = None
            self._head(number, first_flags, bytes(block), now_ns)
        return False

    def _head(self, number: int, flags: int, block: bytes, now_ns: int) -> None:
        """Take a whole header block. It is decoded whatever becomes of it, or the table is out of step."""
        exchange = self._exchange
        too_large = None
        fields: tuple[tuple[bytes, bytes], ...] = ()
        try:
            fields = exchange.caller_decoder.decode(block)
        except HeaderListTooLarge:
            too_large = Refused(Reason.REQUEST_MALFORMED, why="its header list is too long")
        if number <= exchange.last_stream:
            self._trailers(number)
            return
        exchange.last_stream = number
        if len(exchange.streams) >= MAX_STREAMS:
            exchange.budgets.refusals.spend(now_ns)
            exchange.to_caller.append(frames.rst_stream(number, ErrorCode.REFUSED_STREAM))
            return
        stream = exchange.open_stream(number, fields, now_ns)
        stream.caller_ended = bool(flags & frames.END_STREAM)
        if too_large:
            exchange.refuse(stream, too_large, now_ns)
        else:
            self.begin(stream, now_ns)

    def begin(self, stream: Stream, now_ns: int) -> None:
        """Decide about a call, or decide again once what was missing is there."""
        exchange = self._exchange
        exchange.begin(stream, now_ns)
        if stream.is_over and not stream.is_ours:
            exchange.budgets.refusals.spend(now_ns)
        elif stream.reader is not None and stream.caller_ended and not stream.queue:
            exchange.refuse(stream, Refused(Reason.REQUEST_MALFORMED, why="it must have exactly one message"), now_ns)
        exchange.forward_heads()

    def _trailers(self, number: int) -> None:
        """A second head: gRPC clients send none, and the daemon must not see one that we did not judge."""
        stream = self._known(number)
        if stream is not None:
            raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "a second head on one stream")

    # --- the rest ---------------------------------------------------------------------------

    def _rst_stream(self, _flags: int, number: int, _payload: memoryview, now_ns: int) -> bool:
        stream = self._known(number)
        if stream is None:
            return False
        if not stream.is_answered:
            self._exchange.budgets.resets.spend(now_ns)
        self._exchange.finish(stream, Code.CANCELLED, now_ns)
        self._exchange.forget(stream)
        self._exchange.forward_heads()
        return stream.is_forwarded and not stream.is_ours

    def _settings_frame(self, flags: int, _number: int, payload: memoryview, now_ns: int) -> bool:
        if flags & frames.ACK:
            self._settings.caller_acked()
            return False
        self._has_settings = True
        self._exchange.budgets.settings.spend(now_ns)
        self._settings.caller_said(payloads.read_settings(payload))
        return False

    def _ping(self, flags: int, _number: int, payload: memoryview, now_ns: int) -> bool:
        exchange = self._exchange
        if flags & frames.ACK:
            self.pong_seen = True
            return exchange.daemon is Daemon.READY and bytes(payload) != OWN_PING
        if not exchange.answered_since_ping:
            exchange.budgets.pings.spend(now_ns)
        exchange.answered_since_ping = False
        if exchange.daemon is Daemon.READY:
            return True
        exchange.to_caller.append(frames.ping(bytes(payload), ack=True))
        return False

    def _window_update(self, _flags: int, number: int, payload: memoryview, _now_ns: int) -> bool:
        exchange = self._exchange
        octets = payloads.read_increment(number, payload)
        stream = self._known(number) if number else None
        if number and stream is None:
            return False
        window = exchange.down if stream is None else stream.down
        window.widen(octets)
        if window.gap == octets and not window.queued and exchange.is_known_to_daemon(stream):
            window.may += octets
            window.gap = 0
            return True
        if stream is None:
            exchange.pump_all_back()
        else:
            exchange.pump_back(stream)
        exchange.credit_daemon(stream)
        return False

    def _goaway(self, _flags: int, _number: int, _payload: memoryview, _now_ns: int) -> bool:
        self.is_going = True
        return False

    def _push_promise(self, _flags: int, _number: int, _payload: memoryview, _now_ns: int) -> bool:
        raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client (8.4)")

    def _noise(self, _flags: int, _number: int, _payload: memoryview, now_ns: int) -> bool:
        """PRIORITY and unknown types mean nothing here and nothing to the daemon (5.3.2, 5.5)."""
        self._exchange.budgets.noise.spend(now_ns)
        return False


_BY_KIND: Final[dict[int, Callable[[FromCaller, int, int, memoryview, int], bool]]] = {
    frames.DATA: FromCaller._data,
    frames.HEADERS: FromCaller._headers,
    frames.PRIORITY: FromCaller._noise,
    frames.RST_STREAM: FromCaller._rst_stream,
    frames.SETTINGS: FromCaller._settings_frame,
    frames.PUSH_PROMISE: FromCaller._push_promise,
    frames.PING: FromCaller._ping,
    frames.GOAWAY: FromCaller._goaway,
    frames.WINDOW_UPDATE: FromCaller._window_update,
    frames.CONTINUATION: FromCaller._continuation,
}
