"""What the log says of each event: level, words and fields.

Fields are facts an operator searches for. Names in them come from outside and may hold
anything: `log` makes them safe to print.
"""

from collections.abc import Callable, Hashable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from proxy import events as said
from proxy.caller import Caller
from proxy.reasons import Blame
from proxy.sinks.rpc_labels import CODES
from proxy.sinks.stamp import SECOND_NS

# A loop that is later than this keeps callers waiting.
LATE_NS = SECOND_NS // 4


class Level(IntEnum):
    """How much a line matters."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class Line(NamedTuple):
    """A line of the log. Lines of one event and key are held back when there are too many."""

    event: str
    fields: Mapping[str, object]
    key: Hashable = None


def level_of(event: said.Event) -> Level:
    """Return how much `event` matters; cheap, for most events go no further."""
    level = WORDS[type(event)][0]
    return level if isinstance(level, Level) else level(event)


def say(event: said.Event) -> Line:
    """Return what the log says of `event`."""
    return WORDS[type(event)][1](event)


def _seconds(duration_ns: int) -> float:
    return round(duration_ns / SECOND_NS, 6)


def _host(peer: str) -> str:
    return peer.rpartition(":")[0] or peer


def _who(caller: Caller | None) -> dict[str, object]:
    if caller is None:
        return {}
    return {"tenant": caller.tenant, "subject": caller.subject, "role": caller.role.label, "rule": caller.rule}


def _call(call: said.CallId, caller: Caller | None, method: str) -> dict[str, object]:
    return {"reference": call.reference, "method": method, **_who(caller)}


def _connection_opened(event: said.ConnectionOpened) -> Line:
    return Line("connection opened", {"connection": event.connection, "peer": event.peer})


def _connection_refused(event: said.ConnectionRefused) -> Line:
    fields = {"peer": event.peer, "reason": event.fault.value}
    return Line("connection refused", fields, (_host(event.peer), event.fault))


def _handshake_ended(event: said.HandshakeEnded) -> Line:
    fields: dict[str, object] = {"connection": event.connection, "peer": event.peer, "result": event.result.value}
    fields |= {"duration_seconds": _seconds(event.duration_ns), "detail": event.detail}
    return Line("handshake ended", fields, (_host(event.peer), event.result))


def _connection_closed(event: said.ConnectionClosed) -> Line:
    fields: dict[str, object] = {"connection": event.connection, "peer": event.peer, "tenant": event.tenant}
    fields |= {"reason": event.fault and event.fault.value, "duration_seconds": _seconds(event.duration_ns)}
    return Line("connection closed", {**fields, "detail": event.detail}, (_host(event.peer), event.fault))


def _call_started(event: said.CallStarted) -> Line:
    return Line("call admitted", {**_call(event.call, event.caller, event.method), "peer": event.peer})


def _call_refused(event: said.CallRefused) -> Line:
    reason = event.reason
    fields = _call(event.call, event.caller, event.method)
    fields |= {"peer": event.peer, "reason": reason.label, "number": reason.number, "detail": event.detail}
    who = (event.caller.tenant, event.caller.subject) if event.caller else _host(event.peer)
    return Line("call refused", fields, (who, reason, event.method))


def _policy_shadowed(event: said.PolicyShadowed) -> Line:
    fields = {**_call(event.call, event.caller, event.method), "peer": event.peer, "reason": event.reason.label}
    return Line("policy would refuse", {**fields, "detail": event.detail}, (event.caller.tenant, event.detail))


def _call_progressed(event: said.CallProgressed) -> Line:
    fields = {"reference": event.call.reference, "tenant": event.tenant}
    octets = {"received_octets": event.received_octets, "sent_octets": event.sent_octets}
    return Line("call progressed", {**fields, **octets})


def _call_ended(event: said.CallEnded) -> Line:
    fields = _call(event.call, event.caller, event.method)
    fields |= {"code": CODES[event.code], "reason": event.reason and event.reason.label}
    fields |= {"duration_seconds": _seconds(event.duration_ns)}
    fields |= {"received_octets": event.received_octets, "sent_octets": event.sent_octets}
    return Line("call ended", fields, (event.caller.tenant, event.reason))


def _build_started(event: said.BuildStarted) -> Line:
    facts = event.facts
    fields: dict[str, object] = {"reference": event.call.reference, "build": facts.ref, **_who(event.caller)}
    asked = {"frontend": facts.frontend, "exporters": ",".join(facts.exporters), "internal": facts.is_internal}
    return Line("build started", {**fields, **asked}, facts.ref)


def _build_ended(event: said.BuildEnded) -> Line:
    fields: dict[str, object] = {"reference": event.call.reference, "build": event.facts.ref, **_who(event.caller)}
    fields |= {"result": event.result.value, "code": CODES[event.code]}
    fields |= {"duration_seconds": _seconds(event.duration_ns)}
    if event.steps is not None:
        fields |= {"steps": event.steps.total, "cached": event.steps.cached}
    return Line("build ended", fields, event.facts.ref)


def _api_answered(event: said.ApiAnswered) -> Line:
    reason = event.reason
    fields: dict[str, object] = {"reference": event.call.reference, "endpoint": event.endpoint.value}
    fields |= {"status": event.status, **_who(event.caller), "peer": event.peer}
    if reason is not None:
        fields |= {"reason": reason.label, "number": reason.number, "detail": event.detail}
    who = (event.caller.tenant, event.caller.subject) if event.caller else _host(event.peer)
    return Line("API request answered", {**fields, "duration_seconds": _seconds(event.duration_ns)}, (who, reason))


def _certificate_issued(event: said.CertificateIssued) -> Line:
    fields: dict[str, object] = {"reference": event.call.reference, **_who(event.caller), "kind": event.kind.value}
    fields |= {"serial": event.serial, "authority": event.authority, "peer": event.peer}
    return Line("certificate issued", {**fields, "not_after_seconds": event.not_after_wall_ns // SECOND_NS})


def _revocations_taken(event: said.RevocationsTaken) -> Line:
    return Line("revocations took effect", {"revoked": event.revoked, "connections_ended": event.ended})


def _certificates_counted(event: said.CertificatesCounted) -> Line:
    return Line("issued certificates counted", {"valid": sum(valid for _, valid in event.valid)})


def _store_changed(event: said.StoreChanged) -> Line:
    return Line("store is up" if event.is_up else "store is down; nothing is issued", {"detail": event.detail})


def _token_keys_fetched(event: said.TokenKeysFetched) -> Line:
    return Line("token keys fetched", {"issuer": event.issuer, "keys": event.keys}, event.issuer)


def _token_keys_failed(event: said.TokenKeysFailed) -> Line:
    return Line("token keys failed", {"issuer": event.issuer, "detail": event.detail}, event.issuer)


def _upstream_changed(event: said.UpstreamChanged) -> Line:
    fields = {"upstream": event.upstream, "version": event.version, "detail": event.detail}
    return Line("build daemon is up" if event.is_up else "build daemon is down", fields)


def _daemon(pool: str, tenant: str) -> dict[str, object]:
    return {"pool": pool, "tenant": tenant or None}


def _daemon_started(event: said.DaemonStarted) -> Line:
    fields = {**_daemon(event.pool, event.tenant), "version": event.version}
    return Line("daemon started", {**fields, "duration_seconds": _seconds(event.ended_wall_ns - event.begun_wall_ns)})


def _daemon_not_started(event: said.DaemonNotStarted) -> Line:
    return Line("daemon did not start", {**_daemon(event.pool, event.tenant), "detail": event.detail})


def _daemon_ended(event: said.DaemonEnded) -> Line:
    fields = {**_daemon(event.pool, event.tenant), "reason": event.end.value}
    return Line("daemon ended", {**fields, "duration_seconds": _seconds(event.lasted_ns), "detail": event.detail})


def _certificate_loaded(event: said.CertificateLoaded) -> Line:
    ends = {"not_after_seconds": event.not_after_wall_ns // SECOND_NS}
    return Line("certificate loaded", {"role": event.role, "subject": event.subject, **ends})


def _revocation_list_loaded(event: said.RevocationListLoaded) -> Line:
    fields = {"issuer": event.issuer, "entries": event.entries}
    next_update = {"next_update_seconds": event.next_update_wall_ns // SECOND_NS}
    return Line("revocation list loaded", {**fields, **next_update})


def _settings_loaded(event: said.SettingsLoaded) -> Line:
    fields: dict[str, object] = {"generation": event.generation, "hash": event.digest, "tenants": len(event.tenants)}
    return Line("settings loaded", {**fields, "changed": ", ".join(event.changed)})


def _reload_failed(event: said.ReloadFailed) -> Line:
    return Line("reload failed; the old settings stay", {"detail": event.detail})


def _loop_lagged(event: said.LoopLagged) -> Line:
    return Line("event loop was late", {"lag_seconds": _seconds(event.lag_ns)})


def _audit_failed(event: said.AuditFailed) -> Line:
    return Line("audit log cannot be written", {"detail": event.detail})


def _audit_sealed(event: said.AuditSealed) -> Line:
    return Line("audit log sealed", {"records": event.records, "head": event.head}, event.head)


def _sink_failed(event: said.SinkFailed) -> Line:
    return Line("sink failed", {"sink": event.sink, "detail": event.detail}, event.sink)


def _warned(event: said.Warned) -> Line:
    return Line("warning", {"detail": event.what}, event.what)


def _drained(event: said.Drained) -> Line:
    fields = {"duration_seconds": _seconds(event.duration_ns), "lost": event.lost}
    return Line("drained", fields)


def _handshake_level(event: said.HandshakeEnded) -> Level:
    return Level.DEBUG if event.result is said.HandshakeResult.OK else Level.INFO


def _closed_level(event: said.ConnectionClosed) -> Level:
    return Level.INFO if event.fault else Level.DEBUG


def _refused_level(event: said.CallRefused) -> Level:
    return Level.INFO if event.reason.blame is Blame.CALLER else Level.WARNING


def _answered_level(event: said.ApiAnswered) -> Level:
    if event.reason is None:
        return Level.DEBUG
    return Level.INFO if event.reason.blame is Blame.CALLER else Level.WARNING


def _store_level(event: said.StoreChanged) -> Level:
    return Level.INFO if event.is_up else Level.ERROR


def _ended_level(event: said.CallEnded) -> Level:
    return Level.DEBUG if event.reason is None else Level.INFO


def _upstream_level(event: said.UpstreamChanged) -> Level:
    return Level.INFO if event.is_up else Level.ERROR


def _daemon_ended_level(event: said.DaemonEnded) -> Level:
    return Level.ERROR if event.end is said.DaemonEnd.CRASHED else Level.INFO


def _lag_level(event: said.LoopLagged) -> Level:
    return Level.WARNING if event.lag_ns >= LATE_NS else Level.DEBUG


def _drained_level(event: said.Drained) -> Level:
    return Level.WARNING if event.lost else Level.INFO


WORDS: dict[type, tuple[Level | Callable[[Any], Level], Callable[[Any], Line]]] = {
    said.ConnectionOpened: (Level.DEBUG, _connection_opened),
    said.ConnectionRefused: (Level.WARNING, _connection_refused),
    said.HandshakeEnded: (_handshake_level, _handshake_ended),
    said.ConnectionClosed: (_closed_level, _connection_closed),
    said.CallStarted: (Level.DEBUG, _call_started),
    said.CallRefused: (_refused_level, _call_refused),
    said.PolicyShadowed: (Level.INFO, _policy_shadowed),
    said.CallProgressed: (Level.DEBUG, _call_progressed),
    said.CallEnded: (_ended_level, _call_ended),
    said.BuildStarted: (Level.INFO, _build_started),
    said.BuildEnded: (Level.INFO, _build_ended),
    said.ApiAnswered: (_answered_level, _api_answered),
    said.CertificateIssued: (Level.INFO, _certificate_issued),
    said.RevocationsTaken: (Level.INFO, _revocations_taken),
    said.CertificatesCounted: (Level.DEBUG, _certificates_counted),
    said.StoreChanged: (_store_level, _store_changed),
    said.TokenKeysFetched: (Level.INFO, _token_keys_fetched),
    said.TokenKeysFailed: (Level.WARNING, _token_keys_failed),
    said.UpstreamChanged: (_upstream_level, _upstream_changed),
    said.DaemonStarted: (Level.INFO, _daemon_started),
    said.DaemonNotStarted: (Level.ERROR, _daemon_not_started),
    said.DaemonEnded: (_daemon_ended_level, _daemon_ended),
    said.CertificateLoaded: (Level.INFO, _certificate_loaded),
    said.RevocationListLoaded: (Level.INFO, _revocation_list_loaded),
    said.SettingsLoaded: (Level.INFO, _settings_loaded),
    said.ReloadFailed: (Level.ERROR, _reload_failed),
    said.LoopLagged: (_lag_level, _loop_lagged),
    said.AuditFailed: (Level.ERROR, _audit_failed),
    said.AuditSealed: (Level.INFO, _audit_sealed),
    said.SinkFailed: (Level.ERROR, _sink_failed),
    said.Warned: (Level.WARNING, _warned),
    said.Drained: (_drained_level, _drained),
}
