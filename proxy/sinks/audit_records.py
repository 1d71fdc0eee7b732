"""Which events the audit log keeps, and what a record of each says.

Kept: every refusal; start and end of every build; every certificate that was issued;
admitted calls that can change or read something that matters; every change of the rules. A call is written down when it
is admitted, for that is when it was decided, and again when it ends.

Not kept: calls of the bulk methods in CHATTER, admitted and harmless. They belong to a
build that has its own records, or are probes; a build makes dozens of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from proxy import events as said
from proxy.buildkit.methods import BRIDGE, CONTROL, HEALTH, METHODS, TRACE
from proxy.caller import Caller
from proxy.sinks.rpc_labels import CODES

SECOND_NS = 1_000_000_000
# Every text a record carries is cut here: names come from outside.
TEXT_LIMIT = 1024

# A gateway process can run anything, and Solve carries what a build asks for: both are kept.
_KEPT_BRIDGE = frozenset({f"/{BRIDGE}/Solve", f"/{BRIDGE}/NewContainer", f"/{BRIDGE}/ExecProcess"})
CHATTER = frozenset(
    method.path
    for method in METHODS.values()
    if method.path in {f"/{CONTROL}/Info", f"/{CONTROL}/ListWorkers", f"/{CONTROL}/Status"}
    or method.service in {HEALTH, TRACE}
    or (method.service == BRIDGE and method.path not in _KEPT_BRIDGE)
)

Body = dict[str, object]


class AuditRecords:
    """Turns events into records, one at most for each event.

    Remembers where an open call came from and what it has moved so far, for `CallEnded`
    tells only the rest; a call is forgotten when it ends.
    """

    def __init__(self) -> None:
        self._peers: dict[said.CallId, str] = {}
        self._builds: dict[said.CallId, str] = {}
        self._octets: dict[said.CallId, tuple[int, int]] = {}
        self._writers: Mapping[type, Callable[[Any], Body | None]] = {
            said.CallStarted: self._call_started,
            said.CallProgressed: self._call_progressed,
            said.CallEnded: self._call_ended,
            said.CallRefused: self._call_refused,
            said.PolicyShadowed: _policy_shadowed,
            said.BuildStarted: self._build_started,
            said.BuildEnded: self._build_ended,
            said.ApiAnswered: _api_answered,
            said.CertificateIssued: _certificate_issued,
            said.RevocationsTaken: _revocations_taken,
            said.HandshakeEnded: _handshake_ended,
            said.SettingsLoaded: _settings_loaded,
            said.ReloadFailed: _reload_failed,
            said.RevocationListLoaded: _revocation_list_loaded,
            said.CertificateLoaded: _certificate_loaded,
            said.Drained: _drained,
        }

    def keeps(self, event: said.Event) -> bool:
        """Say whether `event` becomes a record or is needed for one; changes nothing."""
        if isinstance(event, said.CallStarted | said.CallEnded):
            return event.method not in CHATTER
        if isinstance(event, said.HandshakeEnded):
            # Elsewhere a bad certificate is refused in gRPC, with a record of its own.
            return event.result is said.HandshakeResult.BAD_CERTIFICATE and bool(event.detail)
        if isinstance(event, said.ApiAnswered):
            # What was granted has a record of its own; the rest is open to everybody.
            return event.reason is not None
        return type(event) in self._writers

    def body(self, event: said.Event) -> Body | None:
        """Return what the log keeps of an event that it `keeps`, or None."""
        return self._writers[type(event)](event)

    def _call_started(self, event: said.CallStarted) -> Body:
        self._peers[event.call] = event.peer
        what: Body = {"method": event.method}
        return _call("call-admitted", event.call, event.caller, event.peer, what) | {"decision": "allow"}

    def _call_progressed(self, event: said.CallProgressed) -> None:
        if event.call in self._peers:
            received, sent = self._octets.get(event.call, (0, 0))
            self._octets[event.call] = received + event.received_octets, sent + event.sent_octets

    def _call_ended(self, event: said.CallEnded) -> Body:
        received, sent = self._octets.pop(event.call, (0, 0))
        peer = self._peers.pop(event.call, "")
        ended = _call("call-ended", event.call, event.caller, peer, {"method": event.method})
        if event.reason is not None:
            ended["reason"] = event.reason.label
        return ended | {
            "code": CODES[event.code],
            "duration_seconds": event.duration_ns / SECOND_NS,
            "received_octets": received + event.received_octets,
            "sent_octets": sent + event.sent_octets,
        }

    def _call_refused(self, event: said.CallRefused) -> Body:
        # A call that was admitted may still be refused for what its message asks.
        self._peers.pop(event.call, None)
        self._octets.pop(event.call, None)
        return _call("call-refused", event.call, event.caller, event.peer, {"method": event.method}) | {
            "decision": "deny",
            "reason": event.reason.label,
            "code": CODES[event.reason.code],
            "detail": _text(event.detail),
        }

    def _build_started(self, event: said.BuildStarted) -> Body:
        peer = self._builds[event.call] = self._peers.get(event.call, "")
        return _call("build-started", event.call, event.caller, peer, _facts(event.facts)) | {"decision": "allow"}

    def _build_ended(self, event: said.BuildEnded) -> Body:
        peer = self._builds.pop(event.call, "")
        ended = _call("build-ended", event.call, event.caller, peer, _facts(event.facts))
        if event.steps is not None:
            ended["steps"] = {"total": event.steps.total, "cached": event.steps.cached}
        return ended | {
            "result": event.result.value,
            "code": CODES[event.code],
            "duration_seconds": event.duration_ns / SECOND_NS,
        }


def _call(event: str, call: said.CallId, caller: Caller | None, peer: str, what: Body) -> Body:
    body: Body = {"event": event, "reference": call.reference, "peer": _text(peer)}
    if caller is not None:
        body["who"] = {"subject": _text(caller.subject), "method": caller.method, "rule": _text(caller.rule)}
        body |= {"tenant": caller.tenant, "role": caller.role.label, "policy": caller.policy}
    return body | {"what": what}


def _policy_shadowed(event: said.PolicyShadowed) -> Body:
    shadowed = _call("policy-shadowed", event.call, event.caller, event.peer, {"method": event.method})
    return shadowed | {"decision": "allow", "would_deny": event.reason.label, "detail": _text(event.detail)}


def _facts(facts: said.BuildFacts) -> Body:
    return {
        "ref": _text(facts.ref),
        "frontend": _text(facts.frontend),
        "exporters": [_text(name) for name in facts.exporters[:32]],
        "entitlements": [_text(name) for name in facts.entitlements[:32]],
        "internal": facts.is_internal,
    }


def _api_answered(event: said.ApiAnswered) -> Body:
    what: Body = {"endpoint": event.endpoint.value}
    refused = _call("api-refused", event.call, event.caller, event.peer, what) | {"decision": "deny"}
    reason = event.reason.label if event.reason else ""
    return refused | {"reason": reason, "status": event.status, "detail": _text(event.detail)}


def _certificate_issued(event: said.CertificateIssued) -> Body:
    what: Body = {"kind": event.kind.value, "serial": event.serial, "authority": event.authority}
    what["not_after_seconds"] = event.not_after_wall_ns // SECOND_NS
    return _call("certificate-issued", event.call, event.caller, event.peer, what) | {"decision": "allow"}


def _revocations_taken(event: said.RevocationsTaken) -> Body:
    told: Body = {"event": "revocations-taken", "revoked": event.revoked, "connections_ended": event.ended}
    return told | {"serials": list(event.serials[:64])}


def _handshake_ended(event: said.HandshakeEnded) -> Body:
    refused: Body = {"event": "handshake-refused", "connection": event.connection, "peer": _text(event.peer)}
    return refused | {"decision": "deny", "reason": event.result.value, "detail": _text(event.detail)}


def _settings_loaded(event: said.SettingsLoaded) -> Body:
    changed = [_text(name) for name in event.changed[:64]]
    return {"event": "settings-loaded", "generation": event.generation, "hash": event.digest, "changed": changed}


def _reload_failed(event: said.ReloadFailed) -> Body:
    return {"event": "reload-failed", "detail": _text(event.detail)}


def _revocation_list_loaded(event: said.RevocationListLoaded) -> Body:
    return {"event": "revocation-list-loaded", "issuer": _text(event.issuer), "entries": event.entries}


def _certificate_loaded(event: said.CertificateLoaded) -> Body:
    return {"event": "certificate-loaded", "role": event.role, "subject": _text(event.subject)}


def _drained(event: said.Drained) -> Body:
    return {"event": "drained", "lost": event.lost}


def _text(value: str) -> str:
    return value if len(value) <= TEXT_LIMIT else value[: TEXT_LIMIT - 3] + "..."
