from proxy import events as said
from proxy.events import Event
from proxy.sinks.stream import EventStream
from tests.helpers import told


def broken(_: Event) -> None:
    raise ValueError("quotes s3cret")


def also_broken(_: Event) -> None:
    raise KeyError("quotes s3cret")


def test_every_sink_hears_every_event_in_order() -> None:
    first: list[Event] = []
    second: list[Event] = []
    stream = EventStream([first.append, second.append])

    stream.emit(said.Warned("a"))
    stream.emit(said.Warned("b"))

    assert first == second == [said.Warned("a"), said.Warned("b")]


def test_a_failing_sink_neither_breaks_the_call_nor_the_other_sinks() -> None:
    heard: list[Event] = []
    stream = EventStream([broken, heard.append])

    stream.emit(said.Warned("a"))

    assert heard == [said.SinkFailed("broken", "ValueError on Warned"), said.Warned("a")]
    assert stream.failures == 1


def test_two_failing_sinks_do_not_tell_each_other_for_ever() -> None:
    stream = EventStream([broken, also_broken])

    stream.emit(said.Warned("a"))

    assert stream.failures == 4


def test_what_a_failure_says_is_not_told_for_it_may_quote_the_event() -> None:
    heard: list[Event] = []
    stream = EventStream([broken, heard.append])

    for event in told.every_event("s3cret"):
        stream.emit(event)

    assert not any(
        "s3cret" in event.detail for event in heard if isinstance(event, said.SinkFailed) and event.sink == "broken"
    )


def test_a_sink_may_join_and_leave() -> None:
    heard: list[Event] = []
    sink = heard.append
    stream = EventStream()
    stream.add(sink)
    stream.emit(said.Warned("a"))
    stream.remove(sink)
    stream.emit(said.Warned("b"))

    assert heard == [said.Warned("a")]


def test_the_helper_knows_every_kind_of_event() -> None:
    assert {type(event) for event in told.every_event()} == told.KINDS


class Choosy:
    """Takes warnings only, until told otherwise."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.wanted: type = said.Warned

    def takes(self, kind: type) -> bool:
        return kind is self.wanted

    def __call__(self, event: Event) -> None:
        self.heard.append(event)


def test_a_sink_hears_only_the_kinds_it_takes_until_it_is_asked_anew() -> None:
    sink = Choosy()
    stream = EventStream([sink])
    stream.emit(said.ReloadFailed("a"))
    stream.emit(said.Warned("a"))
    sink.wanted = said.ReloadFailed
    stream.route_again()
    stream.emit(said.ReloadFailed("b"))
    stream.emit(said.Warned("b"))

    assert sink.heard == [said.Warned("a"), said.ReloadFailed("b")]
