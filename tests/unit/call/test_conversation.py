"""The calls of a connection, from head to end, with all rooms as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.address import UpstreamAddress
from proxy.buildkit.isolation import Isolation
from proxy.buildkit.methods import (
    BRIDGE_SOLVE,
    CONTENT_READ,
    CONTROL,
    DISK_USAGE,
    EXPORT,
    HEALTH,
    LISTEN_BUILD_HISTORY,
    METHODS,
    SESSION,
    SOLVE,
    STATUS,
    UPDATE_BUILD_HISTORY,
)
from proxy.call.builds import REMEMBER_REFUSED_NS, WAIT_FOR_BUILD_NS, WAIT_FOR_STATUS_NS
from proxy.call.conversation import MOST_RETRIES, STRANGER_CALLS
from proxy.call.heads import BUILD_ID, SESSION_ID, SHARED_KEY
from proxy.call.machine import State
from proxy.caller import Role
from proxy.errors import Refused
from proxy.events import (
    BuildEnded,
    BuildResult,
    BuildStarted,
    BuildSteps,
    CallEnded,
    CallId,
    CallProgressed,
    CallRefused,
    CallStarted,
    PolicyShadowed,
)
from proxy.http2.frames import ErrorCode, ProtocolFault
from proxy.identity.credentials import PresentedCertificate
from proxy.limits.tenant import Limits
from proxy.policy.settings import PolicySettings
from proxy.reasons import Code, Reason
from proxy.routing.routes import Routes, Standing
from tests.helpers.buildkit_proto import message_class
from tests.helpers.talk import (
    BADGES,
    ONE_DAEMON,
    PEER,
    SECOND,
    Farm,
    Line,
    bridge,
    facts,
    head_of,
    head_of_bridge,
    message,
    somebody,
    steps_told,
)

INFO = METHODS[f"/{CONTROL}/Info".encode()]
PRUNE = METHODS[f"/{CONTROL}/Prune".encode()]
CHECK = METHODS[f"/{HEALTH}/Check".encode()]
WATCH = METHODS[f"/{HEALTH}/Watch".encode()]
NO_SUCH = tuple((name, b"/no/such" if name == b":path" else value) for name, value in head_of(INFO))


def session(line: Line, name: str, badge: str | None = None) -> int:
    return line.begin(head_of(SESSION, (SESSION_ID, name.encode())), badge)


# --- who calls ------------------------------------------------------------------------------


def test_an_admitted_call_is_told_when_it_starts_and_when_it_ends() -> None:
    farm = Farm()
    line = farm.connect()
    stream = line.call(INFO)
    line.conversation.passed(line.calls[stream], 5, 70)
    line.now_ns = 30
    line.end(stream, Code.NOT_FOUND)

    assert farm.said == [
        CallStarted(CallId(1, 1), BADGES["builder"], PEER, INFO.path),
        CallEnded(CallId(1, 1), BADGES["builder"], INFO.path, Code.NOT_FOUND, 30, 5, 70, None),
    ]
    assert farm.counted.in_use == {"payments": (0, 1, 0)}


def test_a_call_of_nobody_is_refused_and_told_with_its_method() -> None:
    farm = Farm()
    line = farm.connect(badge=None)
    line.call(INFO)

    assert farm.said == [CallRefused(CallId(1, 1), None, PEER, INFO.path, Reason.NO_CREDENTIALS, "")]
    assert line.told[1] == (Code.UNAUTHENTICATED, Refused(Reason.NO_CREDENTIALS).public_text("1-1"))
    assert line.conversation.tenant is None


def test_a_refused_proof_is_told_with_its_own_method_not_with_that_of_the_call_before() -> None:
    farm = Farm()
    line = farm.connect()
    line.call(INFO)
    line.call(SOLVE, badge="forged")
    (told,) = farm.heard(CallRefused)

    assert (told.caller, told.method, told.reason) == (None, SOLVE.path, Reason.TOKEN_BAD_SIGNATURE)


def test_a_certificate_of_nobody_is_refused() -> None:
    farm = Farm()
    line = farm.connect(badge=None, certificate=PresentedCertificate((b"leaf",), ()))
    line.call(INFO)

    assert line.reasons[1] is Reason.CERTIFICATE_UNKNOWN_CA


def test_a_head_that_cannot_be_read_is_told_of_nobody_and_no_method() -> None:
    farm = Farm()
    line = farm.connect()
    line.call(INFO)
    line.begin(head_of(INFO)[1:])
    (told,) = farm.heard(CallRefused)

    assert (told.caller, told.method, told.reason) == (None, "unknown", Reason.REQUEST_MALFORMED)


def test_a_call_that_was_refused_before_it_was_read_is_told_of_nobody() -> None:
    farm = Farm()
    line = farm.connect()
    line.call(INFO)
    line.conversation.refused(7, None, Refused(Reason.REQUEST_MALFORMED, why="its header list is too long"), 0)
    (told,) = farm.heard(CallRefused)

    assert (told.call, told.caller, told.method) == (CallId(1, 7), None, "unknown")


def test_a_method_that_nobody_knows_has_its_path_in_the_detail_and_in_no_label() -> None:
    farm = Farm()
    line = farm.connect()
    line.begin(NO_SUCH)
    (told,) = farm.heard(CallRefused)

    assert (told.caller, told.method, told.reason) == (BADGES["builder"], "unknown", Reason.METHOD_UNKNOWN)
    assert told.detail == dict(NO_SUCH)[b":path"].decode()


def test_whose_certificate_was_refused_is_told_although_nobody_was_proven() -> None:
    farm = Farm()
    line = farm.connect(badge=None, certificate=PresentedCertificate(chain=(b"der",)))
    line.call(INFO)
    (told,) = farm.heard(CallRefused)

    assert (told.caller, told.detail) == (None, "subject=nobody")


def test_a_role_that_does_not_suffice_is_refused_with_what_is_needed() -> None:
    farm = Farm()
    line = farm.connect("viewer")
    line.call(SOLVE)
    line.call(PRUNE, badge="builder")
    first, second = farm.heard(CallRefused)

    assert (first.caller, first.method, first.reason) == (BADGES["viewer"], SOLVE.path, Reason.ROLE_MISSING)
    assert (second.caller, second.method, second.reason) == (BADGES["builder"], PRUNE.path, Reason.ROLE_MISSING)
    assert "Control/Solve" in line.told[1][1]
    assert "builder" in line.told[1][1]


def test_strangers_are_counted_until_somebody_is_proven() -> None:
    line = Farm().connect(badge=None)
    for _ in range(2):
        line.call(INFO)
    line.call(INFO, badge="builder")
    line.begin(NO_SUCH, "builder")

    assert line.conversation.strangers_refused == 2
    assert line.conversation.tenant == "payments"


def test_a_stranger_who_keeps_trying_loses_the_connection() -> None:
    line = Farm().connect(badge=None)
    for _ in range(STRANGER_CALLS):
        line.call(INFO)

    with pytest.raises(ProtocolFault) as fault:
        line.call(INFO)

    assert fault.value.code is ErrorCode.ENHANCE_YOUR_CALM
    assert line.conversation.strangers_refused == STRANGER_CALLS


def test_calls_that_wait_for_keys_count_until_somebody_is_proven() -> None:
    farm = Farm()
    farm.badges.lacks_keys = True
    line = farm.connect()
    waiting = [line.begin(head_of(INFO)) for _ in range(STRANGER_CALLS)]
    with pytest.raises(ProtocolFault) as fault:
        line.begin(head_of(INFO))
    farm.badges.lacks_keys = False
    for stream in waiting:
        line.ask(stream, head_of(INFO))
    more = [line.begin(head_of(INFO)) for _ in range(STRANGER_CALLS)]

    assert fault.value.code is ErrorCode.ENHANCE_YOUR_CALM
    assert set(waiting + more) <= line.calls.keys()


# --- keys that must be fetched --------------------------------------------------------------


def test_a_call_that_needs_keys_is_decided_when_they_were_fetched() -> None:
    farm = Farm()
    farm.badges.lacks_keys = True
    line = farm.connect()
    stream = line.begin(head_of(INFO))
    before = (list(line.calls), [issuer for issuer, _ in farm.fetches])
    farm.badges.lacks_keys = False
    farm.fetched()
    line.ask(stream, head_of(INFO))

    assert before == ([], ["https://issuer.example"])
    assert line.retried == [stream]
    assert line.calls[stream].state is State.RUNNING


def test_keys_that_cannot_be_had_refuse_the_call_after_so_many_tries() -> None:
    farm = Farm()
    farm.badges.lacks_keys = True
    line = farm.connect()
    stream = line.begin(head_of(INFO))
    for _ in range(MOST_RETRIES):
        assert stream not in line.told
        farm.fetched()
        line.ask(stream, head_of(INFO))
    (told,) = farm.heard(CallRefused)

    assert line.retried == [stream] * MOST_RETRIES
    assert told == CallRefused(
        CallId(1, 1), None, PEER, INFO.path, Reason.KEYS_UNAVAILABLE, "issuer https://issuer.example"
    )


def test_a_call_that_ends_while_its_keys_are_fetched_is_told_of_nobody_else() -> None:
    farm = Farm()
    line = farm.connect()
    farm.badges.lacks_keys = True
    waits = line.begin(head_of(INFO), "rival")
    farm.badges.lacks_keys = False
    line.call(SOLVE)
    line.end_call(waits, Refused(Reason.DRAIN_DEADLINE))
    (told,) = farm.heard(CallRefused)

    assert (told.call, told.caller) == (CallId(1, waits), None)


# --- limits ---------------------------------------------------------------------------------


def test_a_rate_that_is_spent_refuses_until_it_was_earned_again() -> None:
    farm = Farm(limits=Limits(calls_per_second=1, burst=2))
    line = farm.connect()
    refused = [stream for stream in (line.call(INFO) for _ in range(3)) if stream in line.told]
    line.now_ns = SECOND
    late = line.call(INFO)

    assert [line.reasons[stream] for stream in refused] == [Reason.RATE_LIMITED]
    assert late in line.calls
    assert farm.counted.in_use == {"payments": (0, 1, 3)}


def test_streams_are_limited_over_all_connections_of_a_tenant() -> None:
    farm = Farm(limits=Limits(streams=2))
    first, second = farm.connect(), farm.connect()
    running = first.call(INFO)
    second.call(INFO)
    one_too_many = second.call(INFO)
    first.end(running)
    again = second.call(INFO)

    assert second.reasons == {one_too_many: Reason.STREAMS_LIMIT}
    assert again in second.calls


def test_connections_are_limited_and_the_refusal_names_who_it_was() -> None:
    farm = Farm(limits=Limits(connections=1))
    first, second = farm.connect(), farm.connect()
    first.call(INFO)
    second.call(INFO)
    (told,) = farm.heard(CallRefused)
    first.hang_up()
    second.call(INFO)

    assert (told.reason, told.caller, told.method) == (Reason.CONNECTIONS_LIMIT, BADGES["builder"], INFO.path)
    assert list(second.calls) == [3]


def test_a_refused_call_takes_no_permit() -> None:
    farm = Farm()
    line = farm.connect()
    session(line, "s")
    session(line, "s")

    assert line.reasons[3] is Reason.SESSION_LIVE
    assert farm.counted.in_use == {"payments": (0, 1, 1)}


# --- what the process is in -----------------------------------------------------------------


def test_nothing_starts_while_the_audit_log_cannot_be_written() -> None:
    farm = Farm(is_audited=False)
    line = farm.connect()
    line.call(INFO)

    assert line.reasons[1] is Reason.AUDIT_UNWRITABLE
    assert farm.heard(CallStarted) == []
    assert farm.counted.in_use == {"payments": (0, 1, 0)}


def test_a_process_that_drains_takes_calls_only_beside_a_build() -> None:
    farm = Farm()
    building, idle = farm.connect(), farm.connect()
    build = building.solve("r")
    farm.world.is_draining = True
    late = idle.call(INFO)
    beside = building.call(INFO)
    has_build = building.conversation.has_build
    building.end(build)
    after = building.call(INFO)

    assert idle.reasons == {late: Reason.DRAINING}
    assert (has_build, building.conversation.has_build) == (True, False)
    assert beside in building.calls
    assert building.reasons == {after: Reason.DRAINING}


@pytest.mark.parametrize(("is_healthy", "status"), [(True, b"\x08\x01"), (False, b"\x08\x02")])
def test_health_is_answered_here(is_healthy: bool, status: bytes) -> None:
    farm = Farm(is_healthy=is_healthy)
    line = farm.connect("viewer")
    stream = line.call(CHECK)

    assert line.calls[stream].answer == b"\0\0\0\0\2" + status


def test_spans_are_thanked_for() -> None:
    line = Farm().connect()
    stream = line.call(EXPORT)

    assert line.calls[stream].answer == b"\0\0\0\0\0"


def test_health_by_watch_is_refused_and_holds_nothing() -> None:
    farm = Farm()
    line = farm.connect()
    line.call(WATCH)

    assert line.reasons[1] is Reason.METHOD_UNKNOWN
    assert farm.counted.in_use == {"payments": (0, 1, 0)}


def test_octets_of_long_calls_are_told_and_not_told_again() -> None:
    farm = Farm()
    line = farm.connect()
    busy, _idle = line.call(INFO), line.call(INFO)
    unjudged = line.begin(head_of(SOLVE))
    line.conversation.passed(line.calls[busy], 3, 4)
    line.conversation.passed(line.calls[unjudged], 9, 0)
    line.conversation.tell_progress()
    line.conversation.tell_progress()
    line.conversation.passed(line.calls[busy], 1, 0)
    line.end(busy)
    (ended,) = farm.heard(CallEnded)

    assert farm.heard(CallProgressed) == [CallProgressed(line.call_id(busy), "payments", 3, 4)]
    assert (ended.received_octets, ended.sent_octets) == (1, 0)


def test_a_call_that_kilngate_ends_is_told_with_the_reason() -> None:
    farm = Farm()
    line = farm.connect()
    stream = line.call(INFO)
    line.end_call(stream, Refused(Reason.UPSTREAM_LOST))
    (ended,) = farm.heard(CallEnded)

    assert (ended.code, ended.reason) == (Reason.UPSTREAM_LOST.code, Reason.UPSTREAM_LOST)
    assert farm.heard(CallRefused) == []


# --- builds ---------------------------------------------------------------------------------


def test_a_solve_is_a_build_once_its_message_was_judged() -> None:
    farm = Farm()
    line = farm.connect()
    stream = line.begin(head_of(SOLVE))
    before = list(farm.said)
    line.message(stream, message("SolveRequest", ref="r"))

    assert before == []
    assert farm.said == [
        BuildStarted(CallId(1, 1), BADGES["builder"], facts("r")),
        CallStarted(CallId(1, 1), BADGES["builder"], PEER, SOLVE.path),
    ]


def test_the_probe_of_buildx_is_no_build() -> None:
    farm = Farm(limits=Limits(concurrent_builds=1))
    line = farm.connect()
    probe = line.solve("probe", internal=True)
    numbers = (len(farm.world.builds), dict(farm.counted.in_use))
    line.end(probe)

    assert numbers == (0, {"payments": (0, 1, 1)})
    assert farm.heard(BuildStarted, BuildEnded) == []


def test_an_internal_solve_that_brings_work_is_a_build() -> None:
    farm = Farm()
    line = farm.connect()
    with_frontend = line.solve("r", internal=True, frontend="dockerfile.v0")
    in_use = dict(farm.counted.in_use)
    line.end(with_frontend)

    assert in_use == {"payments": (1, 1, 1)}
    assert len(farm.heard(BuildStarted)) == len(farm.heard(BuildEnded)) == 1


def test_an_internal_solve_whose_bridge_brings_work_is_a_build() -> None:
    farm = Farm()
    line = farm.connect()
    line.solve("r", internal=True)
    first, second = line.work("r"), line.work("r")

    assert {first, second} <= set(line.calls)
    assert [event.facts.ref for event in farm.heard(BuildStarted)] == ["r"]
    assert farm.counted.in_use == {"payments": (1, 1, 3)}


def test_other_calls_of_the_bridge_bring_no_work() -> None:
    farm = Farm()
    line = farm.connect()
    line.solve("r", internal=True)
    line.begin(head_of_bridge("r", bridge("Ping")))

    assert farm.heard(BuildStarted) == []
    assert farm.counted.in_use == {"payments": (0, 1, 2)}


def test_a_build_above_the_limit_is_denied_when_its_bridge_brings_work() -> None:
    farm = Farm(limits=Limits(concurrent_builds=1))
    first, second = farm.connect(), farm.connect()
    first.solve("one")
    first.work("one")
    build = second.solve("two")
    work = second.work("two")
    second.end(build, Code.UNKNOWN)
    (ended,) = farm.heard(BuildEnded)

    assert second.reasons == {work: Reason.BUILDS_LIMIT}
    assert (ended.facts.ref, ended.result) == ("two", BuildResult.DENIED)
    assert farm.counted.in_use == {"payments": (1, 2, 2)}


def test_a_solve_above_the_limit_that_brings_work_is_refused_and_no_build() -> None:
    farm = Farm(limits=Limits(concurrent_builds=1))
    line = farm.connect()
    line.solve("one", frontend="dockerfile.v0")
    second = line.solve("two", frontend="dockerfile.v0")
    (refused,) = farm.heard(CallRefused)

    assert (refused.call, refused.reason) == (line.call_id(second), Reason.BUILDS_LIMIT)
    assert [event.facts.ref for event in farm.heard(BuildStarted, BuildEnded)] == ["one"]
    assert farm.counted.in_use == {"payments": (1, 1, 1)}


def test_a_slot_is_free_when_the_solve_ended_whatever_runs_on() -> None:
    farm = Farm(limits=Limits(concurrent_builds=1))
    line = farm.connect()
    build = line.solve("one", frontend="dockerfile.v0")
    line.status("one")
    line.end(build)
    line.solve("two", frontend="dockerfile.v0")

    assert line.reasons == {}


def test_a_ref_that_is_live_is_refused_to_its_tenant_and_free_to_others() -> None:
    farm = Farm()
    farm.connect().solve("r")
    again, rival = farm.connect(), farm.connect("rival")
    again.solve("r")
    rival.solve("r")

    assert (again.reasons, rival.reasons) == ({1: Reason.REF_LIVE}, {})
    assert farm.counted.in_use == {"payments": (0, 2, 1), "rival": (0, 1, 1)}


def test_a_solve_that_cannot_be_read_is_refused() -> None:
    farm = Farm()
    line = farm.connect()
    line.call(SOLVE, b"\xff")

    assert line.reasons[1] is Reason.MESSAGE_UNREADABLE
    assert farm.heard(CallStarted, CallEnded) == []
    assert farm.counted.in_use == {"payments": (0, 1, 0)}


def test_what_a_solve_names_reaches_the_daemon_under_its_tenants_names_alone() -> None:
    farm = Farm()
    line = farm.connect()
    names = farm.names()
    build = line.solve("r", session="s1", frontend_attrs={"local-sessionid:context": "s2", "filename": "Dockerfile"})
    reached = message_class("SolveRequest").FromString(line.verdicts[build].message)

    assert (reached.ref, reached.session) == ("payments.r", names.session("s1"))
    assert dict(reached.frontend_attrs) == {"local-sessionid:context": names.session("s2"), "filename": "Dockerfile"}


def test_a_session_and_a_bridge_are_named_in_their_heads() -> None:
    farm = Farm()
    line = farm.connect()
    names = farm.names()
    line.solve("r")
    opened, pinged = session(line, "s"), line.begin(head_of_bridge("r", bridge("Ping")))

    assert dict(line.calls[opened].fields)[SESSION_ID] == names.session("s").encode()
    assert dict(line.calls[opened].fields)[SHARED_KEY] == names.shared_key("").encode()
    assert dict(line.calls[pinged].fields)[BUILD_ID] == b"payments.r"


def test_two_tenants_never_reach_the_daemon_under_one_name() -> None:
    farm = Farm()
    line, rival = farm.connect(), farm.connect("rival")
    ours, theirs = session(line, "s"), session(rival, "s")

    assert dict(line.calls[ours].fields)[SESSION_ID] != dict(rival.calls[theirs].fields)[SESSION_ID]


@pytest.mark.parametrize("brings", ["by its Solve", "by the bridge"])
@pytest.mark.parametrize("run_cache", ["tenant", "shared"])
def test_the_caches_of_a_build_are_its_tenants_whichever_message_says_what_it_wants(
    brings: str, run_cache: str
) -> None:
    line = Farm(isolation=Isolation.model_validate({"run_cache": run_cache})).connect()
    asked = {"frontend": "dockerfile.v0"}
    build = line.solve("r", **(asked if brings == "by its Solve" else {}))
    if brings == "by its Solve":
        attrs = message_class("SolveRequest").FromString(line.verdicts[build].message).frontend_attrs
    else:
        work = line.work("r", message("BridgeSolveRequest", **asked))
        attrs = message_class("BridgeSolveRequest").FromString(line.verdicts[work].message).frontend_opt

    assert attrs["build-arg:BUILDKIT_CACHE_MOUNT_NS"] == "payments"
    assert ("build-arg:BUILDKIT_SANDBOX_HOSTNAME" in attrs) == (run_cache == "tenant")


@pytest.mark.parametrize(
    ("definitions", "reason"),
    [("refuse", Reason.DEFINITION_REFUSED), ("rewrite", Reason.DEFINITION_NESTED), ("allow", None)],
)
def test_a_definition_that_nobody_can_read_passes_only_where_all_do(definitions: str, reason: Reason | None) -> None:
    line = Farm(isolation=Isolation.model_validate({"definitions": definitions})).connect()
    nested = {"def": [message("Op", build={})]}
    build = line.solve("r", definition=nested)

    assert line.reasons == ({build: reason} if reason else {})


def test_a_definition_reaches_the_daemon_with_its_tenants_caches() -> None:
    line = Farm().connect()
    mount = {"dest": "/cache", "mount_type": 3, "cache_opt": {"id": "mine"}}
    step = message("Op", exec={"meta": {"args": ["true"]}, "mounts": [mount]})
    build = line.solve("r", definition={"def": [step]})
    reached = message_class("SolveRequest").FromString(line.verdicts[build].message).definition

    (op,) = [message_class("Op").FromString(octets) for octets in getattr(reached, "def")]
    assert op.exec.mounts[0].cache_opt.id == "payments.mine"


@pytest.mark.parametrize("name", ["ResolveImageConfig", "ResolveSourceMeta", "NewContainer"])
def test_other_requests_of_the_bridge_are_read_and_wait_for_their_build(name: str) -> None:
    farm = Farm()
    farm.badges.callers["maintainer"] = somebody(role=Role.MAINTAINER)
    line = farm.connect("maintainer")
    stream = line.begin(head_of_bridge("r", bridge(name)))
    line.message(stream, b"")
    before = line.calls[stream].state
    line.solve("r")

    assert (before, line.calls[stream].state) == (State.WAITING, State.RUNNING)


@pytest.mark.parametrize("unknown_fields", ["refuse", "pass"])
def test_a_field_that_nobody_has_judged_passes_only_if_the_operator_lets_it(unknown_fields: str) -> None:
    farm = Farm(isolation=Isolation.model_validate({"unknown_fields": unknown_fields}))
    line = farm.connect()
    build = line.call(SOLVE, message("SolveRequest", ref="r") + b"\xf2\x01\x03new")
    is_passing = unknown_fields == "pass"

    assert line.reasons == ({} if is_passing else {build: Reason.FIELD_UNKNOWN})
    assert is_passing == (b"\xf2\x01\x03new" in (line.verdicts[build].message or b"" if is_passing else b""))


def test_a_session_id_that_is_open_is_refused_until_it_is_closed() -> None:
    farm = Farm()
    line, other = farm.connect(), farm.connect()
    first = session(line, "s")
    duplicate = session(other, "s")
    line.end(first)
    again = session(other, "s")

    assert other.reasons == {duplicate: Reason.SESSION_LIVE}
    assert again in other.calls


# --- calls that name a build before its Solve came ------------------------------------------


@pytest.mark.parametrize("badge", ["builder", "viewer"])
def test_a_status_waits_for_the_build_that_it_names(badge: str) -> None:
    farm = Farm()
    line, watcher = farm.connect(), farm.connect(badge)
    status = watcher.status("r")
    before = (watcher.calls[status].state, list(watcher.gone), farm.heard(CallStarted))
    line.solve("r")

    assert before == (State.WAITING, [], [])
    assert watcher.calls[status].state is State.RUNNING
    assert watcher.calls[status].is_observed
    assert watcher.gone == [status]
    assert len(farm.heard(CallStarted)) == 2


def test_a_bridge_waits_for_its_build_and_brings_its_work() -> None:
    farm = Farm()
    line = farm.connect()
    work = line.work("r")
    line.solve("r", internal=True)

    assert line.gone == [work]
    assert farm.counted.in_use == {"payments": (1, 1, 2)}


def test_a_bridge_that_waited_is_refused_if_its_build_is_one_too_many() -> None:
    farm = Farm(limits=Limits(concurrent_builds=1))
    line = farm.connect()
    line.solve("one", frontend="dockerfile.v0")
    work = line.work("two")
    build = line.solve("two")
    line.end(build, Code.UNKNOWN)

    assert line.reasons == {work: Reason.BUILDS_LIMIT}
    assert line.gone == []
    assert [event.result for event in farm.heard(BuildEnded)] == [BuildResult.DENIED]


@pytest.mark.parametrize("ref", ["foreign", "unknown"])
def test_a_foreign_ref_and_one_that_nobody_has_are_answered_alike(ref: str) -> None:
    farm = Farm()
    farm.connect().solve("foreign")
    rival = farm.connect("rival")
    work = rival.work(ref)
    rival.now_ns = WAIT_FOR_BUILD_NS - 1
    rival.conversation.tick(rival.now_ns)
    early = dict(rival.told)
    rival.now_ns += 1
    rival.conversation.tick(rival.now_ns)
    sentence = Refused(Reason.FOREIGN_REF, tenant="rival")

    assert early == {}
    assert rival.told == {work: (Code.NOT_FOUND, sentence.public_text(f"2-{work}"))}
    assert farm.counted.in_use == {"payments": (0, 1, 1), "rival": (0, 1, 0)}


def test_a_status_of_a_build_that_does_not_come_is_left_to_the_daemon_which_may_tell_an_old_one() -> None:
    farm = Farm()
    line = farm.connect()
    status = line.status("long-over")
    line.conversation.tick(WAIT_FOR_BUILD_NS - 1)
    early = list(line.gone)
    line.conversation.tick(WAIT_FOR_BUILD_NS)

    assert (early, line.gone) == ([], [status])
    assert line.calls[status].state is State.RUNNING
    assert message_class("StatusRequest").FromString(line.verdicts[status].message).ref == "payments.long over".replace(
        " ", "-"
    )


# --- builds that are turned away ------------------------------------------------------------


def refused_build(line: Line, ref: str = "r") -> int:
    """Ask for a build that is one too many."""
    other = Line(line.farm, 99, line.badge, None)
    other.solve("the-one-that-may", frontend="dockerfile.v0")
    return line.solve(ref, frontend="dockerfile.v0")


def test_who_waits_for_a_build_that_is_turned_away_learns_of_it_at_once() -> None:
    farm = Farm(limits=Limits(concurrent_builds=1))
    line = farm.connect()
    status, ping = line.status("r"), line.begin(head_of_bridge("r", bridge("Ping")))
    build = refused_build(line)

    assert line.reasons == {build: Reason.BUILDS_LIMIT, ping: Reason.BUILDS_LIMIT}
    assert line.answered == [status]
    assert farm.counted.in_use == {"payments": (1, 2, 1)}


def test_who_comes_after_a_build_was_turned_away_learns_of_it_at_once_but_not_for_ever() -> None:
    farm = Farm(limits=Limits(concurrent_builds=1))
    line = farm.connect()
    build = refused_build(line)
    status, ping = line.status("r"), line.begin(head_of_bridge("r", bridge("Ping")))
    farm.world.builds.tick(REMEMBER_REFUSED_NS)
    late = line.begin(head_of_bridge("r", bridge("Ping")))

    assert line.reasons == {build: Reason.BUILDS_LIMIT, ping: Reason.BUILDS_LIMIT}
    assert line.verdicts[status].answer == b""
    assert line.calls[late].state is State.WAITING


def test_a_build_that_was_turned_away_says_nothing_to_another_tenant() -> None:
    farm = Farm(limits=Limits(concurrent_builds=1))
    refused_build(farm.connect())
    rival = farm.connect("rival")
    ping = rival.begin(head_of_bridge("r", bridge("Ping")))

    assert rival.calls[ping].state is State.WAITING


def test_a_foreign_build_that_comes_wakes_nobody_and_the_own_one_still_does() -> None:
    farm = Farm()
    rival, line = farm.connect("rival"), farm.connect()
    status = line.status("r")
    theirs = rival.solve("r")
    before = line.calls[status].state
    rival.end(theirs)
    line.solve("r")

    assert before is State.WAITING
    assert line.gone == [status]


def test_a_connection_that_breaks_when_one_of_its_calls_is_woken_wakes_no_other() -> None:
    farm = Farm()
    line, watcher = farm.connect(), farm.connect()
    first, _ = watcher.status("r"), watcher.work("r")
    watcher.is_broken = True
    build = line.solve("r")

    assert watcher.gone == [first]
    assert line.calls[build].state is State.RUNNING
    assert farm.counted.in_use == {"payments": (0, 1, 1)}


def test_a_call_that_left_while_it_waited_is_not_woken() -> None:
    farm = Farm()
    line = farm.connect()
    status = line.status("r")
    line.end(status, Code.CANCELLED)
    line.solve("r")
    line.conversation.tick(WAIT_FOR_BUILD_NS)

    assert line.gone == []
    assert [event.method for event in farm.heard(CallStarted, CallEnded)] == [SOLVE.path]


def test_a_status_that_cannot_be_read_is_refused() -> None:
    line = Farm().connect()
    line.call(STATUS, b"\xff")

    assert line.reasons[1] is Reason.MESSAGE_UNREADABLE


# --- policies -------------------------------------------------------------------------------

NETWORK_HOST = {"entitlements": ["network.host"]}


def with_mode(mode: str) -> dict[str, PolicySettings]:
    return {"default": PolicySettings.model_validate({"entitlements": {"mode": mode}})}


def test_a_build_that_its_policy_does_not_allow_is_refused_and_no_build() -> None:
    farm = Farm()
    line = farm.connect()
    status = line.status("r")
    build = line.solve("r", **NETWORK_HOST)

    assert line.reasons == {build: Reason.POLICY_ENTITLEMENTS}
    assert line.answered == [status]
    assert farm.heard(BuildStarted, BuildEnded) == []


def test_what_the_bridge_asks_for_is_judged_like_what_the_solve_does() -> None:
    line = Farm().connect()
    line.solve("r", internal=True)
    work = line.work("r", message("BridgeSolveRequest", frontend="gateway.v0", frontend_opt={"source": "evil/x"}))

    assert line.reasons == {work: Reason.POLICY_FRONTENDS}


def test_a_rule_in_shadow_refuses_nothing_and_tells_what_it_would_have() -> None:
    farm = Farm(policies=with_mode("shadow"))
    line = farm.connect()
    line.solve("r", **NETWORK_HOST)
    (told,) = farm.heard(PolicyShadowed)

    assert line.reasons == {}
    assert (told.caller, told.method, told.rule, told.reason) == (
        BADGES["builder"],
        SOLVE.path,
        "entitlements",
        Reason.POLICY_ENTITLEMENTS,
    )


@pytest.mark.parametrize("name", ["NewContainer", "ExecProcess"])
def test_a_container_in_a_running_build_is_for_whom_the_policy_names(name: str) -> None:
    farm = Farm()
    farm.badges.callers["maintainer"] = somebody(role=Role.MAINTAINER)
    line, maintainer = farm.connect(), farm.connect("maintainer")
    refused, opened = (who.begin(head_of_bridge("r", bridge(name))) for who in (line, maintainer))

    assert line.reasons == {refused: Reason.POLICY_EXEC}
    assert opened in maintainer.calls


def test_a_frontend_image_is_refused_to_a_build_that_may_put_another_in_its_place() -> None:
    line = Farm().connect()
    convert = {"action": 2, "selector": {"identifier": "docker-image://docker.io/docker/dockerfile:1"}}
    line.solve("r", source_policy={"version": 1, "rules": [convert]})
    image = {"source": "docker/dockerfile:1", "cmdline": "docker/dockerfile:1"}
    work = line.work("r", message("BridgeSolveRequest", frontend="gateway.v0", frontend_opt=image))

    assert line.reasons == {work: Reason.POLICY_FRONTENDS}


# --- what a daemon tells of builds ----------------------------------------------------------


def event_of(ref: str, digest: str = "") -> bytes:
    """Return a record of a build as the daemon tells it."""
    record = message_class("BuildHistoryRecord")(ref=ref)
    if digest:
        record.logs.digest = digest
    return message("BuildHistoryEvent", record=record)


def test_the_history_is_asked_for_under_the_tenants_name_and_told_under_the_clients() -> None:
    farm = Farm()
    line = farm.connect("viewer")
    stream = line.call(LISTEN_BUILD_HISTORY, message("BuildHistoryRequest", ref="r"))
    asked = message_class("BuildHistoryRequest").FromString(line.verdicts[stream].message)
    told = [line.conversation.rewrite(line.calls[stream], event_of(ref)) for ref in ("payments.r", "rival.r")]

    assert asked.ref == "payments.r"
    assert [[message_class("BuildHistoryEvent").FromString(one).record.ref for one in each] for each in told] == [
        ["r"],
        [],
    ]
    assert line.conversation.rewrite(line.calls[stream], None) == ()


def test_content_is_open_to_the_tenant_whose_history_told_of_it() -> None:
    farm = Farm()
    line, other, rival = farm.connect(), farm.connect(), farm.connect("rival")
    digest = "sha256:" + "a" * 64
    history = line.call(LISTEN_BUILD_HISTORY, message("BuildHistoryRequest"))
    line.conversation.rewrite(line.calls[history], event_of("payments.r", digest))
    ours, theirs = (who.call(CONTENT_READ, message("ReadContentRequest", digest=digest)) for who in (other, rival))

    assert other.calls[ours].state is State.RUNNING
    assert rival.reasons == {theirs: Reason.CONTENT_FOREIGN}


def test_an_operator_asks_for_what_all_tenants_have() -> None:
    farm = Farm()
    admin = farm.connect("admin")
    history = admin.call(LISTEN_BUILD_HISTORY, message("BuildHistoryRequest", ref="payments.r"))
    admin.status("payments.r")
    read = admin.call(CONTENT_READ, message("ReadContentRequest", digest="sha256:" + "b" * 64))
    usage = admin.call(DISK_USAGE, b"")

    assert admin.reasons == {}
    assert message_class("BuildHistoryRequest").FromString(admin.verdicts[history].message).ref == "payments.r"
    assert admin.conversation.rewrite(admin.calls[history], event_of("payments.r")) == (event_of("payments.r"),)
    assert not admin.calls[read].is_rewritten
    assert not admin.calls[usage].is_rewritten


def test_to_pin_a_record_needs_a_maintainer_and_to_delete_one_a_builder() -> None:
    line = Farm().connect()
    deleted = line.call(UPDATE_BUILD_HISTORY, message("UpdateBuildHistoryRequest", ref="r", delete=True))
    pinned = line.call(UPDATE_BUILD_HISTORY, message("UpdateBuildHistoryRequest", ref="r", pinned=True))

    assert line.calls[deleted].state is State.RUNNING
    assert line.reasons == {pinned: Reason.ROLE_MISSING}


def test_of_the_disk_a_builder_hears_sums() -> None:
    line = Farm().connect()
    usage = line.call(DISK_USAGE, b"")

    assert line.conversation.rewrite(line.calls[usage], b"") == (b"",)


def test_an_error_of_the_daemon_is_told_with_the_clients_own_names() -> None:
    line = Farm().connect()
    build = line.solve("r1234")
    worded = line.conversation.reword(line.calls[build], [(b"grpc-message", b"no such job payments.r1234")])

    assert list(worded) == [(b"grpc-message", b"no such job r1234")]


# --- how builds end -------------------------------------------------------------------------


@pytest.mark.parametrize("piece_octets", [1, 1 << 20])
def test_a_build_ends_with_the_steps_of_its_status_stream(piece_octets: int) -> None:
    farm = Farm()
    line = farm.connect()
    build, status = line.solve("r"), line.status("r")
    line.observe(status, steps_told("a", "b"), piece_octets)
    line.end(build)
    early = farm.heard(BuildEnded)
    line.observe(status, steps_told("c", cached=True, warnings=2), piece_octets)
    line.end(status)
    (ended,) = farm.heard(BuildEnded)

    assert early == []
    assert ended.steps == BuildSteps(total=3, cached=1, completed=3, warnings=2)
    assert ended.result is BuildResult.SUCCESS


def test_the_end_of_a_build_waits_for_its_status_stream_only_so_long() -> None:
    farm = Farm()
    line = farm.connect()
    build, status = line.solve("r"), line.status("r")
    line.now_ns = 2 * SECOND
    line.end(build)
    farm.world.builds.tick(line.now_ns + WAIT_FOR_STATUS_NS - 1)
    early = farm.heard(BuildEnded)
    farm.world.builds.tick(line.now_ns + WAIT_FOR_STATUS_NS)
    line.observe(status, steps_told("late"))
    line.end(status)
    (ended,) = farm.heard(BuildEnded)

    assert early == []
    assert (ended.duration_ns, ended.steps) == (2 * SECOND, BuildSteps(0, 0, 0, 0))


def test_a_solve_that_the_daemon_loses_is_a_lost_build() -> None:
    farm = Farm()
    line = farm.connect()
    build = line.solve("r")
    line.end_call(build, Refused(Reason.UPSTREAM_LOST))

    assert [event.result for event in farm.heard(BuildEnded)] == [BuildResult.LOST]


def test_a_caller_that_is_proven_no_more_is_refused_by_the_next_generation() -> None:
    farm = Farm()
    line = farm.connect()
    line.call(INFO)
    farm.badges.callers = {}
    farm.world.generation = farm.generation(2)
    refused = line.call(INFO)

    assert line.reasons == {refused: Reason.TOKEN_BAD_SIGNATURE}


# --- where a connection leads ---------------------------------------------------------------

OWN = Standing(UpstreamAddress("unix", "/run/own.sock"), 0, "0.12.5")


def test_a_connection_leads_to_the_daemon_of_the_tenant_that_calls() -> None:
    farm = Farm(routes=Routes(OWN, {}))
    line = farm.connect()
    line.call(INFO)

    assert (line.conversation.destination.tenant, line.conversation.destination.upstream) == ("payments", OWN)


def test_another_tenant_with_another_daemon_is_refused_on_the_same_connection() -> None:
    farm = Farm(routes=Routes(OWN, {"rival": ONE_DAEMON.of("rival")}))
    line = farm.connect()
    line.call(INFO)
    refused = line.call(INFO, badge="rival")
    line.call(INFO)

    assert line.reasons == {refused: Reason.OTHER_DAEMON}
    assert [event.caller.tenant for event in farm.heard(CallStarted)] == ["payments", "payments"]
    assert farm.counted.in_use == {"payments": (0, 1, 2), "rival": (0, 1, 0)}


def test_calls_that_no_daemon_hears_of_lead_nowhere() -> None:
    farm = Farm(routes=Routes(OWN, {"rival": ONE_DAEMON.of("rival")}))
    line = farm.connect()
    line.call(CHECK)
    line.call(PRUNE)
    line.call(INFO, badge="rival")

    assert line.conversation.destination.tenant == "rival"
    assert Reason.OTHER_DAEMON not in line.reasons.values()


# --- laws -----------------------------------------------------------------------------------

REFS = st.sampled_from(["a", "b"])
STEPS = st.one_of(
    st.tuples(st.just("solve"), REFS, st.booleans(), st.booleans()),
    st.tuples(st.just("status"), REFS),
    st.tuples(st.just("bridge"), REFS),
    st.tuples(st.just("session"), REFS),
    st.tuples(st.just("open"), st.sampled_from([INFO, SOLVE, STATUS, PRUNE, CHECK, WATCH])),
    st.tuples(st.just("judge"), st.integers(0, 9), st.sampled_from([b"", b"\xff", message("StatusRequest", ref="a")])),
    st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from([Code.OK, Code.CANCELLED])),
    st.tuples(st.just("refuse"), st.integers(0, 9)),
    st.tuples(st.just("tick"), st.sampled_from([1, WAIT_FOR_BUILD_NS, WAIT_FOR_STATUS_NS])),
    st.tuples(
        st.just("drain"),
    ),
    st.tuples(st.just("keys"), st.booleans()),
    st.tuples(
        st.just("hang up"),
    ),
)
STORIES = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["builder", "viewer", "rival", "admin"]), STEPS))


class Story:
    """Plays any story on three connections, as a relay could bring it."""

    def __init__(self) -> None:
        self.farm = Farm(limits=Limits(concurrent_builds=1, streams=4, connections=2, burst=20, calls_per_second=1))
        self.lines = [self.farm.connect() for _ in range(3)]
        self.now_ns = 0
        self.left: list[Line] = []

    def play(self, at: int, badge: str, step: tuple[object, ...]) -> None:
        line = self.lines[at]
        line.now_ns, line.badge = self.now_ns, badge
        try:
            self._call(line, *step)
        except ProtocolFault:
            step = ("hang up",)
        self._own(line, *step)
        self._rest(at, *step)

    def _call(self, line: Line, act: object, *words: object) -> None:
        if act == "solve":
            line.solve(str(words[0]), internal=bool(words[1]), frontend="f" if words[2] else "", session="s")
        elif act == "status":
            line.status(str(words[0]))
        elif act == "bridge":
            line.work(str(words[0]))
        elif act == "session":
            session(line, str(words[0]))
        elif act == "open":
            line.begin(head_of(words[0]))  # type: ignore[arg-type]

    def _own(self, line: Line, act: object, *words: object) -> None:
        streams = list(line.calls)
        if act not in ("judge", "end", "refuse") or not streams:
            return
        stream = streams[int(str(words[0])) % len(streams)]
        if act == "judge" and line.calls[stream].is_read:
            line.message(stream, words[1])  # type: ignore[arg-type]
        elif act == "end":
            line.end(stream, words[1])  # type: ignore[arg-type]
        elif act == "refuse":
            line.end_call(stream, Refused(Reason.DRAIN_DEADLINE))

    def _rest(self, at: int, act: object, *words: object) -> None:
        if act == "tick":
            self.now_ns += int(str(words[0]))
            for line in self.lines:
                line.now_ns = self.now_ns
                line.conversation.tick(self.now_ns)
            self.farm.world.builds.tick(self.now_ns)
        elif act == "drain":
            self.farm.world.is_draining = True
        elif act == "keys":
            self.farm.badges.lacks_keys = bool(words[0])
            self.farm.fetched()
        elif act == "hang up":
            self.left.append(self.lines[at])
            self.lines[at].hang_up()
            self.lines[at] = self.farm.connect()

    def end(self) -> None:
        for line in self.lines:
            line.hang_up()
        self.farm.world.builds.tick(self.now_ns + WAIT_FOR_STATUS_NS)


def played(story: list[tuple[int, str, tuple[object, ...]]]) -> Farm:
    told = Story()
    for at, badge, step in story:
        told.play(at, badge, step)
    told.end()
    return told.farm


@given(STORIES)
def test_whatever_happens_every_permit_is_given_back(story: list[tuple[int, str, tuple[object, ...]]]) -> None:
    farm = played(story)

    assert farm.counted.in_use == {}
    assert len(farm.world.builds) == 0
    assert farm.world.builds._waiting == {}
    assert farm.world.sessions._open == set()
    assert farm.bugs == []


@given(STORIES)
def test_a_call_is_refused_or_started_and_ended_once_and_nothing_is_said_after(
    story: list[tuple[int, str, tuple[object, ...]]],
) -> None:
    said: dict[CallId, list[type]] = {}
    for event in played(story).heard(CallStarted, CallRefused, CallEnded):
        said.setdefault(event.call, []).append(type(event))

    assert all(each in ([CallRefused], [CallStarted, CallEnded]) for each in said.values())


@given(STORIES)
def test_a_build_that_was_told_ends_once_and_no_other_does(story: list[tuple[int, str, tuple[object, ...]]]) -> None:
    said: dict[CallId, list[type]] = {}
    for event in played(story).heard(BuildStarted, BuildEnded):
        said.setdefault(event.call, []).append(type(event))

    assert all(each == [BuildStarted, BuildEnded] for each in said.values())


def test_the_row_of_the_bridge_is_the_one_that_brings_work() -> None:
    assert bridge("Solve") is BRIDGE_SOLVE
