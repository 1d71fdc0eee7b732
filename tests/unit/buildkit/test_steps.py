"""Steps of our own in a Status stream."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.steps import OwnStep, daemon_started, daemon_step
from proxy.events import DaemonStarted
from tests.helpers.buildkit_proto import message_class

OWN = b"ours"


def vertexes(**values: Any) -> bytes:
    octets: bytes = message_class("StatusResponse")(vertexes=[message_class("Vertex")(**values)]).SerializeToString()
    return octets


WAITS = vertexes(digest="sha256:a", name="waits")
BEGINS = vertexes(digest="sha256:a", name="begins", started=message_class("Timestamp")(seconds=1))


@given(st.integers(0, 1 << 62), st.integers(0, 1 << 62))
def test_the_start_of_a_daemon_is_a_finished_step_with_its_real_times(begun_ns: int, ended_ns: int) -> None:
    told = message_class("StatusResponse").FromString(
        daemon_started("payments", begun_wall_ns=begun_ns, ended_wall_ns=ended_ns)
    )
    [vertex] = told.vertexes

    assert vertex.name == "[farm] started a build daemon for payments"
    assert (vertex.started.seconds, vertex.started.nanos) == divmod(begun_ns, 1_000_000_000)
    assert (vertex.completed.seconds, vertex.completed.nanos) == divmod(ended_ns, 1_000_000_000)
    assert (vertex.cached, vertex.error, list(vertex.inputs)) == (False, "", [])


def test_two_starts_are_two_steps_and_one_start_is_one() -> None:
    def digest(tenant: str, begun_ns: int) -> str:
        told = daemon_started(tenant, begun_wall_ns=begun_ns, ended_wall_ns=9)
        name: str = message_class("StatusResponse").FromString(told).vertexes[0].digest
        return name

    first = digest("payments", 1)

    assert first == digest("payments", 1)
    assert len({first, digest("platform", 1), digest("payments", 2)}) == 3
    assert first.startswith("sha256:")
    assert len(first) == 7 + 64


def test_our_step_comes_once_behind_the_first_that_begins() -> None:
    step = OwnStep(OWN)

    assert [step.feed(message) for message in (b"", WAITS, BEGINS, BEGINS)] == [[b""], [WAITS], [BEGINS, OWN], [BEGINS]]
    assert step.finish() == []


def test_a_stream_in_which_nothing_begins_ends_as_the_daemon_ends_it() -> None:
    step = OwnStep(OWN)

    assert step.feed(WAITS) == [WAITS]
    assert step.finish() == []


@pytest.mark.parametrize("octets", [b"\xff", b"\x0a\x02\x2a\x05", b"\x08\x01", b"\x12\x02\x2a\x00"])
def test_what_is_no_step_passes_as_it_is(octets: bytes) -> None:
    assert OwnStep(OWN).feed(octets) == [octets]


@pytest.mark.parametrize(("tenant", "whose"), [("payments", "payments"), ("", "pool big")])
def test_the_start_of_a_daemon_is_shown_for_its_tenant_or_its_pool(tenant: str, whose: str) -> None:
    _, own = daemon_step(DaemonStarted("big", tenant, 1, 2)).feed(BEGINS)
    [vertex] = message_class("StatusResponse").FromString(own).vertexes

    assert vertex.name == f"[farm] started a build daemon for {whose}"
