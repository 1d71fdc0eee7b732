"""What the relay passes, keeps and says itself, frame by frame: fed whole, and octet by octet."""

import pytest

from proxy.errors import Refused
from proxy.grpc.framing import frame as framed
from proxy.http2 import frames
from proxy.http2.calls import Fields, Verdict
from proxy.http2.exchange import MAX_STREAMS
from proxy.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    DEFAULT_WINDOW_OCTETS,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD_OCTETS,
    HEADERS,
    PADDED,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    ProtocolFault,
)
from proxy.http2.from_caller import FRAMES_A_TURN, MAX_ALLOWANCE_OCTETS, OWN_PING
from proxy.http2.hpack import Decoder
from proxy.http2.payloads import read_error_code, read_goaway, read_head, read_increment, read_settings
from proxy.http2.relay import MESSAGE_LIMIT_NS, Relay
from proxy.http2.settings import MAX_UNACKNOWLEDGED
from proxy.reasons import Code, Reason
from tests.helpers.h2client import head, plain_block
from tests.helpers.hostile import GREETING
from tests.helpers.relayed import (
    ANSWERED,
    OWN_ANSWER,
    PASSED,
    READ,
    REFUSED,
    REWRITTEN,
    SWAPPED,
    TOLD,
    Admitted,
    Judge,
    swapped,
)

ANSWER_HEAD = plain_block([(b":status", b"200"), (b"content-type", b"application/grpc")])
TRAILERS = plain_block([(b"grpc-status", b"0")])
NOT_FOUND = plain_block([(b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-status", b"5")])
LOST = Refused(Reason.UPSTREAM_LOST)
PIECES = pytest.mark.parametrize("piece_octets", [1, 11, 1 << 20])
Heads = dict[int, list[tuple[bytes, bytes]]]
Said = list[tuple[int, int, int, bytes]]


class Recorder(Judge):
    """A judge that also remembers how calls ended, and can put every decision off."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: dict[int, tuple[Code, Reason | None]] = {}
        self.refusals: dict[int, Reason] = {}
        self.puts_off = False
        self.limit_octets = 1 << 20
        self.waits = False

    def begin(self, stream: int, fields: Fields, now_ns: int) -> Admitted | None:
        if self.puts_off:
            return None
        call = super().begin(stream, fields, now_ns)
        if call is not None:
            call.message_limit_octets = self.limit_octets
            call.is_waiting = self.waits
        return call

    def judge(self, call: Admitted, message: bytes, now_ns: int) -> Verdict:
        verdict = super().judge(call, message, now_ns)
        call.is_waiting = False
        return verdict

    def refused(self, stream: int, call: Admitted | None, refused: Refused, now_ns: int) -> tuple[Code, str]:
        self.refusals[stream] = refused.reason
        return super().refused(stream, call, refused, now_ns)

    def ended(self, call: Admitted, code: Code, reason: Reason | None, now_ns: int) -> None:
        super().ended(call, code, reason, now_ns)
        self.codes[call.stream] = (code, reason)


class Wire:
    """A relay between two pens: what goes in is said frame by frame, what comes out is read so."""

    def __init__(self, piece_octets: int = 1 << 20, *, has_daemon: bool = True) -> None:
        self.judge = Recorder()
        self.relay = Relay(self.judge)
        self.now_ns = 0
        self.opens = has_daemon
        self._piece_octets = piece_octets
        self._kept = {"caller": b"", "daemon": b""}
        self._decoders = {who: Decoder(max_list_octets=1 << 20) for who in self._kept}
        self.heads: dict[str, Heads] = {"caller": {}, "daemon": {}}
        self.to_caller: Said = []
        self.to_daemon: Said = []
        self.caller(GREETING)
        if has_daemon:
            self.caller(head(1, PASSED, end_stream=True))
            self.daemon(GREETING + frames.headers(1, NOT_FOUND, end_stream=True))
        self.to_caller.clear()
        self.to_daemon.clear()
        self.heads = {"caller": {}, "daemon": {}}

    def caller(self, octets: bytes) -> "Wire":
        """Let the caller say something."""
        return self._say("caller", octets)

    def daemon(self, octets: bytes) -> "Wire":
        """Let the daemon say something."""
        return self._say("daemon", octets)

    def _say(self, who: str, octets: bytes) -> "Wire":
        receive = self.relay.from_caller if who == "caller" else self.relay.from_daemon
        for at in range(0, len(octets), self._piece_octets):
            self._kept[who] += octets[at : at + self._piece_octets]
            while True:
                scratch = bytearray(self._kept[who])
                taken = receive(memoryview(scratch), self.now_ns)
                self._kept[who] = self._kept[who][taken:]
                self.take()
                if not taken or not self.relay.has_more:
                    break
        return self

    def take(self) -> "Wire":
        """Take what the relay said."""
        if self.relay.wants_daemon and self.opens:
            self.relay.daemon_ready()
        self.to_caller += self._told("caller", b"".join(self.relay.take_to_caller()))
        octets = b"".join(self.relay.take_to_daemon())
        self.to_daemon += self._told("daemon", octets.removeprefix(frames.PREFACE))
        return self

    def _told(self, who: str, octets: bytes) -> Said:
        said, block = split(octets), b""
        for kind, flags, stream, payload in said:
            if kind in (HEADERS, CONTINUATION):
                block += payload
                if flags & END_HEADERS:
                    self.heads[who].setdefault(stream, []).extend(self._decoders[who].decode(block))
                    block = b""
        return said


def split(octets: bytes) -> Said:
    """Return octets as frames: kind, flags, stream, payload."""
    said: Said = []
    at = 0
    while at < len(octets):
        one = read_head(octets[at : at + HEAD_OCTETS])
        at += HEAD_OCTETS + one.length
        said.append((one.kind, one.flags, one.stream, octets[at - one.length : at]))
    assert at == len(octets)
    return said


def kinds(said: Said) -> list[tuple[int, int]]:
    return [(kind, stream) for kind, _, stream, _ in said]


def only(said: Said, kind: int) -> list[tuple[int, int, bytes]]:
    return [(flags, stream, payload) for each, flags, stream, payload in said if each == kind]


def octets_of(said: Said, stream: int) -> bytes:
    return b"".join(payload for kind, _, each, payload in said if kind == DATA and each == stream)


def credit(said: Said, stream: int) -> int:
    return sum(read_increment(stream, payload) for _, each, payload in only(said, WINDOW_UPDATE) if each == stream)


def data_frames(stream: int, octets: bytes, *, end_stream: bool = False) -> bytes:
    return frames.data(stream, octets, end_stream=end_stream)


# --- what passes ----------------------------------------------------------------------------


@PIECES
def test_octets_pass_unchanged_in_order_and_cost_no_credit_of_ours(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    requests = {3: bytes(range(256)) * 40, 5: b"five" * 900}
    wire.caller(head(3, PASSED) + head(5, PASSED))
    wire.caller(data_frames(3, requests[3]) + data_frames(5, requests[5]) + data_frames(3, b"end", end_stream=True))
    wire.daemon(frames.headers(3, ANSWER_HEAD) + data_frames(3, b"answer" * 3000))
    wire.daemon(frames.headers(3, TRAILERS, end_stream=True))

    assert octets_of(wire.to_daemon, 3) == requests[3] + b"end"
    assert octets_of(wire.to_daemon, 5) == requests[5]
    assert octets_of(wire.to_caller, 3) == b"answer" * 3000
    assert kinds(wire.to_caller)[0] == (HEADERS, 3)
    assert wire.heads["caller"][3] == [
        (b":status", b"200"),
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"0"),
    ]
    assert only(wire.to_caller, WINDOW_UPDATE) == only(wire.to_daemon, WINDOW_UPDATE) == []
    assert wire.judge.codes[3] == (Code.OK, None)
    assert wire.judge.up_octets[3] == len(requests[3]) + 3
    assert wire.judge.down_octets[3] == 18_000


@PIECES
def test_an_answer_of_trailers_alone_passes_with_its_status(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    wire.caller(head(3, PASSED, end_stream=True)).daemon(frames.headers(3, NOT_FOUND, end_stream=True))
    ((flags, stream, _),) = only(wire.to_caller, HEADERS)

    assert (flags, stream) == (END_HEADERS | END_STREAM, 3)
    assert wire.heads["caller"][3][-1] == (b"grpc-status", b"5")
    assert wire.judge.codes[3] == (Code.NOT_FOUND, None)
    assert wire.relay.open_streams == 0


def test_the_same_trailers_are_read_the_same_each_time() -> None:
    wire = Wire()
    long = plain_block([(b"grpc-status", b"7"), *[(b"x-%d" % number, b"") for number in range(9)]])
    without = plain_block([(b"x-odd", b"1")])
    for stream, block in zip(range(3, 15, 2), (NOT_FOUND, NOT_FOUND, long, long, without, without), strict=True):
        wire.caller(head(stream, PASSED, end_stream=True)).daemon(frames.headers(stream, block, end_stream=True))

    assert [code for code, _ in list(wire.judge.codes.values())[1:]] == [
        Code.NOT_FOUND,
        Code.NOT_FOUND,
        Code.PERMISSION_DENIED,
        Code.PERMISSION_DENIED,
        Code.UNKNOWN,
        Code.UNKNOWN,
    ]


@PIECES
def test_an_answer_whose_head_comes_in_pieces_is_one_head(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    trailers = plain_block([(b"grpc-status", b"2"), (b"grpc-status-details-bin", b"A" * 40_000)])
    wire.caller(head(3, PASSED, end_stream=True)).daemon(frames.headers(3, trailers, end_stream=True))
    blocks = [payload for kind, _, _, payload in wire.to_caller if kind in (HEADERS, CONTINUATION)]

    assert len(blocks) == 3
    assert wire.heads["caller"][3][1] == (b"grpc-status-details-bin", b"A" * 40_000)
    assert wire.judge.codes[3] == (Code.UNKNOWN, None)


def test_data_that_ends_an_answer_passes_and_tells_no_status() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED, end_stream=True))
    wire.daemon(frames.headers(3, ANSWER_HEAD) + data_frames(3, b"odd", end_stream=True))

    assert only(wire.to_caller, DATA) == [(END_STREAM, 3, b"odd")]
    assert wire.judge.codes[3] == (Code.UNKNOWN, None)


@PIECES
@pytest.mark.parametrize("padding", [b"\2xy\0\0", b"\0xy"])
def test_padding_reaches_nobody_who_reads_and_is_credited(padding: bytes, piece_octets: int) -> None:
    wire = Wire(piece_octets)
    wire.caller(head(3, PASSED) + frames.frame(DATA, PADDED, 3, padding))

    assert octets_of(wire.to_daemon, 3) == b"xy"
    assert credit(wire.to_caller, 3) == credit(wire.to_caller, 0) == len(padding) - 2


@PIECES
def test_pings_pass_both_ways_with_their_answers(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    wire.caller(frames.ping(b"measures") + frames.ping(b"answered", ack=True))
    wire.daemon(frames.ping(b"upstream") + frames.ping(b"measures", ack=True))

    assert only(wire.to_daemon, PING) == [(0, 0, b"measures"), (ACK, 0, b"answered")]
    assert only(wire.to_caller, PING) == [(0, 0, b"upstream"), (ACK, 0, b"measures")]


def test_a_ping_is_answered_here_while_there_is_no_daemon() -> None:
    wire = Wire(has_daemon=False)
    wire.caller(frames.ping(b"measures"))

    assert only(wire.to_caller, PING) == [(ACK, 0, b"measures")]


def test_our_own_ping_is_answered_to_us_alone() -> None:
    wire = Wire()
    wire.relay.ping()
    before = wire.relay.has_answered
    wire.take().caller(frames.ping(OWN_PING, ack=True))

    assert only(wire.to_caller, PING) == [(0, 0, OWN_PING)]
    assert (before, wire.relay.has_answered) == (False, True)
    assert wire.to_daemon == []


@PIECES
def test_credit_passes_both_ways_as_it_is(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    wire.caller(head(3, PASSED))
    updates = frames.window_update(0, 70_000) + frames.window_update(3, 80_000)
    wire.caller(updates).daemon(updates)

    assert split(updates) == [one for one in wire.to_daemon if one[0] == WINDOW_UPDATE]
    assert split(updates) == [one for one in wire.to_caller if one[0] == WINDOW_UPDATE]


def test_credit_for_a_stream_that_is_over_goes_nowhere() -> None:
    wire = Wire()
    wire.caller(frames.window_update(1, 7)).daemon(frames.window_update(1, 7))

    assert wire.to_caller == wire.to_daemon == []


def test_credit_that_came_before_the_daemon_reaches_it_when_it_comes() -> None:
    wire = Wire(has_daemon=False)
    wire.caller(head(1, PASSED) + frames.window_update(0, 10) + frames.window_update(1, 20))
    early = list(wire.to_daemon)
    wire.opens = True
    wire.take()

    assert early == []
    assert (credit(wire.to_daemon, 0), credit(wire.to_daemon, 1)) == (10, 20)


def test_credit_for_a_request_that_is_complete_is_not_passed_on() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED, end_stream=True)).daemon(frames.window_update(3, 7))

    assert wire.to_caller == []


# --- windows --------------------------------------------------------------------------------


@PIECES
def test_a_window_of_the_caller_reaches_the_daemon_and_is_acknowledged_when_the_daemon_did(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    wire.caller(frames.settings([(frames.INITIAL_WINDOW_SIZE, 1_000_000)]))
    early = list(wire.to_caller)
    wire.daemon(frames.SETTINGS_ACK)

    assert early == []
    assert [read_settings(payload) for _, _, payload in only(wire.to_daemon, SETTINGS)] == [
        [(frames.INITIAL_WINDOW_SIZE, 1_000_000)]
    ]
    assert only(wire.to_caller, SETTINGS) == [(ACK, 0, b"")]


@PIECES
def test_a_window_of_the_daemon_reaches_the_caller_and_is_acknowledged_when_the_caller_did(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    wire.daemon(frames.settings([(frames.INITIAL_WINDOW_SIZE, 200_000), (frames.MAX_CONCURRENT_STREAMS, 100)]))
    early = list(wire.to_daemon)
    wire.caller(frames.SETTINGS_ACK)

    assert early == []
    assert [read_settings(payload) for _, _, payload in only(wire.to_caller, SETTINGS)] == [
        [(frames.INITIAL_WINDOW_SIZE, 200_000), (frames.MAX_CONCURRENT_STREAMS, 100)]
    ]
    assert only(wire.to_daemon, SETTINGS) == [(ACK, 0, b"")]


def test_a_larger_window_counts_for_streams_that_are_open() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED))
    wire.daemon(frames.settings([(frames.INITIAL_WINDOW_SIZE, 100_000)]) + frames.window_update(0, 100_000))
    wire.caller(frames.SETTINGS_ACK + data_frames(3, bytes(100_000)))

    assert len(octets_of(wire.to_daemon, 3)) == 100_000
    with pytest.raises(ProtocolFault):
        wire.caller(data_frames(3, b"x"))


def test_a_smaller_window_binds_the_caller_from_its_acknowledgement_on() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED) + head(5, PASSED))
    wire.daemon(frames.settings([(frames.INITIAL_WINDOW_SIZE, 10)]))
    wire.caller(data_frames(3, bytes(1000)) + frames.SETTINGS_ACK + data_frames(5, bytes(10)))

    assert len(octets_of(wire.to_daemon, 3)) == 1000
    with pytest.raises(ProtocolFault) as caught:
        wire.caller(data_frames(5, b"x"))
    assert caught.value.code is ErrorCode.FLOW_CONTROL_ERROR


def test_a_window_made_smaller_twice_binds_the_caller_when_it_acknowledged_both() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED))
    for octets in (1000, 10):
        wire.daemon(frames.settings([(frames.INITIAL_WINDOW_SIZE, octets)]))
    wire.caller(frames.SETTINGS_ACK + data_frames(3, bytes(900)) + frames.SETTINGS_ACK)

    assert len(octets_of(wire.to_daemon, 3)) == 900
    with pytest.raises(ProtocolFault):
        wire.caller(data_frames(3, b"x"))


def test_a_window_known_before_the_daemon_is_its_first_word_from_us() -> None:
    wire = Wire(has_daemon=False)
    wire.caller(frames.settings([(frames.INITIAL_WINDOW_SIZE, 5000), (frames.HEADER_TABLE_SIZE, 0)]))
    acknowledged = list(wire.to_caller)
    wire.opens = True
    wire.caller(head(1, PASSED))

    assert only(acknowledged, SETTINGS) == [(ACK, 0, b"")]
    assert [read_settings(payload) for _, _, payload in only(wire.to_daemon, SETTINGS)] == [
        [(frames.ENABLE_PUSH, 0), (frames.INITIAL_WINDOW_SIZE, 5000)]
    ]


def test_settings_that_say_nothing_to_the_other_side_are_acknowledged_at_once() -> None:
    wire = Wire()
    entries = [(frames.HEADER_TABLE_SIZE, 128), (frames.MAX_FRAME_SIZE, 32_768)]
    wire.caller(frames.settings(entries)).daemon(frames.settings(entries))

    assert wire.to_caller == wire.to_daemon == [(SETTINGS, ACK, 0, b"")]


def test_a_caller_that_never_acknowledges_is_told_only_so_many_windows() -> None:
    wire = Wire()
    for number in range(MAX_UNACKNOWLEDGED + 5):
        wire.daemon(frames.settings([(frames.INITIAL_WINDOW_SIZE, 70_000 + number)]))

    assert len(only(wire.to_caller, SETTINGS)) == MAX_UNACKNOWLEDGED
    assert only(wire.to_daemon, SETTINGS) == [(ACK, 0, b"")] * 5


def test_an_acknowledgement_of_the_daemon_for_nothing_is_let_by() -> None:
    wire = Wire().daemon(frames.SETTINGS_ACK)

    assert wire.to_caller == []


# --- resets and ends ------------------------------------------------------------------------


@PIECES
@pytest.mark.parametrize("is_answered", [True, False])
def test_a_reset_of_the_caller_reaches_the_daemon(piece_octets: int, is_answered: bool) -> None:
    wire = Wire(piece_octets)
    wire.caller(head(3, PASSED))
    if is_answered:
        wire.daemon(frames.headers(3, ANSWER_HEAD))
    wire.caller(frames.rst_stream(3, ErrorCode.CANCEL))

    assert [read_error_code(payload) for _, _, payload in only(wire.to_daemon, RST_STREAM)] == [ErrorCode.CANCEL]
    assert wire.judge.codes[3] == (Code.CANCELLED, None)
    assert wire.relay.open_streams == 0


@PIECES
@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ErrorCode.NO_ERROR, Code.INTERNAL),
        (ErrorCode.REFUSED_STREAM, Code.UNAVAILABLE),
        (ErrorCode.CANCEL, Code.CANCELLED),
        (ErrorCode.ENHANCE_YOUR_CALM, Code.RESOURCE_EXHAUSTED),
        (ErrorCode.INADEQUATE_SECURITY, Code.PERMISSION_DENIED),
        (ErrorCode.PROTOCOL_ERROR, Code.INTERNAL),
    ],
)
def test_a_reset_of_the_daemon_reaches_the_caller(piece_octets: int, code: ErrorCode, status: Code) -> None:
    wire = Wire(piece_octets)
    wire.caller(head(3, PASSED)).daemon(frames.rst_stream(3, code) * 2)

    assert [read_error_code(payload) for _, _, payload in only(wire.to_caller, RST_STREAM)] == [code]
    assert wire.judge.codes[3] == (status, None)
    assert wire.relay.open_streams == 0


def test_a_reset_with_a_code_that_nobody_defined_is_an_error_of_the_daemon() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED)).daemon(frames.rst_stream(3, 0x10E))

    assert wire.judge.codes[3] == (Code.INTERNAL, None)


def test_what_arrives_for_a_stream_that_is_over_is_credited_to_its_sender() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED)).daemon(frames.rst_stream(3, 0))
    wire.caller(data_frames(3, bytes(700)))
    wire.caller(head(5, PASSED) + frames.rst_stream(5, 8)).daemon(
        frames.headers(5, ANSWER_HEAD) + data_frames(5, bytes(900))
    )

    assert (credit(wire.to_caller, 0), credit(wire.to_daemon, 0)) == (700, 900)
    assert octets_of(wire.to_daemon, 3) == octets_of(wire.to_caller, 5) == b""


def test_a_reset_of_a_stream_that_is_over_is_not_passed_on() -> None:
    wire = Wire().caller(frames.rst_stream(1, 8))

    assert wire.to_daemon == []


def test_a_daemon_that_answers_early_lets_the_caller_finish() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED)).daemon(frames.headers(3, NOT_FOUND, end_stream=True))
    before = wire.relay.open_streams
    wire.caller(data_frames(3, b"late", end_stream=True))

    assert (before, wire.relay.open_streams) == (1, 0)
    assert octets_of(wire.to_daemon, 3) == b"late"
    assert list(wire.judge.codes) == [1, 3]


def test_a_daemon_that_resets_after_its_answer_ends_the_call_once() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED))
    wire.daemon(frames.headers(3, NOT_FOUND, end_stream=True) + frames.rst_stream(3, ErrorCode.NO_ERROR))

    assert wire.judge.codes[3] == (Code.NOT_FOUND, None)
    assert wire.judge.ended_ == [1, 3]
    assert only(wire.to_caller, RST_STREAM) == [(0, 3, bytes(4))]


def test_goaway_of_the_daemon_passes_and_that_of_the_caller_is_noted() -> None:
    wire, other = Wire(), Wire()
    before = wire.relay.is_going
    wire.daemon(frames.goaway(3, ErrorCode.NO_ERROR, b"bye"))
    other.caller(frames.goaway(0, ErrorCode.NO_ERROR))

    assert only(wire.to_caller, GOAWAY) == [(0, 0, bytes((0, 0, 0, 3, 0, 0, 0, 0)) + b"bye")]
    assert other.to_daemon == []
    assert (before, wire.relay.is_going, other.relay.is_going) == (False, True, True)


def test_frames_that_mean_nothing_go_nowhere() -> None:
    wire = Wire()
    wire.caller(frames.frame(frames.PRIORITY, 0, 3, bytes(5)) + frames.frame(0xBE, 0, 0, b"odd"))
    wire.daemon(frames.frame(frames.PRIORITY, 0, 3, bytes(5)) + frames.frame(0xBE, 0, 0, b"odd"))

    assert wire.to_caller == wire.to_daemon == []


# --- calls that are not passed --------------------------------------------------------------


@PIECES
def test_a_refused_call_leaves_a_gap_and_costs_no_window(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    wire.caller(head(3, REFUSED) + data_frames(3, bytes(5000)) + head(5, PASSED))
    sentence = wire.heads["caller"][3]

    assert (b"grpc-status", str(int(Code.UNIMPLEMENTED)).encode()) in sentence
    assert (b"grpc-message", b"no") in sentence
    assert [read_error_code(payload) for _, _, payload in only(wire.to_caller, RST_STREAM)] == [ErrorCode.NO_ERROR]
    assert kinds(wire.to_daemon) == [(HEADERS, 5)]
    assert credit(wire.to_caller, 0) == 5000
    assert wire.judge.refusals == {3: Reason.METHOD_UNKNOWN}


def test_a_refused_call_that_was_complete_is_not_reset() -> None:
    wire = Wire().caller(head(3, REFUSED, end_stream=True))

    assert kinds(wire.to_caller) == [(HEADERS, 3)]


@PIECES
def test_an_answer_of_ours_is_a_whole_answer(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    wire.caller(head(3, ANSWERED) + data_frames(3, framed(b""), end_stream=True))

    assert kinds(wire.to_caller)[:4] == [(HEADERS, 3), (DATA, 3), (HEADERS, 3), (RST_STREAM, 3)]
    assert octets_of(wire.to_caller, 3) == OWN_ANSWER
    assert (b"grpc-status", b"0") in wire.heads["caller"][3]
    assert wire.to_daemon == []
    assert wire.judge.codes[3] == (Code.OK, None)


@PIECES
def test_an_answer_of_ours_to_a_message_that_was_read_ends_the_call_at_the_daemon(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    wire.caller(head(3, TOLD) + data_frames(3, framed(b"tell me"), end_stream=True))
    wire.daemon(frames.headers(3, ANSWER_HEAD) + data_frames(3, b"too late"))

    assert octets_of(wire.to_caller, 3) == OWN_ANSWER
    assert kinds(wire.to_caller)[:3] == [(HEADERS, 3), (DATA, 3), (HEADERS, 3)]
    assert kinds(wire.to_daemon)[:2] == [(HEADERS, 3), (RST_STREAM, 3)]
    assert credit(wire.to_caller, 0) == len(framed(b"tell me"))
    assert credit(wire.to_daemon, 0) == len(b"too late") - len(OWN_ANSWER)
    assert wire.relay.open_streams == 0


def test_an_answer_of_ours_is_paid_with_the_next_credit_of_the_caller() -> None:
    wire = Wire()
    wire.caller(head(3, ANSWERED, end_stream=True) + frames.window_update(0, 3))
    early = list(wire.to_daemon)
    wire.caller(frames.window_update(0, len(OWN_ANSWER)))

    assert early == []
    assert credit(wire.to_daemon, 0) == 3


def test_who_asks_for_our_answers_again_and_again_is_no_nuisance() -> None:
    wire = Wire()
    for stream in range(3, 1603, 8):
        wire.caller(head(stream, ANSWERED, end_stream=True))

    assert len(wire.judge.codes) == 201
    assert only(wire.to_caller, GOAWAY) == []


def test_streams_above_the_limit_are_refused_unread() -> None:
    wire = Wire()
    wire.caller(b"".join(head(3 + 2 * number, PASSED) for number in range(MAX_STREAMS + 1)))

    assert [(stream, read_error_code(payload)) for _, stream, payload in only(wire.to_caller, RST_STREAM)] == [
        (3 + 2 * MAX_STREAMS, ErrorCode.REFUSED_STREAM)
    ]
    assert wire.relay.open_streams == MAX_STREAMS


def test_a_header_list_that_is_too_long_refuses_its_call_and_no_other() -> None:
    wire = Wire()
    long = [(b"x-%d" % number, b"v" * 7000) for number in range(6)]
    wire.caller(head(3, PASSED, *long) + head(5, PASSED))

    assert wire.judge.refusals == {3: Reason.REQUEST_MALFORMED}
    assert kinds(wire.to_daemon) == [(HEADERS, 5)]


@PIECES
def test_a_head_in_pieces_is_one_head(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    whole = head(3, PASSED)[HEAD_OCTETS:]
    wire.caller(frames.frame(HEADERS, 0, 3, whole[:20]) + frames.frame(CONTINUATION, 0, 3, whole[20:50]))
    wire.caller(frames.frame(CONTINUATION, END_HEADERS, 3, whole[50:]))

    assert kinds(wire.to_daemon) == [(HEADERS, 3)]
    assert (b":path", PASSED) in wire.heads["daemon"][3]


def test_a_head_with_padding_and_priority_is_read_as_any() -> None:
    wire = Wire()
    block = head(3, PASSED)[HEAD_OCTETS:]
    padded = b"\4" + bytes(5) + block + bytes(4)
    wire.caller(frames.frame(HEADERS, END_HEADERS | PADDED | frames.WITH_PRIORITY, 3, padded))

    assert (b":path", PASSED) in wire.heads["daemon"][3]


def test_a_daemons_head_for_a_stream_that_is_over_keeps_the_tables_in_step() -> None:
    wire = Wire()
    wire.daemon(frames.headers(1, NOT_FOUND, end_stream=True))

    assert wire.to_caller == []


# --- messages that are read -----------------------------------------------------------------


@PIECES
def test_a_message_is_judged_before_any_octet_of_it_passes(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    request = framed(b"judge me")
    wire.caller(head(3, READ) + data_frames(3, request))
    early = octets_of(wire.to_daemon, 3)
    wire.caller(data_frames(3, b"", end_stream=True))

    assert early == b""
    assert wire.judge.messages == {3: b"judge me"}
    assert octets_of(wire.to_daemon, 3) == request
    assert [flags for flags, _, _ in only(wire.to_daemon, DATA)][-1] == END_STREAM


@pytest.mark.parametrize("piece_octets", [997, 1 << 20])
def test_a_long_message_is_taken_in_whole_and_let_out_as_the_daemon_has_room(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    request = framed(bytes(range(256)) * 1000)
    wire.caller(head(3, READ))
    may, sent = DEFAULT_WINDOW_OCTETS, 0
    while sent < len(request):
        piece = request[sent : sent + min(may, 16_384)]
        assert piece
        wire.to_caller.clear()
        sent += len(piece)
        wire.caller(data_frames(3, piece, end_stream=sent == len(request)))
        may += credit(wire.to_caller, 0) - len(piece)
    first = len(octets_of(wire.to_daemon, 3))
    for _ in range(5):
        wire.daemon(frames.window_update(3, DEFAULT_WINDOW_OCTETS) + frames.window_update(0, DEFAULT_WINDOW_OCTETS))

    assert wire.judge.messages[3] == request[5:]
    assert first == DEFAULT_WINDOW_OCTETS
    assert octets_of(wire.to_daemon, 3) == request
    assert all(len(payload) <= 16_384 for _, _, payload in only(wire.to_daemon, DATA))


def test_a_message_longer_than_its_method_takes_is_refused_by_its_length() -> None:
    wire = Wire()
    wire.judge.limit_octets = 100
    wire.caller(head(3, READ) + data_frames(3, b"\0" + (101).to_bytes(4, "big")))

    assert wire.judge.refusals == {3: Reason.MESSAGE_TOO_LARGE}


def test_unread_messages_together_take_only_so_much() -> None:
    wire = Wire()
    wire.judge.limit_octets = 0
    most = MAX_ALLOWANCE_OCTETS - 40_000
    wire.caller(head(3, READ) + data_frames(3, b"\0" + most.to_bytes(4, "big")))
    wire.caller(head(5, READ) + data_frames(5, b"\0" + (40_000).to_bytes(4, "big")))
    wire.caller(frames.rst_stream(3, 8) + head(7, READ) + data_frames(7, b"\0" + (40_000).to_bytes(4, "big")))

    assert wire.judge.refusals == {5: Reason.MESSAGE_TOO_LARGE}


def test_room_for_messages_that_are_given_up_again_and_again_does_not_add_up() -> None:
    wire = Wire()
    announced = 8 << 20
    wire.judge.limit_octets = announced
    for stream in range(3, 41, 2):
        wire.now_ns += 1_000_000_000
        wire.caller(head(stream, READ) + data_frames(stream, b"\0" + announced.to_bytes(4, "big")))
        wire.caller(frames.rst_stream(stream, ErrorCode.CANCEL))

    assert wire.judge.refusals == {}
    assert announced < credit(wire.to_caller, 0) < announced + 1000


@pytest.mark.parametrize("request_octets", [b"", framed(b"one") + framed(b"two"), b"\0\0", framed(b"cut")[:-1]])
def test_a_request_that_is_not_one_message_is_refused(request_octets: bytes) -> None:
    wire = Wire()
    wire.caller(head(3, READ) + data_frames(3, request_octets, end_stream=True))

    assert wire.judge.refusals == {3: Reason.REQUEST_MALFORMED}
    assert octets_of(wire.to_daemon, 3) == b""


def test_a_request_that_must_be_read_and_is_none_is_refused() -> None:
    wire = Wire().caller(head(3, READ, end_stream=True))

    assert wire.judge.refusals == {3: Reason.REQUEST_MALFORMED}
    assert kinds(wire.to_daemon) == []


def test_a_message_that_does_not_come_to_its_end_is_refused_in_time() -> None:
    wire = Wire()
    wire.caller(head(3, READ) + head(5, PASSED) + data_frames(3, framed(b"late")[:-1]))
    wire.relay.tick(MESSAGE_LIMIT_NS)
    early = dict(wire.judge.refusals)
    wire.relay.tick(MESSAGE_LIMIT_NS + 1)

    assert (early, wire.judge.refusals) == ({}, {3: Reason.MESSAGE_LATE})


@PIECES
def test_the_answer_of_an_observed_call_is_seen_as_it_passes(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    wire.caller(head(3, READ) + data_frames(3, framed(b"m"), end_stream=True))
    wire.daemon(frames.headers(3, ANSWER_HEAD) + data_frames(3, b"seen" * 10))
    wire.daemon(frames.frame(DATA, PADDED, 3, b"\2!!\0\0") + frames.headers(3, TRAILERS, end_stream=True))

    assert wire.judge.observed[3] == b"seen" * 10 + b"!!"
    assert wire.judge.down_octets[3] == 42
    assert only(wire.to_caller, DATA)[-1] == (PADDED, 3, b"\2!!\0\0")


# --- calls that wait ------------------------------------------------------------------------


def undecided(wire: Wire, *heads_: bytes) -> Wire:
    """Let calls come whose decision takes time."""
    wire.judge.puts_off = True
    wire.caller(b"".join(heads_))
    wire.judge.puts_off = False
    return wire


@PIECES
@pytest.mark.parametrize("path", [PASSED, READ])
def test_a_call_that_was_complete_before_it_was_decided_goes_on_at_once(path: bytes, piece_octets: int) -> None:
    wire = Wire(piece_octets)
    request = framed(b"patient")
    undecided(wire, head(3, path), data_frames(3, request, end_stream=True))
    early = list(wire.to_daemon)
    wire.relay.retry(3, 0)
    wire.take()

    assert early == []
    assert octets_of(wire.to_daemon, 3) == request
    assert only(wire.to_daemon, DATA)[-1][0] == END_STREAM


@pytest.mark.parametrize("octets", [0, 1, 40_000])
def test_a_long_message_that_began_before_its_call_was_decided_gets_its_room(octets: int) -> None:
    wire = Wire()
    request = framed(bytes(100_000))
    undecided(wire, head(3, READ), data_frames(3, request[:octets]) if octets else b"")
    wire.relay.retry(3, 0)
    wire.take()
    if octets < 5:
        wire.caller(data_frames(3, request[octets:5]))

    assert credit(wire.to_caller, 3) >= len(request) - DEFAULT_WINDOW_OCTETS


def test_a_call_that_is_refused_after_all_is_ended_once() -> None:
    wire = Wire()
    undecided(wire, head(3, REFUSED), head(5, READ, end_stream=True))
    wire.relay.retry(3, 0)
    wire.relay.retry(5, 0)
    wire.take()

    assert wire.judge.refusals == {3: Reason.METHOD_UNKNOWN, 5: Reason.REQUEST_MALFORMED}
    assert kinds(wire.to_caller) == [(HEADERS, 3), (RST_STREAM, 3), (HEADERS, 5)]
    assert wire.to_daemon == []


def test_a_head_that_waits_keeps_later_heads_back_and_their_order() -> None:
    wire = Wire()
    undecided(wire, head(3, PASSED))
    wire.caller(head(5, PASSED) + head(7, REFUSED))
    early = list(wire.to_daemon)
    wire.relay.retry(3, 0)
    wire.take()

    assert early == []
    assert kinds(wire.to_daemon) == [(HEADERS, 3), (HEADERS, 5)]


@pytest.mark.parametrize("how", ["reset", "ended"])
def test_a_head_that_waited_in_vain_lets_the_later_ones_go(how: str) -> None:
    wire = Wire()
    undecided(wire, head(3, PASSED))
    wire.caller(head(5, PASSED))
    if how == "reset":
        wire.caller(frames.rst_stream(3, 8))
    else:
        wire.relay.end_call(3, Refused(Reason.KEYS_UNAVAILABLE), 0)
        wire.take()

    assert kinds(wire.to_daemon) == [(HEADERS, 5)]


def test_a_call_that_is_still_undecided_stays_where_it_is() -> None:
    wire = Wire()
    undecided(wire, head(3, PASSED))
    wire.judge.puts_off = True
    wire.relay.retry(3, 0)
    wire.judge.puts_off = False
    wire.relay.retry(3, 0)
    wire.take()

    assert kinds(wire.to_daemon) == [(HEADERS, 3)]


def test_nothing_happens_to_calls_that_are_gone() -> None:
    wire = Wire()
    wire.relay.retry(1, 0)
    wire.relay.let_go(1)
    wire.relay.end_call(1, LOST, 0)
    undecided(wire, head(3, PASSED))
    wire.relay.let_go(3)
    wire.take()

    assert wire.to_caller == wire.to_daemon == []


@PIECES
def test_a_call_that_waits_keeps_its_octets_until_it_is_let_go(piece_octets: int) -> None:
    wire = Wire(piece_octets)
    wire.judge.waits = True
    wire.caller(head(3, PASSED) + data_frames(3, b"kept", end_stream=True))
    early = octets_of(wire.to_daemon, 3)
    wire.judge.calls[3].is_waiting = False
    wire.relay.let_go(3)
    wire.take()

    assert early == b""
    assert only(wire.to_daemon, DATA) == [(END_STREAM, 3, b"kept")]


def test_a_call_that_waits_without_a_body_is_complete_when_it_is_let_go() -> None:
    wire = Wire()
    wire.judge.waits = True
    wire.caller(head(3, PASSED, end_stream=True))
    wire.judge.calls[3].is_waiting = False
    wire.relay.let_go(3)
    wire.take()

    assert only(wire.to_daemon, DATA) == [(END_STREAM, 3, b"")]


def test_what_was_kept_of_a_call_that_left_is_credited() -> None:
    wire = Wire()
    wire.judge.waits = True
    wire.caller(head(3, PASSED) + data_frames(3, bytes(900)) + frames.rst_stream(3, 8))

    assert credit(wire.to_caller, 0) == 900


def test_a_daemon_that_answers_a_call_that_waits_ends_it_when_it_was_let_go() -> None:
    wire = Wire()
    wire.judge.waits = True
    wire.caller(head(3, PASSED) + data_frames(3, b"kept", end_stream=True))
    wire.daemon(frames.headers(3, NOT_FOUND, end_stream=True))
    before = wire.relay.open_streams
    wire.judge.calls[3].is_waiting = False
    wire.relay.let_go(3)

    assert (before, wire.relay.open_streams) == (1, 0)


# --- the two connections --------------------------------------------------------------------


def test_the_daemon_is_asked_for_with_the_first_admitted_call() -> None:
    wire = Wire(has_daemon=False)
    wire.caller(head(1, ANSWERED) + head(3, REFUSED))
    before = wire.relay.wants_daemon
    wire.caller(head(5, PASSED))

    assert (before, wire.relay.wants_daemon) == (False, True)


def test_a_daemon_that_is_away_ends_the_calls_that_wait_and_is_asked_for_again() -> None:
    wire = Wire(has_daemon=False)
    wire.caller(head(1, PASSED) + head(3, PASSED))
    wire.relay.daemon_failed(Refused(Reason.UPSTREAM_AWAY), 0)
    ended = dict(wire.judge.refusals)
    wire.opens = True
    wire.caller(head(5, PASSED))

    assert ended == {1: Reason.UPSTREAM_AWAY, 3: Reason.UPSTREAM_AWAY}
    assert kinds([one for one in wire.to_daemon if one[0] == HEADERS]) == [(HEADERS, 5)]


def test_a_daemon_that_is_lost_ends_every_call_and_the_connection() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED) + head(5, PASSED)).daemon(frames.headers(5, ANSWER_HEAD))
    wire.to_daemon.clear()
    wire.relay.daemon_lost(LOST, 0)
    wire.take()

    assert wire.judge.refusals == {3: Reason.UPSTREAM_LOST, 5: Reason.UPSTREAM_LOST}
    assert (b"grpc-status", b"14") in wire.heads["caller"][5]
    assert [read_goaway(payload).last_stream for _, _, payload in only(wire.to_caller, GOAWAY)] == [5]
    assert wire.to_daemon == []


def test_a_call_that_comes_after_the_daemon_was_lost_goes_nowhere() -> None:
    wire = Wire()
    wire.relay.daemon_lost(LOST, 0)
    wire.caller(head(3, PASSED))

    assert wire.to_daemon == []
    assert not wire.relay.wants_daemon


def test_every_call_of_a_caller_that_left_is_over_once() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED) + head(5, READ) + data_frames(3, b"12345"))
    wire.relay.caller_lost(0)
    wire.relay.caller_lost(0)

    assert wire.judge.codes == {
        1: (Code.NOT_FOUND, None),
        3: (Code.CANCELLED, None),
        5: (Code.CANCELLED, None),
    }
    assert wire.judge.up_octets[3] == 5
    assert wire.relay.open_streams == 0


def test_a_call_that_was_told_as_over_is_reset_and_not_told_again() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED)).daemon(frames.headers(3, NOT_FOUND, end_stream=True))
    wire.to_caller.clear()
    wire.relay.end_calls(LOST, 0)
    wire.take()

    assert kinds(wire.to_caller) == [(RST_STREAM, 3)]
    assert kinds(wire.to_daemon)[-1] == (RST_STREAM, 3)
    assert wire.judge.ended_ == [1, 3]


def test_the_octets_of_long_calls_are_told_once() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED) + data_frames(3, b"123"))
    wire.relay.report_octets()
    wire.relay.report_octets()

    assert wire.judge.up_octets == {3: 3}


def test_a_goaway_of_ours_names_the_last_stream_or_asks_only_to_leave() -> None:
    wire = Wire()
    wire.relay.goaway(ErrorCode.NO_ERROR, is_final=False)
    wire.relay.goaway(ErrorCode.ENHANCE_YOUR_CALM, why="too much")
    first, last = (read_goaway(payload) for _, _, payload in only(wire.take().to_caller, GOAWAY))

    assert (first.last_stream, first.code) == ((1 << 31) - 1, ErrorCode.NO_ERROR)
    assert (last.last_stream, last.code, bytes(last.debug)) == (1, ErrorCode.ENHANCE_YOUR_CALM, b"too much")


def test_many_frames_are_taken_in_turns() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED))
    octets = b"".join(data_frames(3, b"x") for _ in range(FRAMES_A_TURN + 1))
    taken = wire.relay.from_caller(memoryview(octets), 0)
    more = wire.relay.has_more
    rest = wire.relay.from_caller(memoryview(octets)[taken:], 0)

    assert (taken, more) == (10 * FRAMES_A_TURN, True)
    assert (rest, wire.relay.has_more) == (10, False)
    assert wire.relay.received_frame_octets >= len(octets)


# --- a daemon that is not sane --------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (frames.frame(frames.PUSH_PROMISE, END_HEADERS, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(CONTINUATION, END_HEADERS, 1, b""), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(HEADERS, 0, 1, b"") + frames.ping(bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (
            frames.frame(HEADERS, 0, 1, b"") + frames.frame(CONTINUATION, 0, 1, bytes(16_384)) * 66,
            ErrorCode.PROTOCOL_ERROR,
        ),
        (frames.headers(1, b"\x80"), ErrorCode.COMPRESSION_ERROR),
        (frames.frame(DATA, 0, 1, bytes(16_385)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.window_update(0, (1 << 31) - 1), ErrorCode.FLOW_CONTROL_ERROR),
    ],
)
def test_a_daemon_that_cannot_be_understood_ends_the_pair(octets: bytes, code: ErrorCode) -> None:
    with pytest.raises(ProtocolFault) as caught:
        Wire().daemon(octets)

    assert caught.value.code is code


def test_an_answer_that_goes_on_after_its_end_is_not_counted_as_one() -> None:
    wire = Wire()
    wire.caller(head(3, READ) + data_frames(3, framed(b"m")) + head(5, PASSED))
    wire.daemon(frames.headers(5, NOT_FOUND, end_stream=True) + data_frames(5, b"more", end_stream=True))

    assert wire.judge.observed == {}
    assert wire.judge.ended_ == [1, 5]


def test_a_padded_answer_is_read_as_any() -> None:
    wire = Wire()
    wire.caller(head(3, PASSED, end_stream=True))
    wire.daemon(frames.frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 3, b"\3" + NOT_FOUND + bytes(3)))

    assert wire.heads["caller"][3][-1] == (b"grpc-status", b"5")
    assert wire.judge.codes[3] == (Code.NOT_FOUND, None)


def test_a_daemon_that_answers_what_it_was_never_asked_is_not_told_of_its_end() -> None:
    wire = Wire()
    undecided(wire, head(3, PASSED)).daemon(frames.headers(3, NOT_FOUND, end_stream=True))
    wire.relay.end_calls(LOST, 0)
    wire.take()

    assert kinds(wire.to_caller) == [(HEADERS, 3), (RST_STREAM, 3)]
    assert wire.to_daemon == []
    assert wire.relay.open_streams == 0


# --- a caller that is not sane --------------------------------------------------------------


def test_a_kept_stream_takes_no_more_than_its_own_window() -> None:
    wire = Wire()
    wire.judge.waits = True
    wire.daemon(frames.window_update(0, 1 << 20)).caller(head(3, PASSED))
    wire.caller(data_frames(3, bytes(DEFAULT_WINDOW_OCTETS)))

    with pytest.raises(ProtocolFault, match="the stream's window") as caught:
        wire.caller(data_frames(3, b"x"))

    assert caught.value.code is ErrorCode.FLOW_CONTROL_ERROR


def test_a_second_head_on_a_stream_that_is_over_goes_nowhere() -> None:
    wire = Wire().caller(head(1, PASSED, end_stream=True))

    assert wire.to_caller == wire.to_daemon == []
    assert wire.judge.begun == [1]


# --- requests that are replaced, answers that are rewritten ---------------------------------


class Censor(Recorder):
    """Turns an answer away at a word."""

    def rewrite(self, call: Admitted, message: bytes | None) -> list[bytes]:
        if message == b"secret" or (message is None and self.waits_for_the_end):
            raise LOST
        return super().rewrite(call, message)

    waits_for_the_end = False

    def reword(self, call: Admitted, trailers: Fields) -> Fields:  # noqa: ARG002
        return [(b"grpc-status", b"2"), (b"grpc-message", b"in other words")]


def censored() -> Wire:
    wire = Wire()
    wire.judge = Censor()
    wire.relay._exchange.calls = wire.judge
    wire.caller(head(3, REWRITTEN, end_stream=True)).daemon(frames.headers(3, ANSWER_HEAD))
    return wire


def test_a_replaced_request_is_all_that_the_daemon_gets_of_a_message() -> None:
    wire = Wire()
    wire.caller(head(3, SWAPPED) + data_frames(3, framed(b"what the caller said"), end_stream=True))

    assert octets_of(wire.to_daemon, 3) == framed(swapped(3, b"what the caller said"))
    assert credit(wire.to_caller, 0) == len(framed(b"what the caller said")) - len(octets_of(wire.to_daemon, 3))


def test_an_answer_that_must_not_go_on_ends_with_a_sentence_and_the_daemons_work() -> None:
    wire = censored().daemon(data_frames(3, framed(b"secret") + framed(b"more")))

    assert octets_of(wire.to_caller, 3) == b""
    assert wire.heads["caller"][3][-1] == (b"grpc-message", b"no")
    assert wire.judge.refusals == {3: LOST.reason}
    assert [stream for _, stream, _ in only(wire.to_daemon, RST_STREAM)] == [3]
    assert wire.relay.open_streams == 0


def test_an_answer_that_is_turned_away_at_its_end_ends_with_a_sentence() -> None:
    wire = censored()
    wire.judge.waits_for_the_end = True  # type: ignore[attr-defined]
    wire.daemon(frames.headers(3, TRAILERS, end_stream=True))

    assert wire.judge.refusals == {3: LOST.reason}
    assert wire.relay.open_streams == 0


def test_an_answer_that_is_compressed_cannot_be_rewritten_and_ends() -> None:
    wire = censored().daemon(data_frames(3, b"\1" + framed(b"packed")[1:]))

    assert wire.judge.refusals == {3: Reason.MESSAGE_COMPRESSED}


def test_what_a_daemon_failed_with_is_told_in_other_words_whether_or_not_the_answer_is_rewritten() -> None:
    wire = censored()
    wire.caller(head(5, PASSED, end_stream=True)).daemon(
        frames.headers(3, NOT_FOUND, end_stream=True) + frames.headers(5, NOT_FOUND, end_stream=True)
    )

    assert [wire.heads["caller"][stream][-1] for stream in (3, 5)] == [(b"grpc-message", b"in other words")] * 2


def test_a_daemon_that_ends_a_rewritten_answer_with_data_has_given_no_status() -> None:
    wire = censored().daemon(data_frames(3, framed(b"last"), end_stream=True))

    assert (b"grpc-status", b"2") in wire.heads["caller"][3]
    assert wire.relay.open_streams == 0


def test_a_call_may_be_answered_with_nothing_while_it_waits() -> None:
    wire = Wire()
    wire.judge.waits = True
    wire.caller(head(3, PASSED, end_stream=True))
    wire.relay.answer(3, 0)
    wire.relay.answer(3, 0)
    wire.relay.answer(99, 0)
    wire.take()

    assert (b"grpc-status", b"0") in wire.heads["caller"][3]
    assert [stream for _, stream, _ in only(wire.to_daemon, RST_STREAM)] == [3]
    assert wire.judge.codes[3] == (Code.OK, None)
