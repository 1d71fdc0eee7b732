import json
from datetime import datetime

import pytest

from proxy import events as said
from proxy.events import CallId, ConnectionFault, HandshakeResult
from proxy.reasons import Reason
from proxy.sinks.log import DETAIL_LIMIT, EACH, IN_ALL, LogSink
from proxy.sinks.wording import WORDS, Level, level_of, say
from tests.helpers import told

MINUTE_NS = 60 * told.SECOND_NS
START_NS = 1_769_903_999_000_000_000
HOSTILE = [
    '"\n2026 ERROR forged',
    "\u2028\u202e\x00\x1b[2J",
    "\udc80\ud800",
    "x" * 100_000,
    "\r\n",
    "\\",
    '" b=1 c="',
    "é=ü",
]


class Shelf:
    """Takes lines, as long as there is room."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.has_room = True

    def put(self, line: bytes) -> bool:
        if self.has_room:
            self.lines.append(line)
        return self.has_room


class Desk:
    def __init__(self, form: str = "text", level: Level = Level.INFO) -> None:
        self.shelf = Shelf()
        self.now_ns = 0
        self.sink = LogSink(
            self.shelf,
            now_ns=lambda: self.now_ns,
            wall_ns=lambda: START_NS,
            form="json" if form == "json" else "text",
            level=level,
        )

    def lines(self) -> list[str]:
        return [line.decode("ascii") for line in self.shelf.lines]


def test_a_text_line_has_time_level_words_and_fields() -> None:
    desk = Desk()
    desk.sink(told.call_refused(by=told.caller(subject="alice o'hara"), detail="100 a second"))

    assert desk.lines() == [
        "2026-01-31T23:59:59.000000Z INFO    call refused reference=1a-3 method=/moby.buildkit.v1.Control/Solve "
        'tenant=payments subject="alice o\'hara" role=builder rule=rule-1 peer=192.0.2.7:40000 '
        'reason=rate-limited number=301 detail="100 a second"\n'
    ]


def test_a_json_line_is_one_object_with_the_same_facts() -> None:
    desk = Desk("json")
    desk.sink(told.build_ended(steps=said.BuildSteps(9, 2, 7, 0)))

    assert json.loads(desk.lines()[0]) == {
        "ts": "2026-01-31T23:59:59.000000Z",
        "level": "info",
        "event": "build ended",
        "reference": "1a-3",
        "build": "ref1",
        "tenant": "payments",
        "subject": "alice",
        "role": "builder",
        "rule": "rule-1",
        "result": "success",
        "code": "OK",
        "duration_seconds": 3.0,
        "steps": 9,
        "cached": 2,
    }


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_never_break_or_forge_a_line(form: str, text: str) -> None:
    desk = Desk(form, Level.DEBUG)
    events = told.every_event(text)
    for event in events:
        desk.sink(event)

    assert len(desk.shelf.lines) == len(events)
    for line in desk.shelf.lines:
        assert line.isascii()
        assert line.count(b"\n") == 1
        assert not set(line[:-1]) & set(range(32))
        assert len(line) < 7 * DETAIL_LIMIT
        if form == "json":
            datetime.fromisoformat(json.loads(line)["ts"])


def test_a_value_cannot_pretend_to_be_another_field() -> None:
    desk = Desk()
    desk.sink(said.Warned('x" level=ERROR detail="y'))

    assert desk.lines()[0].endswith(' warning detail="x\\" level=ERROR detail=\\"y"\n')


def test_several_errors_of_a_failed_reload_stay_on_one_line() -> None:
    desk = Desk()
    desk.sink(said.ReloadFailed("a.yaml:1:2: x\na.yaml:3:4: y"))

    assert 'detail="a.yaml:1:2: x; a.yaml:3:4: y"' in desk.lines()[0]


def test_what_is_below_the_level_is_not_written() -> None:
    desk = Desk(level=Level.WARNING)
    desk.sink(told.build_started())
    desk.sink(said.Warned("look"))

    assert [line.split()[1] for line in desk.lines()] == ["WARNING"]


def test_ordinary_calls_are_for_debugging_only() -> None:
    desk = Desk()
    for event in (told.call_started(), told.call_ended(), said.ConnectionOpened(1, told.PEER), said.LoopLagged(1)):
        desk.sink(event)
    desk.sink(told.call_ended(reason=Reason.UPSTREAM_LOST))

    assert [line.split(" reference")[0][28:] for line in desk.lines()] == ["INFO    call ended"]


def test_a_loop_that_is_in_time_is_no_news_even_for_debugging() -> None:
    desk = Desk(level=Level.DEBUG)
    desk.sink(said.LoopLagged(1_000_000))
    before = desk.lines()
    desk.sink(said.LoopLagged(told.SECOND_NS))

    assert before == []
    assert "event loop was late" in desk.lines()[0]


def test_form_and_level_may_change_while_it_runs() -> None:
    desk = Desk()
    desk.sink.configure(form="json", level=Level.DEBUG)
    desk.sink(told.call_started())

    assert json.loads(desk.lines()[0])["level"] == "debug"


def test_a_hostile_peer_writes_so_many_lines_and_is_then_counted() -> None:
    desk = Desk()
    for port in range(1000):
        desk.sink(said.ConnectionRefused(f"198.51.100.9:{port}", ConnectionFault.TOO_MANY_FROM_ADDRESS))
    within = len(desk.shelf.lines)
    desk.now_ns += MINUTE_NS
    desk.sink(said.LoopLagged(0))

    assert within == EACH
    assert 'repeated of="connection refused" about="198.51.100.9 too-many-from-address" count=980' in desk.lines()[-1]


def test_peers_without_number_together_write_so_many_lines() -> None:
    desk = Desk()
    for peer in range(5000):
        desk.sink(said.HandshakeEnded(peer, f"10.0.{peer // 250}.{peer % 250}:1", HandshakeResult.NOT_TLS, 1, "x"))
    desk.sink.close()

    assert len(desk.shelf.lines) <= 2 * IN_ALL + 1025


def test_a_flood_of_refusals_does_not_hide_an_honest_caller() -> None:
    desk = Desk()
    for _ in range(1000):
        desk.sink(told.call_refused(Reason.NO_CREDENTIALS))
    desk.sink(told.call_refused(Reason.CERTIFICATE_EXPIRED, peer="203.0.113.5:1"))

    assert "203.0.113.5" in desk.lines()[-1]


def test_each_build_has_its_lines_however_many_there_are() -> None:
    desk = Desk()
    for number in range(100):
        desk.sink(told.build_started(ref=f"ref{number}"))

    assert len(desk.shelf.lines) == 100


def test_lines_for_debugging_are_not_held_back() -> None:
    desk = Desk(level=Level.DEBUG)
    for number in range(IN_ALL + 5):
        desk.sink(told.call_started(call=CallId(1, number)))

    assert len(desk.shelf.lines) == IN_ALL + 5


def test_lines_that_nobody_read_are_counted_and_told_once_there_is_room() -> None:
    desk = Desk()
    desk.shelf.has_room = False
    for number in range(3):
        desk.sink(said.Warned(f"lost {number}"))
    desk.shelf.has_room = True
    desk.sink(said.Warned("seen"))
    desk.sink(said.Warned("seen too"))

    assert desk.sink.lost == 3
    assert [line.split(maxsplit=2)[2] for line in desk.lines()] == [
        "lines lost, for nobody read them count=3\n",
        "warning detail=seen\n",
        'warning detail="seen too"\n',
    ]


def test_what_was_held_back_is_told_at_the_end() -> None:
    desk = Desk()
    for _ in range(EACH + 7):
        desk.sink(told.call_refused(by=told.caller()))
    desk.sink.close()

    assert "count=7" in desk.lines()[-1]
    assert "payments alice rate-limited" in desk.lines()[-1]


def test_the_start_of_a_daemon_is_told_with_how_long_it_took() -> None:
    line = say(said.DaemonStarted("own", "payments", 5 * told.SECOND_NS, 7 * told.SECOND_NS, "v0.31.1"))

    assert line.fields == {"pool": "own", "tenant": "payments", "version": "v0.31.1", "duration_seconds": 2.0}


def test_every_kind_of_event_has_words() -> None:
    assert WORDS.keys() == told.KINDS
    for event in told.every_event():
        assert say(event).event
        assert level_of(event) in Level


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (told.call_refused(Reason.CERTIFICATE_EXPIRED), Level.INFO),
        (told.call_refused(Reason.UPSTREAM_AWAY), Level.WARNING),
        (said.HandshakeEnded(1, told.PEER, HandshakeResult.OK, 1), Level.DEBUG),
        (said.HandshakeEnded(1, told.PEER, HandshakeResult.NOT_TLS, 1), Level.INFO),
        (said.ConnectionClosed(1, told.PEER, None, 1, None), Level.DEBUG),
        (said.ConnectionClosed(1, told.PEER, None, 1, ConnectionFault.FLOOD), Level.INFO),
        (said.UpstreamChanged("u", True, "v1"), Level.INFO),
        (said.UpstreamChanged("u", False, ""), Level.ERROR),
        (said.DaemonEnded("own", "", said.DaemonEnd.IDLE, 1), Level.INFO),
        (said.DaemonEnded("own", "", said.DaemonEnd.CRASHED, 1), Level.ERROR),
        (said.LoopLagged(told.SECOND_NS // 4), Level.WARNING),
        (said.LoopLagged(told.SECOND_NS // 4 - 1), Level.DEBUG),
        (said.Drained(1, 0), Level.INFO),
        (said.Drained(1, 1), Level.WARNING),
    ],
)
def test_a_fact_matters_as_much_as_it_does(event: said.Event, level: Level) -> None:
    assert level_of(event) is level


@pytest.mark.parametrize("level", list(Level))
def test_a_kind_it_does_not_take_is_one_it_would_not_have_written(level: Level) -> None:
    desk = Desk(level=level)
    for event in told.every_event():
        if not desk.sink.takes(type(event)):
            desk.sink(event)

    assert desk.lines() == []
    assert desk.sink.takes(said.LoopLagged)
    assert desk.sink.takes(said.ConnectionOpened) is (level is Level.DEBUG)
