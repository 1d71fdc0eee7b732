import json

import pytest

from proxy import events as said
from proxy.buildkit.methods import METHODS
from proxy.caller import Kind
from proxy.events import CallId, Endpoint, HandshakeResult
from proxy.reasons import Reason
from proxy.sinks.audit_records import CHATTER, TEXT_LIMIT, AuditRecords
from proxy.units import SECOND_NS
from tests.helpers import told

SILENT = {
    said.ConnectionOpened,
    said.ConnectionRefused,
    said.ConnectionClosed,
    said.CertificatesCounted,
    said.StoreChanged,
    said.TokenKeysFetched,
    said.TokenKeysFailed,
    said.UpstreamChanged,
    said.DaemonStarted,
    said.DaemonNotStarted,
    said.DaemonEnded,
    said.LoopLagged,
    said.AuditFailed,
    said.AuditSealed,
    said.SinkFailed,
    said.Warned,
}


def test_a_refusal_says_who_from_where_what_and_why() -> None:
    refused = told.call_refused(by=told.caller(), detail="100 calls a second")

    assert AuditRecords().body(refused) == {
        "event": "call-refused",
        "reference": "1a-3",
        "peer": told.PEER,
        "who": {"subject": "alice", "method": "mtls", "rule": "rule-1"},
        "tenant": "payments",
        "role": "builder",
        "policy": "default",
        "what": {"method": told.SOLVE},
        "decision": "deny",
        "reason": "rate-limited",
        "code": "ResourceExhausted",
        "detail": "100 calls a second",
    }


def test_a_refusal_of_nobody_names_nobody() -> None:
    body = AuditRecords().body(told.call_refused(Reason.NO_CREDENTIALS))

    assert body is not None
    assert not {"who", "tenant", "role", "policy"} & body.keys()


def test_what_a_rule_in_shadow_would_have_refused_is_recorded_as_let_through() -> None:
    body = AuditRecords().body(told.policy_shadowed())

    assert body is not None
    assert (body["event"], body["decision"], body["policy"]) == ("policy-shadowed", "allow", "default")
    assert (body["would_deny"], body["detail"]) == ("policy-exporters", "policies.default.exporters.push")
    assert body["peer"] == told.PEER


def test_a_certificate_is_recorded_with_its_serial_and_who_got_it() -> None:
    issued = said.CertificateIssued(told.CALL, told.caller(), told.PEER, Kind.CI, "7f", "ab", 5 * SECOND_NS)

    assert AuditRecords().body(issued) == {
        "event": "certificate-issued",
        "reference": "1a-3",
        "peer": told.PEER,
        "who": {"subject": "alice", "method": "mtls", "rule": "rule-1"},
        "tenant": "payments",
        "role": "builder",
        "policy": "default",
        "what": {"kind": "ci", "serial": "7f", "authority": "ab", "not_after_seconds": 5},
        "decision": "allow",
    }


def test_of_the_https_api_only_refusals_are_kept() -> None:
    records = AuditRecords()
    good = said.ApiAnswered(told.CALL, None, told.PEER, Endpoint.LOGIN, 200, 1)
    bad = said.ApiAnswered(told.CALL, None, told.PEER, Endpoint.CERTIFICATES, 401, 1, Reason.NO_CREDENTIALS, "none")

    assert not records.keeps(good)
    assert records.keeps(bad)
    assert records.body(bad) == {
        "event": "api-refused",
        "reference": "1a-3",
        "peer": told.PEER,
        "what": {"endpoint": "certificates"},
        "decision": "deny",
        "reason": "no-credentials",
        "status": 401,
        "detail": "none",
    }


def test_a_build_is_recorded_when_it_starts_and_when_it_ends_with_its_peer() -> None:
    records = AuditRecords()
    records.body(told.call_started())
    started = records.body(told.build_started())
    ended = records.body(told.build_ended(steps=said.BuildSteps(9, 2, 7, 0)))

    what = {
        "ref": "ref1",
        "frontend": "dockerfile.v0",
        "exporters": ["image"],
        "entitlements": ["network.host"],
        "internal": False,
    }
    assert started is not None
    assert ended is not None
    assert (started["event"], started["what"], started["decision"]) == ("build-started", what, "allow")
    assert (ended["result"], ended["duration_seconds"], ended["steps"]) == ("success", 3.0, {"total": 9, "cached": 2})
    assert started["peer"] == ended["peer"] == told.PEER


def test_the_end_of_a_call_tells_all_its_octets() -> None:
    records = AuditRecords()
    records.body(told.call_started())
    records.body(said.CallProgressed(told.CALL, "payments", 1000, 1))
    records.body(said.CallProgressed(told.CALL, "payments", 1000, 1))
    ended = records.body(told.call_ended(reason=Reason.DRAIN_DEADLINE))

    assert ended is not None
    assert (ended["received_octets"], ended["sent_octets"]) == (2100, 202)
    assert ended["reason"] == "drain-deadline"
    assert ended["peer"] == told.PEER


def test_a_call_that_ended_is_forgotten() -> None:
    records = AuditRecords()
    for number in range(3):
        call = CallId(1, number)
        records.body(told.call_started(call=call))
        records.body(said.CallProgressed(call, "payments", 5, 5))
        records.body(told.call_ended(call=call))
    again = records.body(told.call_ended(call=CallId(1, 0)))

    assert again is not None
    assert (again["peer"], again["received_octets"]) == ("", 100)


def test_octets_of_calls_that_are_not_kept_are_not_remembered() -> None:
    records = AuditRecords()
    records.body(said.CallProgressed(told.CALL, "payments", 5, 5))
    ended = records.body(told.call_ended())

    assert ended is not None
    assert ended["received_octets"] == 100


def test_what_a_build_makes_dozens_of_is_not_kept_and_what_can_do_harm_is() -> None:
    kept = {method.path for method in METHODS.values()} - CHATTER

    assert told.INFO in CHATTER
    assert "/moby.buildkit.v1.frontend.LLBBridge/ReadFile" in CHATTER
    assert "/grpc.health.v1.Health/Check" in CHATTER
    for path in (
        "Control/Solve",
        "Control/Session",
        "Control/Prune",
        "Control/DiskUsage",
        "frontend.LLBBridge/ExecProcess",
    ):
        assert f"/moby.buildkit.v1.{path}" in kept
    assert all(f"/containerd.services.content.v1.Content/{name}" in kept for name in ("Read", "Info", "List"))


def test_a_method_nobody_thought_of_is_kept() -> None:
    assert AuditRecords().keeps(told.call_started(method="/new.Service/Method"))
    assert not AuditRecords().keeps(told.call_started(method=told.INFO))
    assert not AuditRecords().keeps(told.call_ended(method=told.INFO))


def test_a_refusal_is_kept_for_every_method() -> None:
    refused = said.CallRefused(told.CALL, None, told.PEER, told.INFO, Reason.NO_CREDENTIALS, "")

    assert AuditRecords().keeps(refused)


def test_a_handshake_is_kept_only_where_it_is_itself_the_refusal() -> None:
    records = AuditRecords()

    assert records.keeps(said.HandshakeEnded(1, told.PEER, HandshakeResult.BAD_CERTIFICATE, 1, "expired"))
    assert not records.keeps(said.HandshakeEnded(1, told.PEER, HandshakeResult.BAD_CERTIFICATE, 1))
    assert not records.keeps(said.HandshakeEnded(1, told.PEER, HandshakeResult.NOT_TLS, 1, "http"))


@pytest.mark.parametrize("event", told.every_event("x" * 5000), ids=lambda event: type(event).__name__)
def test_every_kind_of_event_has_a_record_or_is_known_to_have_none(event: said.Event) -> None:
    records = AuditRecords()

    assert records.keeps(event) is (type(event) not in SILENT)
    if records.keeps(event) and not isinstance(event, said.CallProgressed):
        text = json.dumps(records.body(event))
        assert "x" * (TEXT_LIMIT + 1) not in text
