"""One event of each kind, for tests of sinks: `every_event` covers the whole union."""

from typing import get_args

from proxy import events as said
from proxy.caller import Caller, Kind, Role
from proxy.events import BuildResult, CallId, ConnectionFault, Endpoint, Event, HandshakeResult
from proxy.reasons import Code, Reason

SOLVE = "/moby.buildkit.v1.Control/Solve"
INFO = "/moby.buildkit.v1.Control/Info"
CALL = CallId(26, 3)
PEER = "192.0.2.7:40000"
SECOND_NS = 1_000_000_000


def caller(tenant: str = "payments", subject: str = "alice") -> Caller:
    return Caller(tenant, Role.BUILDER, subject, "mtls", "rule-1")


def facts(ref: str = "ref1", *, is_internal: bool = False) -> said.BuildFacts:
    return said.BuildFacts(ref, is_internal, "dockerfile.v0", ("image",), ("network.host",))


def settings_loaded(*tenants: str, generation: int = 1, issuers: tuple[str, ...] | None = None) -> said.SettingsLoaded:
    return said.SettingsLoaded(generation, f"{generation:064x}", tenants, 5 * SECOND_NS, (), issuers)


def call_started(tenant: str = "payments", method: str = SOLVE, call: CallId = CALL) -> said.CallStarted:
    return said.CallStarted(call, caller(tenant), PEER, method)


def call_ended(
    tenant: str = "payments", method: str = SOLVE, call: CallId = CALL, reason: Reason | None = None
) -> said.CallEnded:
    return said.CallEnded(call, caller(tenant), method, Code.OK, 2 * SECOND_NS, 100, 200, reason)


def call_refused(
    reason: Reason = Reason.RATE_LIMITED, *, by: Caller | None = None, peer: str = PEER, detail: str = ""
) -> said.CallRefused:
    return said.CallRefused(CALL, by, peer, SOLVE, reason, detail)


def policy_shadowed(tenant: str = "payments", rule: str = "exporters") -> said.PolicyShadowed:
    detail = f"policies.default.{rule}.push"
    return said.PolicyShadowed(CALL, caller(tenant), PEER, SOLVE, rule, Reason.POLICY_EXPORTERS, detail)


def build_started(tenant: str = "payments", ref: str = "ref1") -> said.BuildStarted:
    return said.BuildStarted(CALL, caller(tenant), facts(ref))


def build_ended(
    tenant: str = "payments",
    ref: str = "ref1",
    result: BuildResult = BuildResult.SUCCESS,
    steps: said.BuildSteps | None = None,
) -> said.BuildEnded:
    return said.BuildEnded(CALL, caller(tenant), facts(ref), result, Code.OK, 3 * SECOND_NS, steps)


def every_event(text: str = "text") -> list[Event]:
    """Return one event of each kind, with `text` in every field that outsiders can fill."""
    who = Caller("payments", Role.BUILDER, text, "mtls", text)
    what = said.BuildFacts(text, False, text, (text,), (text,))
    return [
        said.ConnectionOpened(1, text),
        said.ConnectionRefused(text, ConnectionFault.TOO_MANY),
        said.HandshakeEnded(1, text, HandshakeResult.BAD_CERTIFICATE, 10_000_000, text),
        said.ConnectionClosed(1, text, "payments", SECOND_NS, ConnectionFault.FLOOD, text),
        said.CallStarted(CALL, who, text, SOLVE),
        said.CallRefused(CALL, who, text, SOLVE, Reason.RATE_LIMITED, text),
        said.PolicyShadowed(CALL, who, text, SOLVE, "exporters", Reason.POLICY_EXPORTERS, text),
        said.CallProgressed(CALL, "payments", 1, 2),
        said.CallEnded(CALL, who, SOLVE, Code.OK, SECOND_NS, 1, 2, Reason.UPSTREAM_LOST),
        said.BuildStarted(CALL, who, what),
        said.BuildEnded(CALL, who, what, BuildResult.ERROR, Code.UNKNOWN, SECOND_NS, said.BuildSteps(4, 1, 3, 0)),
        said.ApiAnswered(CALL, who, text, Endpoint.CERTIFICATES, 401, SECOND_NS, Reason.TOKEN_USED, text),
        said.CertificateIssued(CALL, who, text, Kind.PERSON, "7f", "ab", SECOND_NS),
        said.RevocationsTaken(3, 1, ("7f",)),
        said.CertificatesCounted((("ab", 2),)),
        said.StoreChanged(False, text),
        said.TokenKeysFetched(text, 2, SECOND_NS),
        said.TokenKeysFailed(text, text),
        said.UpstreamChanged(text, False, text, text),
        said.DaemonStarted("own", "payments", SECOND_NS, 3 * SECOND_NS, text),
        said.DaemonNotStarted("own", "payments", text),
        said.DaemonEnded("own", "", said.DaemonEnd.CRASHED, SECOND_NS, text),
        said.CertificateLoaded("ca", text, SECOND_NS),
        said.RevocationListLoaded(text, SECOND_NS, 3),
        settings_loaded("payments", "platform"),
        said.ReloadFailed(text),
        said.LoopLagged(SECOND_NS),
        said.AuditFailed(text),
        said.AuditSealed(7, "ab" * 32),
        said.SinkFailed("LogSink", text),
        said.Warned(text),
        said.Drained(SECOND_NS, 1),
    ]


KINDS = frozenset(get_args(Event))
