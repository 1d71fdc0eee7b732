"""What each event adds to the numbers.

`CallStarted` and `CallEnded` come with every call: some look-ups and additions. Names from
certificates, issuers and the daemon become labels as one printable line.
"""

from collections.abc import Callable
from typing import Any

from proxy import events as said
from proxy.caller import Kind
from proxy.errors import one_line
from proxy.events import BuildResult, HandshakeResult
from proxy.sinks import metric_table as m
from proxy.sinks.rpc_labels import CODES, METHOD_NAMES, UNKNOWN
from proxy.sinks.tally import Key, Tally

SECOND_NS = 1_000_000_000
PEACE = "closed"
# Timed out and never begun handshakes would only show the deadline.
COMPLETED = (HandshakeResult.OK, HandshakeResult.NO_CERTIFICATE, HandshakeResult.BAD_CERTIFICATE)


class Counting:
    """Adds events to a tally. `actions` has one entry for each kind of event."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self.actions: dict[type, Callable[[Any], None]] = {
            said.ConnectionOpened: self._connection_opened,
            said.ConnectionRefused: self._connection_refused,
            said.HandshakeEnded: self._handshake_ended,
            said.ConnectionClosed: self._connection_closed,
            said.CallStarted: self._call_started,
            said.CallRefused: self._call_refused,
            said.PolicyShadowed: self._policy_shadowed,
            said.CallProgressed: self._call_progressed,
            said.CallEnded: self._call_ended,
            said.BuildStarted: self._build_started,
            said.BuildEnded: self._build_ended,
            said.ApiAnswered: self._api_answered,
            said.CertificateIssued: self._certificate_issued,
            said.RevocationsTaken: self._revocations_taken,
            said.CertificatesCounted: self._certificates_counted,
            said.StoreChanged: self._store_changed,
            said.TokenKeysFetched: self._keys_fetched,
            said.TokenKeysFailed: self._keys_failed,
            said.UpstreamChanged: self._upstream_changed,
            said.DaemonStarted: self._daemon_started,
            said.DaemonNotStarted: self._daemon_not_started,
            said.DaemonEnded: self._daemon_ended,
            said.CertificateLoaded: self._certificate_loaded,
            said.RevocationListLoaded: self._revocation_list_loaded,
            said.SettingsLoaded: self._settings_loaded,
            said.ReloadFailed: self._reload_failed,
            said.LoopLagged: self._loop_lagged,
            said.AuditFailed: self._audit_failed,
            said.AuditSealed: self._audit_sealed,
            said.SinkFailed: self._sink_failed,
            said.Warned: self._warned,
            said.Drained: self._drained,
        }
        self._loaded: dict[Key, float] = {}
        self._begin()

    def _begin(self) -> None:
        """Show what may be counted before it happens: `rate()` cannot see a first step from nothing."""
        for name in (
            m.CONNECTIONS_OPEN,
            m.AUDIT_ERRORS,
            m.WARNINGS,
            m.AUDIT_RECORDS,
            m.TENANTS_FOLDED,
            m.CERTIFICATES_REVOKED,
        ):
            self._tally.values[(name,)] = 0
        for method in METHOD_NAMES:
            self._tally.values[m.STARTED, method] = 0
        for result in HandshakeResult:
            self._tally.values[(m.HANDSHAKES, result.value)] = 0
        for outcome in ("success", "failure"):
            self._tally.values[(m.RELOADS, outcome)] = 0
        for metric in (m.HANDSHAKE_DURATION, m.LOOP_LAG):
            self._tally.begin((metric,))

    # -- each call

    def _call_started(self, event: said.CallStarted) -> None:
        tally = self._tally
        tally.values[m.STARTED, METHOD_NAMES.get(event.method, UNKNOWN)] += 1
        tally.open[m.STREAMS_OPEN, event.caller.tenant] += 1

    def _call_ended(self, event: said.CallEnded) -> None:
        tally, tenant = self._tally, event.caller.tenant
        method = METHOD_NAMES.get(event.method, UNKNOWN)
        tally.values[m.HANDLED, method, CODES[event.code]] += 1
        tally.observe((m.HANDLING, method), event.duration_ns)
        tally.close(m.STREAMS_OPEN, tenant)
        self._passed(tenant, event.received_octets, event.sent_octets)
        if event.reason is not None:
            tally.values[m.CUT, tally.label(tenant), event.reason.label] += 1

    def _call_progressed(self, event: said.CallProgressed) -> None:
        self._passed(event.tenant, event.received_octets, event.sent_octets)

    def _passed(self, tenant: str, received_octets: int, sent_octets: int) -> None:
        label, values = self._tally.label(tenant), self._tally.values
        values[m.TRANSFER, label, "received"] += received_octets
        values[m.TRANSFER, label, "sent"] += sent_octets

    def _call_refused(self, event: said.CallRefused) -> None:
        values = self._tally.values
        tenant = event.caller.tenant if event.caller else None
        method = METHOD_NAMES.get(event.method, UNKNOWN)
        values[m.STARTED, method] += 1
        values[m.HANDLED, method, CODES[event.reason.code]] += 1
        values[m.DENIED, self._tally.label(tenant), event.reason.label] += 1

    def _policy_shadowed(self, event: said.PolicyShadowed) -> None:
        self._tally.values[m.POLICY_SHADOWED, self._tally.label(event.caller.tenant), event.rule] += 1

    # -- builds

    def _build_started(self, event: said.BuildStarted) -> None:
        self._tally.open[m.BUILDS_IN_FLIGHT, event.caller.tenant] += 1

    def _build_ended(self, event: said.BuildEnded) -> None:
        tally, tenant = self._tally, self._tally.label(event.caller.tenant)
        tally.close(m.BUILDS_IN_FLIGHT, event.caller.tenant)
        tally.values[m.BUILDS, tenant, event.result.value] += 1
        tally.observe((m.BUILD_DURATION, tenant), event.duration_ns)
        if event.steps is not None:
            for kind in ("total", "cached", "completed", "warnings"):
                tally.values[m.BUILD_STEPS, tenant, kind] += getattr(event.steps, kind)

    # -- connections

    def _connection_opened(self, _: said.ConnectionOpened) -> None:
        self._tally.values[(m.CONNECTIONS_OPEN,)] += 1

    def _connection_refused(self, event: said.ConnectionRefused) -> None:
        self._tally.values[m.CONNECTIONS_REFUSED, event.fault.value] += 1

    def _connection_closed(self, event: said.ConnectionClosed) -> None:
        self._tally.values[(m.CONNECTIONS_OPEN,)] -= 1
        self._tally.values[m.CONNECTIONS_CLOSED, event.fault.value if event.fault else PEACE] += 1

    def _handshake_ended(self, event: said.HandshakeEnded) -> None:
        self._tally.values[m.HANDSHAKES, event.result.value] += 1
        if event.result in COMPLETED:
            self._tally.observe((m.HANDSHAKE_DURATION,), event.duration_ns)

    # -- the HTTPS API

    def _api_answered(self, event: said.ApiAnswered) -> None:
        values = self._tally.values
        values[m.API_REQUESTS, event.endpoint.value, str(event.status)] += 1
        if event.reason is not None:
            tenant = event.caller.tenant if event.caller else None
            values[m.DENIED, self._tally.label(tenant), event.reason.label] += 1

    def _certificate_issued(self, event: said.CertificateIssued) -> None:
        self._tally.values[m.CERTIFICATES_ISSUED, self._tally.label(event.caller.tenant), event.kind.value] += 1

    def _revocations_taken(self, event: said.RevocationsTaken) -> None:
        self._tally.values[(m.CERTIFICATES_REVOKED,)] = event.revoked

    def _certificates_counted(self, event: said.CertificatesCounted) -> None:
        kept: dict[Key, float] = {(m.CERTIFICATES_VALID, authority): valid for authority, valid in event.valid}
        self._tally.keep((m.CERTIFICATES_VALID,), kept)
        self._tally.values.update(kept)

    def _store_changed(self, event: said.StoreChanged) -> None:
        self._tally.values[(m.STORE_UP,)] = int(event.is_up)

    # -- trust

    def _keys_fetched(self, event: said.TokenKeysFetched) -> None:
        issuer = one_line(event.issuer)
        self._tally.values[m.KEYS_FETCHED_AT, issuer] = event.at_wall_ns / SECOND_NS
        self._tally.values[m.KEYS_FAILURES, issuer] += 0

    def _keys_failed(self, event: said.TokenKeysFailed) -> None:
        self._tally.values[m.KEYS_FAILURES, one_line(event.issuer)] += 1

    def _certificate_loaded(self, event: said.CertificateLoaded) -> None:
        key = (m.CERTIFICATE_END, event.role, one_line(event.subject))
        ends_at = event.not_after_wall_ns / SECOND_NS
        # Of two with one name (an authority that is being replaced) the sooner one counts: it is the one to renew.
        self._load(key, min(ends_at, self._loaded.get(key, ends_at)))

    def _revocation_list_loaded(self, event: said.RevocationListLoaded) -> None:
        self._load((m.CRL_NEXT_UPDATE, one_line(event.issuer)), event.next_update_wall_ns / SECOND_NS)

    def _load(self, key: Key, at: float) -> None:
        """Show it now, and remember it as part of the generation that is about to take effect."""
        self._tally.values[key] = self._loaded[key] = at

    # -- settings

    def _settings_loaded(self, event: said.SettingsLoaded) -> None:
        tally = self._tally
        tally.set_tenants(event.tenants)
        for tenant in {tally.label(tenant) for tenant in event.tenants}:
            for result in BuildResult:
                tally.values[m.BUILDS, tenant, result.value] += 0
            for kind in ("total", "cached", "completed", "warnings"):
                tally.values[m.BUILD_STEPS, tenant, kind] += 0
            for caller_kind in Kind:
                tally.values[m.CERTIFICATES_ISSUED, tenant, caller_kind.value] += 0
            self._passed(tenant, 0, 0)
        tally.keep((m.CERTIFICATE_END, m.CRL_NEXT_UPDATE), self._loaded)
        self._loaded = {}
        for pool in event.pools:
            self._begin_pool(pool)
        if event.issuers is not None:
            names = (m.KEYS_FETCHED_AT, m.KEYS_FAILURES)
            tally.keep(names, {(name, one_line(issuer)) for name in names for issuer in event.issuers})
        if event.upstreams is not None:
            names = (m.UPSTREAM_UP, m.UPSTREAM_INFO)
            used = {one_line(upstream) for upstream in event.upstreams}
            tally.keep(names, {key for key in tally.values if key[0] in names and key[1] in used})
        tally.keep((m.GENERATION,), ((m.GENERATION, event.digest),))
        tally.values[m.GENERATION, event.digest] = 1
        tally.values[(m.RELOAD_OK,)] = 1
        tally.values[(m.RELOADED_AT,)] = event.at_wall_ns / SECOND_NS
        tally.values[m.RELOADS, "success"] += 1

    def _begin_pool(self, pool: str) -> None:
        self._tally.values[m.DAEMONS_RUNNING, pool] += 0
        for result in ("success", "failure"):
            self._tally.values[m.DAEMON_STARTS, pool, result] += 0
        for end in said.DaemonEnd:
            self._tally.values[m.DAEMON_ENDS, pool, end.value] += 0

    def _reload_failed(self, _: said.ReloadFailed) -> None:
        self._loaded = {}
        self._tally.values[(m.RELOAD_OK,)] = 0
        self._tally.values[m.RELOADS, "failure"] += 1

    # -- the farm and ourselves

    def _upstream_changed(self, event: said.UpstreamChanged) -> None:
        values, upstream = self._tally.values, one_line(event.upstream)
        values[m.UPSTREAM_UP, upstream] = int(event.is_up)
        if event.version:
            for key in [key for key in values if key[:2] == (m.UPSTREAM_INFO, upstream)]:
                del values[key]
            values[m.UPSTREAM_INFO, upstream, one_line(event.version)] = 1

    def _daemon_started(self, event: said.DaemonStarted) -> None:
        self._tally.values[m.DAEMONS_RUNNING, event.pool] += 1
        self._tally.values[m.DAEMON_STARTS, event.pool, "success"] += 1
        self._tally.observe((m.DAEMON_START_DURATION, event.pool), event.ended_wall_ns - event.begun_wall_ns)

    def _daemon_not_started(self, event: said.DaemonNotStarted) -> None:
        self._tally.values[m.DAEMON_STARTS, event.pool, "failure"] += 1

    def _daemon_ended(self, event: said.DaemonEnded) -> None:
        self._tally.values[m.DAEMONS_RUNNING, event.pool] -= 1
        self._tally.values[m.DAEMON_ENDS, event.pool, event.end.value] += 1

    def _loop_lagged(self, event: said.LoopLagged) -> None:
        self._tally.observe((m.LOOP_LAG,), event.lag_ns)
        self._tally.settle()

    def _audit_failed(self, _: said.AuditFailed) -> None:
        self._tally.values[(m.AUDIT_ERRORS,)] += 1

    def _audit_sealed(self, event: said.AuditSealed) -> None:
        self._tally.values[(m.AUDIT_RECORDS,)] = event.records

    def _sink_failed(self, event: said.SinkFailed) -> None:
        self._tally.values[m.SINK_ERRORS, event.sink] += 1

    def _warned(self, _: said.Warned) -> None:
        self._tally.values[(m.WARNINGS,)] += 1

    def _drained(self, _: said.Drained) -> None:
        """Nothing: the process ends with it and is not scraped again."""
