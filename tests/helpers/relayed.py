"""A relay between two peers that know HTTP/2 by heart: `h2` as the caller, `h2` as the daemon.

Nothing moves by itself: octets wait in four pipes until somebody says how many go
on. Both peers check everything that they are sent; whatever the relay breaks, one
of them raises.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes

from proxy.errors import Refused
from proxy.grpc.framing import frame
from proxy.http2.calls import AS_IT_IS, Fields, Verdict
from proxy.http2.frames import DEFAULT_WINDOW_OCTETS, PREFACE
from proxy.http2.relay import Relay
from proxy.reasons import Code, Reason
from proxy.units import SECOND_NS
from tests.helpers.h2client import call_fields

# What becomes of a call, by its path.
PASSED, READ, DOOMED, REFUSED, ANSWERED, TOLD, LATER, SWAPPED, REWRITTEN = (
    b"/" + word for word in b"pass read doom no own told later swap turn".split()
)
PATHS = (PASSED, READ, DOOMED, REFUSED, ANSWERED, TOLD, LATER, SWAPPED, REWRITTEN)
OWN_ANSWER = frame(b"ok")
# Longer than any window is at first.
LONG_OWN_ANSWER = frame(b"own answer" * 10_000)
LAST_WORD = b"that is all"
MESSAGE_LIMIT_OCTETS = 1 << 20


def own_answer(stream: int) -> bytes:
    """Return the answer of our own on that stream: every fourth is a long one."""
    return LONG_OWN_ANSWER if stream % 8 == 7 else OWN_ANSWER


def swapped(stream: int, message: bytes) -> bytes:
    """What the daemon of a SWAPPED call gets: something longer, something shorter, nothing at all."""
    return (message + b"+" * 70_000, message[: len(message) // 2], b"")[stream // 2 % 3]


def rewritten(stream: int, message: bytes) -> list[bytes]:
    """What the caller of a REWRITTEN call gets for a message: a longer one, a shorter one, none, two."""
    return ([message + b"-" * 70_000], [message[:1]], [], [message, message])[stream // 2 % 4]


@dataclass
class Admitted:
    """A call that the judge let in."""

    fields: tuple[tuple[bytes, bytes], ...]
    stream: int
    path: bytes
    is_read: bool
    is_waiting: bool = False
    is_observed: bool = False
    is_rewritten: bool = False
    message_limit_octets: int = MESSAGE_LIMIT_OCTETS
    answer_limit_octets: int = MESSAGE_LIMIT_OCTETS
    answer: bytes | None = None


@dataclass
class Judge:
    """Decides by path; notes what was begun, judged, observed and ended."""

    decided: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    calls: dict[int, Admitted] = field(default_factory=dict)
    begun: list[int] = field(default_factory=list)
    ended_: list[int] = field(default_factory=list)
    messages: dict[int, bytes] = field(default_factory=dict)
    observed: dict[int, bytes] = field(default_factory=dict)
    up_octets: dict[int, int] = field(default_factory=dict)
    down_octets: dict[int, int] = field(default_factory=dict)

    def begin(self, stream: int, fields: Fields, now_ns: int) -> Admitted | None:  # noqa: ARG002
        path = dict(fields)[b":path"]
        if path == REFUSED:
            raise Refused(Reason.METHOD_UNKNOWN)
        if path == LATER and stream not in self.decided:
            self.waiting.add(stream)
            return None
        self.begun.append(stream)
        self.calls[stream] = Admitted(
            tuple(fields),
            stream,
            path,
            is_read=path in (READ, DOOMED, TOLD, SWAPPED),
            is_observed=path == READ,
            is_rewritten=path == REWRITTEN,
            answer=own_answer(stream) if path == ANSWERED else None,
        )
        return self.calls[stream]

    def judge(self, call: Admitted, message: bytes, now_ns: int) -> Verdict:  # noqa: ARG002
        assert call.stream not in self.messages
        self.messages[call.stream] = message
        if call.path == DOOMED:
            raise Refused(Reason.FOREIGN_REF, tenant="payments")
        if call.path == TOLD:
            return Verdict(answer=own_answer(call.stream))
        # Every second message waits on, as a Status waits for its build.
        call.is_waiting = call.stream % 4 == 1
        if call.is_waiting:
            self.waiting.add(call.stream)
        return Verdict(message=swapped(call.stream, message)) if call.path == SWAPPED else AS_IT_IS

    def rewrite(self, call: Admitted, message: bytes | None) -> list[bytes]:
        return [LAST_WORD] if message is None else rewritten(call.stream, message)

    def reword(self, call: Admitted, trailers: Fields) -> Fields:  # noqa: ARG002
        return trailers

    def observe(self, call: Admitted, octets: memoryview) -> None:
        self.observed[call.stream] = self.observed.get(call.stream, b"") + octets

    def refused(self, stream: int, call: Admitted | None, refused: Refused, now_ns: int) -> tuple[Code, str]:  # noqa: ARG002
        if call is not None:
            self.ended_.append(stream)
        return refused.reason.code, "no"

    def ended(self, call: Admitted, code: Code, reason: Reason | None, now_ns: int) -> None:  # noqa: ARG002
        self.ended_.append(call.stream)

    def passed(self, call: Admitted, received_octets: int, sent_octets: int) -> None:
        self.up_octets[call.stream] = self.up_octets.get(call.stream, 0) + received_octets
        self.down_octets[call.stream] = self.down_octets.get(call.stream, 0) + sent_octets


@dataclass
class Side:
    """What one peer wants to say on a stream, has said, and has heard."""

    wants: bytes = b""
    said: int = 0
    heard: bytes = b""
    is_ended: bool = False
    has_heard_end: bool = False
    is_reset: bool = False


class Peer:
    """One end: an `h2` connection, its streams, and the credit it still owes."""

    def __init__(self, *, is_caller: bool) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=is_caller, header_encoding=None))
        self.h2.initiate_connection()
        self.streams: dict[int, Side] = {}
        self.window_octets = DEFAULT_WINDOW_OCTETS
        self.unacknowledged = 1
        self.owed_octets = 0
        self.owed_by_stream: dict[int, int] = {}
        self.requests: dict[int, list[tuple[bytes, bytes]]] = {}
        self.out = b""
        self.incoming = b""

    @property
    def unsaid_octets(self) -> int:
        """Credit for octets of reset streams: `h2` gives it by itself, but only when it has become much."""
        processed: int = self.h2._inbound_flow_control_window_manager._bytes_processed
        return processed

    def collect(self) -> None:
        """Put what `h2` wants to send into the pipe."""
        self.out += self.h2.data_to_send()

    def receive(self, octets: int) -> None:
        """Read that many octets of what waits for this peer."""
        piece, self.incoming = self.incoming[:octets], self.incoming[octets:]
        for event in self.h2.receive_data(piece):
            self._note(event)
        self.collect()

    def live(self) -> Iterator[tuple[int, Side]]:
        """Give the streams on which this peer may still say something."""
        return ((n, side) for n, side in self.streams.items() if not (side.is_ended or side.is_reset))

    def say(self, stream: int, octets: int) -> int:
        """Send up to so many octets of what is wanted, as the windows allow; return how many."""
        side = self.streams[stream]
        room = min(octets, len(side.wants) - side.said, self.h2.local_flow_control_window(stream), 16_384)
        if room > 0:
            self.h2.send_data(stream, side.wants[side.said : side.said + room])
            side.said += room
        self.collect()
        return max(room, 0)

    def credit(self, octets: int) -> None:
        """Give back up to so many octets of credit, on the connection and on each stream."""
        whole = min(octets, self.owed_octets)
        if whole:
            self.h2.increment_flow_control_window(whole)
            self.owed_octets -= whole
        for stream, owed in list(self.owed_by_stream.items()):
            side = self.streams[stream]
            part = 0 if side.has_heard_end or side.is_reset else min(octets, owed)
            if part:
                self.h2.increment_flow_control_window(part, stream)
            self.owed_by_stream[stream] -= part
        self.collect()

    def reset(self, stream: int) -> None:
        """Give a stream up."""
        self.h2.reset_stream(stream, ErrorCodes.CANCEL)
        self.streams[stream].is_reset = True
        self.collect()

    def set_window(self, octets: int) -> None:
        """Announce another INITIAL_WINDOW_SIZE.

        Not while an ACK is outstanding: `h2` takes any ACK for that of the newest SETTINGS.
        """
        if self.unacknowledged or octets == self.window_octets:
            return
        self.window_octets = octets
        self.unacknowledged += 1
        self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: octets})
        self.collect()

    def _note(self, event: Event) -> None:
        if isinstance(event, SettingsAcknowledged):
            self.unacknowledged -= 1
        elif isinstance(event, RequestReceived):
            self.streams[event.stream_id] = Side()
            self.requests[event.stream_id] = list(event.headers)
        elif isinstance(event, DataReceived):
            side = self.streams[event.stream_id]
            side.heard += event.data
            self.owed_octets += event.flow_controlled_length
            owed = self.owed_by_stream.get(event.stream_id, 0)
            self.owed_by_stream[event.stream_id] = owed + event.flow_controlled_length
        elif isinstance(event, StreamEnded):
            self.streams[event.stream_id].has_heard_end = True
        elif isinstance(event, TrailersReceived):
            pass
        elif isinstance(event, StreamReset):
            self.streams[event.stream_id].is_reset = True


class Relayed:
    """Caller, relay and daemon, and the pipes between them."""

    def __init__(self) -> None:
        self.judge = Judge()
        self.relay = Relay(self.judge)
        self.caller = Peer(is_caller=True)
        self.daemon = Peer(is_caller=False)
        self.now_ns = 0
        self._next_stream = 1
        self._from_caller = b""
        self._from_daemon = b""
        self.has_daemon = False
        self.caller.collect()
        assert self.caller.out.startswith(PREFACE)
        self.caller.out = self.caller.out[len(PREFACE) :]
        self.daemon.collect()

    # --- what the two peers do --------------------------------------------------------------

    def call(self, path: bytes, octets: int) -> int:
        """Open a call whose request has so many octets (of message, behind its prefix)."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        wants = b"\0" + octets.to_bytes(4, "big") + bytes((stream % 251,)) * octets
        self.caller.streams[stream] = Side(wants=wants)
        self.caller.h2.send_headers(stream, call_fields(path))
        self.caller.collect()
        return stream

    def end_request(self, stream: int) -> None:
        """Say that the request is complete, if it is."""
        side = self.caller.streams[stream]
        if side.said == len(side.wants):
            self.caller.h2.end_stream(stream)
            side.is_ended = True
            self.caller.collect()

    def answer(self, stream: int, octets: int) -> None:
        """Let the daemon begin an answer of so many octets."""
        side = self.daemon.streams[stream]
        if not side.wants and stream in self.judge.calls:
            self.daemon.h2.send_headers(stream, [(b":status", b"200"), (b"content-type", b"application/grpc")])
            side.wants = bytes((stream % 241,)) * (octets + 1)
            if self.judge.calls[stream].path == REWRITTEN:
                side.wants = frame(side.wants) + frame(b"")
            self.daemon.collect()

    def fill(self, stream: int) -> None:
        """Let the daemon answer with as much as it may."""
        self.answer(stream, 200_000)
        while self.daemon.say(stream, 1 << 20):
            pass

    def end_answer(self, stream: int) -> None:
        """Let the daemon end an answer that is complete."""
        side = self.daemon.streams[stream]
        if side.wants and side.said == len(side.wants):
            self.daemon.h2.send_headers(stream, [(b"grpc-status", b"0")], end_stream=True)
            side.is_ended = True
            self.daemon.collect()

    # --- what moves -------------------------------------------------------------------------

    def up(self, octets: int) -> None:
        """Let so many octets of the caller reach the relay."""
        piece, self.caller.out = self.caller.out[:octets], self.caller.out[octets:]
        # A buffer that is reused at once: nothing may be kept of it.
        scratch = bytearray(self._from_caller + piece)
        taken = self.relay.from_caller(memoryview(scratch), self.now_ns)
        self._from_caller = bytes(scratch[taken:])
        self.flush()
        scratch[:] = bytes(len(scratch))

    def down(self, octets: int) -> None:
        """Let so many octets of the daemon reach the relay."""
        if not self.has_daemon:
            return
        piece, self.daemon.out = self.daemon.out[:octets], self.daemon.out[octets:]
        scratch = bytearray(self._from_daemon + piece)
        taken = self.relay.from_daemon(memoryview(scratch), self.now_ns)
        self._from_daemon = bytes(scratch[taken:])
        self.flush()
        scratch[:] = bytes(len(scratch))

    def flush(self) -> None:
        """Put what the relay said into the pipes to both peers."""
        self.caller.incoming += b"".join(self.relay.take_to_caller())
        self.daemon.incoming += b"".join(self.relay.take_to_daemon())

    def open_daemon(self) -> None:
        """Open the daemon's connection if the relay asked for it."""
        if self.relay.wants_daemon:
            self.has_daemon = True
            self.relay.daemon_ready()
            self.flush()

    def decide(self) -> None:
        """Bring what calls wait for."""
        for stream in sorted(self.judge.waiting):
            self.judge.decided.add(stream)
            if stream in self.judge.calls:
                self.judge.calls[stream].is_waiting = False
                self.relay.let_go(stream)
            else:
                self.relay.retry(stream, self.now_ns)
        self.judge.waiting.clear()
        self.flush()

    def later(self) -> None:
        """Let a second pass, so that budgets refill."""
        self.now_ns += SECOND_NS

    def settle(self) -> None:
        """Let everybody finish: all is said, passed on, credited, answered; then nothing moves any more."""
        for _ in range(2000):
            before = self._state()
            for peer in (self.caller, self.daemon):
                peer.set_window(DEFAULT_WINDOW_OCTETS)
            self.later()
            self.decide()
            self.open_daemon()
            self._finish_calls()
            self.up(1 << 20)
            self.down(1 << 20)
            for peer in (self.caller, self.daemon):
                peer.receive(1 << 20)
                peer.credit(1 << 20)
            if self._state() == before:
                return
        raise AssertionError("it never comes to rest")

    def _finish_calls(self) -> None:
        for stream, _ in list(self.caller.live()):
            self.caller.say(stream, 1 << 20)
            self.end_request(stream)
        for stream, side in list(self.daemon.live()):
            if side.has_heard_end:
                self.answer(stream, 10)
                self.daemon.say(stream, 1 << 20)
                self.end_answer(stream)

    def _state(self) -> tuple[object, ...]:
        peers = tuple(
            (
                peer.out,
                peer.incoming,
                peer.owed_octets,
                sum(side.said + len(side.heard) for side in peer.streams.values()),
                [(side.is_ended, side.has_heard_end, side.is_reset) for side in peer.streams.values()],
            )
            for peer in (self.caller, self.daemon)
        )
        return (*peers, self.has_daemon, len(self.judge.waiting))
