"""Builds by their ref: whose they are, who waits for them, and how their end is told."""

from collections.abc import Callable

import pytest

from proxy.buildkit.methods import SOLVE, STATUS, Method
from proxy.call.builds import WAIT_FOR_STATUS_NS, Build, Builds
from proxy.call.machine import Call
from proxy.errors import Refused
from proxy.events import BuildEnded, BuildResult, BuildStarted, BuildSteps, Event
from proxy.limits.permits import Permits
from proxy.reasons import Code, Reason
from tests.helpers.talk import a_call, facts, steps_told


class Books:
    """Builds, and what was told of them."""

    def __init__(self) -> None:
        self.said: list[Event] = []
        self.builds = Builds(self.said.append)
        self._stream = 1

    def call(self, method: Method = SOLVE, *, tenant: str = "payments", ref: str = "") -> Call:
        call = a_call(method, stream=self._stream, tenant=tenant)
        self._stream += 2
        call.ref = ref
        return call

    def build(self, ref: str = "r", tenant: str = "payments") -> tuple[Call, Build]:
        call = self.call(tenant=tenant)
        build = self.builds.open(call, facts(ref))
        self.builds.start(build)
        self.builds.admit(call)
        return call, build

    def status(self, ref: str = "r", tenant: str = "payments") -> Call:
        call = self.call(STATUS, ref=ref, tenant=tenant)
        self.builds.watch(call)
        return call

    @property
    def ends(self) -> list[BuildEnded]:
        return [event for event in self.said if isinstance(event, BuildEnded)]


def refusal(act: Callable[[], object]) -> Reason:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value.reason


def test_a_live_ref_is_refused_to_its_own_tenant_and_another_build_of_others() -> None:
    books = Books()
    books.build("r")
    _, theirs = books.build("r", "rival")

    assert refusal(lambda: books.build("r")) is Reason.REF_LIVE
    assert books.builds.find(books.call(ref="r", tenant="rival")) is theirs


def test_a_ref_is_free_again_when_its_solve_ended() -> None:
    books = Books()
    call, _ = books.build("r")
    books.builds.end(call, Code.OK, None, 200)

    books.build("r", "rival")


def test_a_build_is_found_by_its_tenant_alone() -> None:
    books = Books()
    _, build = books.build("r")

    assert books.builds.find(books.call(ref="r")) is build
    assert books.builds.find(books.call(ref="r", tenant="rival")) is None
    assert books.builds.find(books.call(ref="other")) is None


def test_a_build_is_told_once_and_counts_from_then_on() -> None:
    books = Books()
    call = books.call()
    build = books.builds.open(call, facts("r"))
    before = len(books.builds)
    books.builds.start(build)
    books.builds.start(build)

    assert (before, len(books.builds)) == (0, 1)
    assert books.said == [BuildStarted(call.id, call.caller, facts("r"))]


def test_a_build_that_never_was_told_ends_without_a_word() -> None:
    books = Books()
    call = books.call()
    books.builds.open(call, facts("r", is_internal=True))
    books.builds.end(call, Code.OK, None, 200)

    assert books.said == []


@pytest.mark.parametrize(
    ("code", "reason", "result"),
    [
        (Code.OK, None, BuildResult.SUCCESS),
        (Code.CANCELLED, None, BuildResult.CANCELED),
        (Code.UNKNOWN, None, BuildResult.ERROR),
        (Code.UNAVAILABLE, Reason.UPSTREAM_LOST, BuildResult.LOST),
        (Code.UNAVAILABLE, Reason.DRAIN_DEADLINE, BuildResult.LOST),
        (Code.INTERNAL, Reason.INTERNAL, BuildResult.LOST),
        (Code.DEADLINE_EXCEEDED, None, BuildResult.ERROR),
    ],
)
def test_how_the_solve_ended_is_how_the_build_ended(code: Code, reason: Reason | None, result: BuildResult) -> None:
    books = Books()
    call, _ = books.build()
    books.builds.end(call, code, reason, 350)

    assert books.ends == [BuildEnded(call.id, call.caller, facts("r"), result, code, 250, None)]


def test_a_denied_build_is_denied_however_it_ended() -> None:
    books = Books()
    call, build = books.build()
    build.is_denied = True
    books.builds.end(call, Code.UNKNOWN, Reason.UPSTREAM_LOST, 200)

    assert [end.result for end in books.ends] == [BuildResult.DENIED]


def test_a_build_that_runs_has_no_good_result() -> None:
    _, build = Books().build()

    assert build.result() is BuildResult.ERROR


def test_the_slot_of_a_build_is_free_as_soon_as_its_solve_ends() -> None:
    books = Books()
    permits = Permits(1)
    call, build = books.build()
    build.permit = permits.take()
    books.status()
    books.builds.end(call, Code.OK, None, 200)

    assert permits.in_use == 0
    assert books.ends == []


# --- steps ----------------------------------------------------------------------------------


@pytest.mark.parametrize("piece_octets", [1, 1 << 20])
def test_steps_are_counted_from_the_status_stream(piece_octets: int) -> None:
    books = Books()
    call, build = books.build()
    status = books.status()
    octets = steps_told("a", "b", warnings=1) + steps_told("a", cached=True)
    for at in range(0, len(octets), piece_octets):
        build.observe(memoryview(octets)[at : at + piece_octets])
    books.builds.end(status, Code.OK, None, 190)
    books.builds.end(call, Code.OK, None, 200)

    assert [end.steps for end in books.ends] == [BuildSteps(total=2, cached=1, completed=2, warnings=1)]


def test_the_steps_that_come_after_the_solve_count_too() -> None:
    books = Books()
    call, build = books.build()
    status = books.status()
    books.builds.end(call, Code.OK, None, 200)
    watched = books.builds.watched_by(status)
    build.observe(memoryview(steps_told("a")))
    before = list(books.ends)
    books.builds.end(status, Code.OK, None, 300)

    assert watched is build
    assert before == []
    assert [end.steps for end in books.ends] == [BuildSteps(total=1, cached=0, completed=1, warnings=0)]
    assert [end.duration_ns for end in books.ends] == [100]


def test_a_status_stream_that_does_not_end_is_waited_for_so_long_and_no_longer() -> None:
    books = Books()
    call, _ = books.build()
    status = books.status()
    books.builds.end(call, Code.OK, None, 200)
    books.builds.tick(200 + WAIT_FOR_STATUS_NS - 1)
    before = len(books.ends)
    books.builds.tick(200 + WAIT_FOR_STATUS_NS)
    books.builds.tick(201 + WAIT_FOR_STATUS_NS)
    books.builds.end(status, Code.OK, None, 300 + WAIT_FOR_STATUS_NS)

    assert (before, len(books.ends)) == (0, 1)
    assert books.builds.watched_by(status) is None


def test_the_first_status_stream_of_a_build_counts_alone() -> None:
    books = Books()
    _, build = books.build()
    first, second = books.status(), books.status()

    assert (first.is_observed, second.is_observed) == (True, False)
    assert books.builds.watched_by(first) is build
    assert books.builds.watched_by(second) is None


def test_a_status_stream_of_another_tenant_counts_nothing() -> None:
    books = Books()
    books.build()
    theirs = books.status(tenant="rival")

    assert not theirs.is_observed
    assert books.builds.watched_by(theirs) is None


def test_after_a_watcher_left_the_next_one_counts_from_the_start() -> None:
    books = Books()
    call, build = books.build()
    first = books.status()
    build.observe(memoryview(steps_told("a")))
    books.builds.end(first, Code.CANCELLED, None, 150)
    second = books.status()
    build.observe(memoryview(steps_told("a", "b")))
    books.builds.end(second, Code.OK, None, 160)
    books.builds.end(call, Code.OK, None, 200)

    assert [end.steps for end in books.ends] == [BuildSteps(total=2, cached=0, completed=2, warnings=0)]


def test_a_build_that_ended_is_told_apart_from_the_next_under_its_ref() -> None:
    books = Books()
    call, _ = books.build()
    status = books.status()
    books.builds.end(call, Code.OK, None, 200)
    again, build = books.build()
    books.builds.end(status, Code.OK, None, 210)

    assert [end.call for end in books.ends] == [call.id]
    assert books.builds.find(again) is build


def test_octets_that_nobody_counts_are_let_by() -> None:
    _, build = Books().build()
    build.observe(memoryview(steps_told("a")))

    assert build.counter is None


@pytest.mark.parametrize("octets", [b"\1\0\0\0\1x", b"\0\xff\xff\xff\xff"])
def test_a_status_stream_that_cannot_be_read_leaves_a_build_without_steps(octets: bytes) -> None:
    books = Books()
    call, build = books.build()
    status = books.status()
    build.observe(memoryview(octets))
    build.observe(memoryview(steps_told("a")))
    books.builds.end(status, Code.OK, None, 190)
    books.builds.end(call, Code.OK, None, 200)

    assert [end.steps for end in books.ends] == [None]


# --- waiting --------------------------------------------------------------------------------


def test_who_waits_for_a_ref_is_woken_once_when_it_comes() -> None:
    books = Books()
    woken: list[str] = []
    books.builds.when_known(books.call(ref="r"), lambda: woken.append("first"))
    books.builds.when_known(books.call(ref="r"), lambda: woken.append("second"))
    books.builds.when_known(books.call(ref="other"), lambda: woken.append("other"))
    call, _ = books.build("r")
    books.builds.end(call, Code.OK, None, 200)
    books.build("r")

    assert woken == ["first", "second"]


def test_a_ref_that_another_tenant_brings_wakes_nobody_yet() -> None:
    books = Books()
    woken: list[str] = []
    books.builds.when_known(books.call(ref="r"), lambda: woken.append("ours"))
    theirs, _ = books.build("r", "rival")
    early = list(woken)
    books.builds.end(theirs, Code.OK, None, 200)
    books.build("r")

    assert (early, woken) == ([], ["ours"])


def test_who_waits_no_more_is_not_woken() -> None:
    books = Books()
    woken: list[str] = []
    forget_first = books.builds.when_known(books.call(ref="r"), lambda: woken.append("first"))
    forget_second = books.builds.when_known(books.call(ref="r"), lambda: woken.append("second"))
    forget_first()
    forget_first()
    books.build("r")
    forget_second()

    assert woken == ["second"]


def test_a_ref_that_nobody_waits_for_any_more_is_forgotten() -> None:
    books = Books()
    books.builds.when_known(books.call(ref="r"), lambda: None)()

    assert books.builds._waiting == {}
