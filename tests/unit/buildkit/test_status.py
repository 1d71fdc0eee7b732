"""Steps counted from Status messages, as the daemon counts them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.status import StepCounter, read_status_request
from proxy.buildkit.wire import fields
from proxy.errors import Refused
from proxy.events import BuildSteps
from proxy.reasons import Reason
from tests.helpers.buildkit_proto import message_class

timestamps = st.builds(lambda seconds: message_class("Timestamp")(seconds=seconds), st.integers(0, 3))
vertexes = st.builds(
    lambda **set_: message_class("Vertex")(**{name: value for name, value in set_.items() if value is not None}),
    digest=st.sampled_from(["sha256:a", "sha256:b", "sha256:c", ""]),
    inputs=st.lists(st.text(max_size=3), max_size=2),
    name=st.text(max_size=5),
    cached=st.booleans(),
    started=st.none() | timestamps,
    completed=st.none() | timestamps,
    error=st.text(max_size=3),
)
logs = st.builds(lambda msg: message_class("VertexLog")(vertex="sha256:a", stream=1, msg=msg), st.binary(max_size=300))
warnings = st.builds(
    lambda short: message_class("VertexWarning")(vertex="sha256:a", short=short), st.binary(max_size=5)
)
answers = st.builds(
    message_class("StatusResponse"),
    vertexes=st.lists(vertexes, max_size=4),
    logs=st.lists(logs, max_size=2),
    warnings=st.lists(warnings, max_size=2),
)


def as_the_daemon_counts(told: list[Any]) -> BuildSteps:
    """The loop of the daemon's history, on fully decoded messages."""
    steps: dict[str, dict[str, bool]] = {}
    for answer in told:
        for vertex in answer.vertexes:
            step = steps.setdefault(vertex.digest, {"cached": False, "completed": False})
            step["cached"] |= vertex.cached
            step["completed"] |= vertex.HasField("completed")
    return BuildSteps(
        total=len(steps),
        cached=sum(step["cached"] for step in steps.values()),
        completed=sum(step["completed"] for step in steps.values()),
        warnings=sum(len(answer.warnings) for answer in told),
    )


@given(st.lists(answers, max_size=5))
def test_the_counts_are_the_daemons(told: list[Any]) -> None:
    counter = StepCounter()

    for answer in told:
        counter.feed(answer.SerializeToString())

    assert counter.steps() == as_the_daemon_counts(told)


def test_nothing_told_is_no_steps() -> None:
    assert StepCounter().steps() == BuildSteps(0, 0, 0, 0)


def test_an_unreadable_message_ends_the_count_but_not_the_build() -> None:
    counter = StepCounter()

    counter.feed(b"\x0a\x0a\x0a\x08sha256:a")
    counter.feed(b"\x0a\xff")
    counter.feed(b"")

    assert counter.steps() is None


def test_fields_of_another_type_do_not_count() -> None:
    counter = StepCounter()

    counter.feed(b"\x08\x01\x20\x01")
    counter.feed(b"\x0a\x04\x08\x01\x22\x00")

    assert counter.steps() == BuildSteps(total=1, cached=0, completed=0, warnings=0)


def test_more_steps_than_a_definition_can_hold_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.buildkit.status.MOST_STEPS", 2)
    counter = StepCounter()

    for digest in "ab":
        counter.feed(
            message_class("StatusResponse")(vertexes=[message_class("Vertex")(digest=digest)]).SerializeToString()
        )
    assert counter.steps() == BuildSteps(2, 0, 0, 0)
    counter.feed(message_class("StatusResponse")(vertexes=[message_class("Vertex")(digest="c")]).SerializeToString())

    assert counter.steps() is None


def test_logs_are_skipped_without_a_copy() -> None:
    log = message_class("StatusResponse")(logs=[message_class("VertexLog")(msg=b"x" * 1000)]).SerializeToString()

    [(_, _, value)] = fields(log)

    assert isinstance(value, memoryview)
    assert value.obj is log


def test_the_ref_of_a_request_is_read() -> None:
    assert read_status_request(message_class("StatusRequest")(ref="abc").SerializeToString()) == "abc"


@pytest.mark.parametrize(
    "message", [b"", b"\x0a\x00", b"\x0a\x03a:b", b"\x0a\x01a\x0a\x01b", b"\x08\x01", b"\x0a\x05a"]
)
def test_a_request_without_one_good_ref_is_refused(message: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_status_request(message)

    assert refused.value.reason is Reason.MESSAGE_UNREADABLE
    assert "Control/Status" in refused.value.public_text("1-1")
