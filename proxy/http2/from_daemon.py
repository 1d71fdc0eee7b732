"""Frames of the daemon: passed on to the caller that this connection was opened for.

The mirror image of `from_caller`. The daemon is trusted to keep the rules that
protect us, but not to be sane: what cannot be read ends the pair of connections.
"""

from collections.abc import Callable, Sequence
from typing import Final

from proxy.errors import Refused
from proxy.grpc.framing import frame
from proxy.grpc.status import read_status, trailers
from proxy.http2 import frames, payloads
from proxy.http2.calls import Fields
from proxy.http2.exchange import Exchange
from proxy.http2.frames import DEFAULT_MAX_FRAME_OCTETS, HEAD, HEAD_OCTETS, STREAM_MASK, ErrorCode, ProtocolFault
from proxy.http2.payloads import Head
from proxy.http2.settings import SettingsExchange
from proxy.http2.stream import Stream
from proxy.reasons import Code

# How a reset of the daemon reads as a status (PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping").
_CODES = {
    ErrorCode.NO_ERROR: Code.INTERNAL,
    ErrorCode.REFUSED_STREAM: Code.UNAVAILABLE,
    ErrorCode.CANCEL: Code.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}
_MAX_BLOCK_OCTETS = 1 << 20
_REMEMBERED_CODES = 32
_SHORT_TRAILERS = 5


class FromDaemon:
    """Reads the daemon's frames, in order."""

    def __init__(self, exchange: Exchange, settings: SettingsExchange) -> None:
        self._exchange = exchange
        self._settings = settings
        self._block: tuple[int, int, bytearray] | None = None
        self._codes: dict[tuple[tuple[bytes, bytes], ...], Code] = {}
        self.is_going = False

    def receive(self, view: memoryview, now_ns: int) -> int:  # noqa: C901  the hot path is one loop on purpose
        """Take the whole frames at the start of `view`, as `FromCaller.receive` does, into `to_caller`.

        Raises:
            ProtocolFault: the daemon cannot be understood.
        """
        exchange = self._exchange
        streams = exchange.streams
        whole = exchange.down
        out = exchange.to_caller
        unpack = HEAD.unpack_from
        largest = DEFAULT_MAX_FRAME_OCTETS
        at = run = passed = 0
        size = len(view)
        while size - at >= HEAD_OCTETS:
            high, low, kind, flags, number = unpack(view, at)
            length = high << 16 | low
            end = at + HEAD_OCTETS + length
            if end > size and length <= largest:
                break
            # kind 0 is DATA, flag 1 END_STREAM: a gRPC answer ends with a head, never with DATA.
            if kind == 0 and length <= largest and not flags & 1 and end <= size:
                stream = streams.get(number)
                if stream is not None and stream.is_back_direct and whole.gap >= 0:
                    whole.may -= length
                    stream.down.may -= length
                    stream.sent_octets += length
                    passed += length
                    at = end
                    continue
            if at > run:
                out.append(view[run:at])
            # kind 1 is HEADERS; of its flags only END_HEADERS (4) and perhaps END_STREAM (1): the usual answer.
            if kind == 1 and flags | 1 == 5 and length <= largest and end <= size and number and self._block is None:
                self._head(number & STREAM_MASK, flags, bytes(view[at + HEAD_OCTETS : end]), now_ns)
                at = run = end
                continue
            run = at if self._frame(Head(length, kind, flags, number & STREAM_MASK), view, at, now_ns) else end
            at = end
        if at > run:
            out.append(view[run:at])
        if passed:
            exchange.budgets.work_octets += passed
            exchange.answered_since_ping = True
        return at

    def _frame(self, head: Head, view: memoryview, at: int, now_ns: int) -> bool:
        """Look at one frame; tell whether it passes to the caller as it is."""
        payloads.check_head(head)
        if self._block is not None and (head.kind != frames.CONTINUATION or head.stream != self._block[0]):
            raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "a frame inside a header block (6.10)")
        act = _BY_KIND.get(head.kind)
        if act is None:
            return False
        return act(self, head.flags, head.stream, view[at + HEAD_OCTETS : at + HEAD_OCTETS + head.length], now_ns)

    def _data(self, flags: int, number: int, payload: memoryview, now_ns: int) -> bool:
        exchange = self._exchange
        stream = exchange.streams.get(number)
        if stream is None or stream.is_ours:
            # The caller has left, or we ended the call: what still arrives is the daemon's to send again.
            exchange.down.drop(len(payload))
            exchange.credit_daemon(None)
            return False
        octets = payloads.unpadded(flags, payload)
        exchange.budgets.work_octets += len(octets)
        exchange.answered_since_ping = True
        if stream.call is not None and not stream.is_over and stream.observed:
            exchange.calls.observe(stream.call, octets)
        passes = self._passes_on(stream, payload)
        if passes:
            for window in (exchange.down, stream.down):
                window.may -= len(payload)
            stream.sent_octets += len(octets)
        else:
            self._keep(stream, octets, payload_octets=len(payload), now_ns=now_ns)
        if flags & frames.END_STREAM and number in exchange.streams:
            if not passes:
                stream.trailers = trailers(Code.UNKNOWN, "the daemon's answer has no status")
            self._ended(stream, Code.UNKNOWN, now_ns)
            exchange.pump_back(stream)
        return passes

    def _passes_on(self, stream: Stream, payload: memoryview) -> bool:
        """Tell whether DATA may go on as it is: nothing of its stream waits, and both windows of the caller take it."""
        room = min(self._exchange.down.gap, stream.down.gap)
        return not (stream.rewriter or stream.back) and (
            room >= 0 or len(payload) <= min(self._exchange.down.takes, stream.down.takes)
        )

    def _keep(self, stream: Stream, octets: memoryview, *, payload_octets: int, now_ns: int) -> None:
        """Take octets that cannot go on as they are: rewrite them, or let them wait for the caller's windows.

        Raises:
            ProtocolFault: FLOW_CONTROL_ERROR, the daemon sends more than it may.
        """
        exchange = self._exchange
        if payload_octets > exchange.down.may:
            raise ProtocolFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the caller's window takes")
        for window in (exchange.down, stream.down):
            window.drop(payload_octets)
        if stream.rewriter is None:
            exchange.keep_back(stream, bytes(octets))
        elif not self._rewrite(stream, octets, now_ns):
            return
        exchange.pump_back(stream)
        exchange.credit_daemon(stream)
        exchange.credit_daemon(None)

    def _rewrite(self, stream: Stream, octets: memoryview, now_ns: int) -> bool:
        """Rewrite what became whole messages; tell whether the call goes on."""
        assert stream.rewriter is not None
        assert stream.call is not None
        try:
            stream.rewriter.feed(octets)
            while stream.rewriter.messages:
                self._keep_messages(stream, self._exchange.calls.rewrite(stream.call, stream.rewriter.messages.pop(0)))
        except Refused as refused:
            self._exchange.refuse(stream, refused, now_ns)
            return False
        return True

    def _keep_messages(self, stream: Stream, messages: Sequence[bytes]) -> None:
        for message in messages:
            self._exchange.keep_back(stream, frame(message))

    def _headers(self, flags: int, number: int, payload: memoryview, now_ns: int) -> bool:
        fragment = payloads.header_fragment(flags, payload)
        if flags & frames.END_HEADERS:
            self._head(number, flags, bytes(fragment), now_ns)
        else:
            self._block = (number, flags, bytearray(fragment))
        return False

    def _continuation(self, flags: int, number: int, payload: memoryview, now_ns: int) -> bool:
        if self._block is None or len(self._block[2]) > _MAX_BLOCK_OCTETS:
            raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS, or too long a block")
        _, first_flags, block = self._block
        block += payload
        if flags & frames.END_HEADERS:
            self._block = None
            self._head(number, first_flags, bytes(block), now_ns)
        return False

    def _head(self, number: int, flags: int, block: bytes, now_ns: int) -> None:
        """Take a whole header block: the start of an answer, or its trailers."""
        exchange = self._exchange
        fields = exchange.daemon_decoder.decode(block)
        stream = exchange.streams.get(number)
        if stream is None or stream.is_ours:
            return
        is_last = bool(flags & frames.END_STREAM)
        if is_last and (stream.rewriter or stream.back):
            self._end_back(stream, fields, now_ns)
            return
        if is_last and stream.call is not None and self._code(fields) is not Code.OK:
            fields = tuple(exchange.calls.reword(stream.call, fields))
        encoded = exchange.caller_encoder.encode(fields)
        exchange.to_caller.append(frames.headers(number, encoded, end_stream=is_last))
        exchange.answered_since_ping = True
        stream.is_answered = True
        if is_last:
            self._ended(stream, self._code(fields), now_ns)

    def _end_back(self, stream: Stream, fields: Fields, now_ns: int) -> None:
        """End an answer of which something waits, or is rewritten."""
        exchange, code = self._exchange, self._code(tuple(fields))
        assert stream.call is not None
        stream.is_answered = True
        try:
            if stream.rewriter is not None:
                self._keep_messages(stream, exchange.calls.rewrite(stream.call, None))
            if code is not Code.OK:
                fields = exchange.calls.reword(stream.call, fields)
        except Refused as refused:
            exchange.refuse(stream, refused, now_ns)
            return
        stream.trailers = fields
        self._ended(stream, code, now_ns)
        exchange.pump_back(stream)

    def _code(self, fields: tuple[tuple[bytes, bytes], ...]) -> Code:
        """Return the status that trailers carry; the same few come again and again."""
        code = self._codes.get(fields)
        if code is None:
            status = read_status(fields)
            code = status[0] if status else Code.UNKNOWN
            if len(self._codes) < _REMEMBERED_CODES and len(fields) <= _SHORT_TRAILERS:
                self._codes[fields] = code
        return code

    def _ended(self, stream: Stream, code: Code, now_ns: int) -> None:
        stream.daemon_ended = True
        self._exchange.finish(stream, code, now_ns)
        if stream.is_done:
            self._exchange.forget(stream)

    def _rst_stream(self, _flags: int, number: int, payload: memoryview, now_ns: int) -> bool:
        stream = self._exchange.streams.get(number)
        if stream is None or stream.is_ours:
            return False
        if stream.trailers is not None:
            # It has said all, and listens no more; the caller has yet to hear it.
            stream.closes_after = True
            return False
        code = _CODES.get(ErrorCode(payloads.read_error_code(payload) % 14), Code.INTERNAL)
        self._exchange.finish(stream, code, now_ns)
        self._exchange.forget(stream)
        return True

    def _settings_frame(self, flags: int, _number: int, payload: memoryview, _now_ns: int) -> bool:
        if flags & frames.ACK:
            self._settings.daemon_acked()
        else:
            self._settings.daemon_said(payloads.read_settings(payload, from_server=True))
        return False

    def _window_update(self, _flags: int, number: int, payload: memoryview, _now_ns: int) -> bool:
        exchange = self._exchange
        octets = payloads.read_increment(number, payload)
        stream = exchange.streams.get(number) if number else None
        if number and stream is None:
            return False
        window = exchange.up if stream is None else stream.up
        if not window.gap and not window.queued and not window.allowance:
            window.widen(octets)
            window.may += octets
            window.gap = 0
            return stream is None or not stream.caller_ended
        window.widen(octets)
        self._pump(stream)
        exchange.credit_caller(stream)
        return False

    def _pump(self, stream: Stream | None) -> None:
        waiting = [stream] if stream else [each for each in self._exchange.streams.values() if each.queue]
        for each in waiting:
            self._exchange.pump(each)
            self._exchange.credit_caller(each)

    def _goaway(self, _flags: int, _number: int, _payload: memoryview, _now_ns: int) -> bool:
        self.is_going = True
        return True

    def _passes(self, _flags: int, _number: int, _payload: memoryview, _now_ns: int) -> bool:
        """PINGs measure the whole way from end to end, so both directions pass as they are."""
        return True

    def _push_promise(self, _flags: int, _number: int, _payload: memoryview, _now_ns: int) -> bool:
        raise ProtocolFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE although push is off (8.4)")


_BY_KIND: Final[dict[int, Callable[[FromDaemon, int, int, memoryview, int], bool]]] = {
    frames.DATA: FromDaemon._data,
    frames.HEADERS: FromDaemon._headers,
    frames.RST_STREAM: FromDaemon._rst_stream,
    frames.SETTINGS: FromDaemon._settings_frame,
    frames.PING: FromDaemon._passes,
    frames.GOAWAY: FromDaemon._goaway,
    frames.WINDOW_UPDATE: FromDaemon._window_update,
    frames.CONTINUATION: FromDaemon._continuation,
    frames.PUSH_PROMISE: FromDaemon._push_promise,
}
