"""Two connections that belong together: a caller's and the one opened for it at the daemon.

Stream numbers are the same on both. A call that was refused leaves a gap in the
numbers that the daemon sees, which is legal (RFC 9113 5.1.1). Heads reach the
daemon in the order of their numbers: a head that waits (for a token's keys, for
the daemon) makes later heads wait, and nothing else.
"""

from collections import deque
from enum import Enum
from typing import Any

from proxy.errors import Refused
from proxy.grpc.framing import MessageReader, frame
from proxy.grpc.status import trailers, trailers_only
from proxy.http2 import frames
from proxy.http2.abuse import Budgets
from proxy.http2.backlog import octets_in, send_on, wait
from proxy.http2.calls import Call, Calls, Fields
from proxy.http2.credit import Window
from proxy.http2.frames import DEFAULT_WINDOW_OCTETS, Buffer, ErrorCode
from proxy.http2.hpack import Decoder, Encoder
from proxy.http2.stream import Stream
from proxy.reasons import Code, Reason

# A bake of many targets holds four calls for each; Docker's own daemon allows 250.
MAX_STREAMS = 250
MAX_HEADER_LIST_OCTETS = 32_768
# BuildKit's error trailers carry stack traces: 21 kB were seen for a RUN of 6 kB.
MAX_ANSWER_LIST_OCTETS = 1 << 20
_OK_HEAD = ((b":status", b"200"), (b"content-type", b"application/grpc"))


class Daemon(Enum):
    """The relay's connection to the daemon."""

    ABSENT = "absent"
    WANTED = "wanted"
    READY = "ready"
    GONE = "gone"


class Exchange:
    """The state that both directions share, and what can be done to a stream from either side."""

    def __init__(self, calls: Calls[Any]) -> None:
        self.calls = calls
        self.daemon = Daemon.ABSENT
        self.streams: dict[int, Stream] = {}
        self.heads: deque[Stream] = deque()
        self.last_stream = 0
        self.up = Window(DEFAULT_WINDOW_OCTETS)
        self.down = Window(DEFAULT_WINDOW_OCTETS)
        self.up_initial = DEFAULT_WINDOW_OCTETS
        self.down_initial = DEFAULT_WINDOW_OCTETS
        self.to_caller: list[Buffer] = []
        self.to_daemon: list[Buffer] = []
        self.caller_decoder = Decoder(max_list_octets=MAX_HEADER_LIST_OCTETS)
        self.daemon_decoder = Decoder(max_list_octets=MAX_ANSWER_LIST_OCTETS)
        self.caller_encoder = Encoder()
        self.daemon_encoder = Encoder()
        self.budgets = Budgets()
        # Whether the caller has something to measure: its PINGs after our DATA are BDP estimates.
        self.answered_since_ping = False
        # The caller counts with windows that it does not grant yet: the ACK of its SETTINGS is under way (6.9.2).
        self.is_back_paused = False

    def open_stream(self, number: int, fields: Fields, now_ns: int) -> Stream:
        """Return a new stream of the caller."""
        stream = Stream(number, fields, up_initial=self.up_initial, down_initial=self.down_initial, now_ns=now_ns)
        self.streams[number] = stream
        return stream

    def begin(self, stream: Stream, now_ns: int) -> None:
        """Ask whether the call may go on, and send its head on or turn it away."""
        try:
            call = self.calls.begin(stream.number, stream.fields, now_ns)
        except Refused as refused:
            self.refuse(stream, refused, now_ns)
            return
        if call is None:
            if stream not in self.heads:
                self.heads.append(stream)
            return
        stream.call = call
        if call.answer is not None:
            self.answer(stream, call.answer, now_ns)
            return
        if stream not in self.heads:
            self.heads.append(stream)
        self._prepare(stream, call)

    def forward_heads(self) -> None:
        """Send on every head that may go, in order; ask for the daemon if it is not there."""
        while self.heads and self.heads[0].call is not None:
            if self.daemon is not Daemon.READY:
                if self.daemon is Daemon.ABSENT:
                    self.daemon = Daemon.WANTED
                return
            self._forward_head(self.heads.popleft())

    def refuse(self, stream: Stream, refused: Refused, now_ns: int) -> None:
        """Turn a call away, or end one that runs, with a sentence."""
        if stream.is_over:
            self.reset(stream, ErrorCode.CANCEL)
            return
        stream.is_over = True
        self.report_octets(stream)
        code, text = self.calls.refused(stream.number, stream.call, refused, now_ns)
        self._say_end(stream, code, text)
        self._abandon(stream)

    def finish(self, stream: Stream, code: Code, now_ns: int, reason: Reason | None = None) -> None:
        """Tell once that the call ended; the stream may live on until both sides closed it."""
        if stream.is_over:
            return
        stream.is_over = True
        self.report_octets(stream)
        if stream.call is not None:
            self.calls.ended(stream.call, code, reason, now_ns)

    def report_octets(self, stream: Stream) -> None:
        """Tell the octets that passed, or wait for the caller, since the last report."""
        if stream.call is not None and (stream.received_octets or stream.sent_octets):
            self.calls.passed(stream.call, stream.received_octets, stream.sent_octets)
            stream.received_octets = stream.sent_octets = 0

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End a stream on both sides without a word."""
        self.to_caller.append(frames.rst_stream(stream.number, code))
        if not stream.is_ours:
            self._leave_daemon(stream)
        self.forget(stream)

    def forget(self, stream: Stream) -> None:
        """Drop a stream; what was kept of it is credited to the connections."""
        self.streams.pop(stream.number, None)
        self._leave_line(stream)
        if stream.queue:
            self.up.discard(octets_in(stream.queue))
            stream.queue.clear()
        self.up.allowance -= stream.up.allowance
        stream.is_direct = False
        self.credit_caller(None)
        if stream.back:
            self.down.discard(octets_in(stream.back))
            stream.back.clear()
            self.credit_daemon(None)

    def _leave_line(self, stream: Stream) -> None:
        if not stream.is_forwarded and stream in self.heads:
            self.heads.remove(stream)

    def credit_caller(self, stream: Stream | None) -> None:
        """Give the caller what is owed to it on a stream, or on the connection."""
        window = self.up if stream is None else stream.up
        if (stream is None or not stream.caller_ended) and (octets := window.grant()):
            self.to_caller.append(frames.window_update(stream.number if stream else 0, octets))

    def is_known_to_daemon(self, stream: Stream | None) -> bool:
        """Tell whether the daemon is there, and has not yet seen the end of `stream`, if one is meant."""
        return self.daemon is Daemon.READY and (stream is None or (stream.is_forwarded and not stream.is_ours))

    def credit_daemon(self, stream: Stream | None) -> None:
        """Give the daemon what is owed to it, once it is there and knows the stream."""
        if not self.is_known_to_daemon(stream):
            return
        window = self.down if stream is None else stream.down
        if octets := window.grant():
            self.to_daemon.append(frames.window_update(stream.number if stream else 0, octets))

    def pump(self, stream: Stream) -> None:
        """Send on what was kept of a request, as far as the daemon's windows reach."""
        if not stream.is_kept:
            if stream.queue:
                self.to_daemon += send_on(stream.queue, stream.number, stream.up, self.up, is_last=stream.caller_ended)
                stream.end_passed = stream.caller_ended and not stream.queue
            elif stream.caller_ended and not stream.end_passed:
                stream.end_passed = True
                self.to_daemon.append(frames.data(stream.number, b"", end_stream=True))
        stream.settle()

    def replace_request(self, stream: Stream, message: bytes) -> None:
        """Let the daemon have another message than the one that was kept."""
        framed = frame(message)
        for window in (self.up, stream.up):
            window.discard(octets_in(stream.queue))
            window.put(len(framed))
        stream.queue.clear()
        wait(stream.queue, framed)

    # --- what goes back -----------------------------------------------------------------------

    def keep_back(self, stream: Stream, octets: bytes) -> None:
        """Let octets of an answer wait for the caller's windows; `pump_back` sends them."""
        self.down.put(len(octets))
        stream.down.put(len(octets))
        stream.sent_octets += len(octets)
        wait(stream.back, octets)

    def pump_back(self, stream: Stream) -> None:
        """Send what waits of an answer as far as the caller's windows reach, then its trailers."""
        if stream.back and not self.is_back_paused:
            self.to_caller += send_on(stream.back, stream.number, stream.down, self.down, is_last=False)
            self.answered_since_ping = True
        if stream.trailers is not None and not stream.back:
            fields, stream.trailers = tuple(stream.trailers), None
            self.to_caller.append(frames.headers(stream.number, self.caller_encoder.encode(fields), end_stream=True))
            self.answered_since_ping = True
            self._close_behind(stream)
        stream.settle_back()

    def pump_all_back(self) -> None:
        """Send what waits of all answers, after the caller's windows became wider."""
        for stream in [each for each in self.streams.values() if each.back]:
            self.pump_back(stream)

    def answer(self, stream: Stream, answer: bytes, now_ns: int) -> None:
        """Answer a call ourselves with framed messages and status OK."""
        stream.is_ours = stream.is_answered = stream.daemon_ended = stream.closes_after = True
        self._leave_line(stream)
        self.to_caller.append(frames.headers(stream.number, self.caller_encoder.encode(_OK_HEAD)))
        self.keep_back(stream, answer)
        self.finish(stream, Code.OK, now_ns)
        self._leave_daemon(stream)
        stream.trailers = trailers(Code.OK, "")
        self.pump_back(stream)

    def _close_behind(self, stream: Stream) -> None:
        """Close the stream behind its trailers, if it is over."""
        if stream.closes_after:
            if not stream.caller_ended:
                self.to_caller.append(frames.rst_stream(stream.number, ErrorCode.NO_ERROR))
            self.forget(stream)
        elif stream.is_done:
            self.forget(stream)

    def _prepare(self, stream: Stream, call: Call) -> None:
        if call.is_read:
            stream.reader = MessageReader(call.message_limit_octets)
        stream.take_up(call)

    def _forward_head(self, stream: Stream) -> None:
        assert stream.call is not None
        stream.is_forwarded = True
        # A request that has no body at all ends with its head.
        stream.end_passed = stream.caller_ended and not stream.is_kept and not stream.queue
        block = self.daemon_encoder.encode(stream.call.fields)
        self.to_daemon.append(frames.headers(stream.number, block, end_stream=stream.end_passed))
        self.credit_daemon(stream)
        self.pump(stream)

    def _say_end(self, stream: Stream, code: Code, text: str) -> None:
        fields = trailers(code, text) if stream.is_answered else trailers_only(code, text)
        block = self.caller_encoder.encode(tuple(fields))
        self.to_caller.append(frames.headers(stream.number, block, end_stream=True))
        self.answered_since_ping = True

    def _abandon(self, stream: Stream) -> None:
        """Close a stream that we ended: the caller need not send more, the daemon not work more."""
        if not stream.caller_ended:
            self.to_caller.append(frames.rst_stream(stream.number, ErrorCode.NO_ERROR))
        if not stream.is_ours:
            self._leave_daemon(stream)
        self.forget(stream)

    def _leave_daemon(self, stream: Stream) -> None:
        if stream.is_forwarded:
            self.to_daemon.append(frames.rst_stream(stream.number, ErrorCode.CANCEL))
