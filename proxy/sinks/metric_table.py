"""Every metric of kilngate: name, kind, labels, and what it teaches.

The one place for names. Labels come from closed sets: tenants and issuers from the
settings, methods from the table of known RPCs, all else from enums. Names of the
`grpc_server_` set are those of go-grpc-middleware, so that stock dashboards work.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from proxy.sinks.histogram import BUILD_BUCKETS, CALL_BUCKETS, LAG_BUCKETS

Kind = Literal["counter", "gauge", "histogram"]
METHOD = ("grpc_type", "grpc_service", "grpc_method")

STARTED = "grpc_server_started_total"
HANDLED = "grpc_server_handled_total"
HANDLING = "grpc_server_handling_seconds"
BUILDS = "kilngate_builds_total"
BUILD_DURATION = "kilngate_build_duration_seconds"
BUILDS_IN_FLIGHT = "kilngate_builds_in_flight"
BUILD_STEPS = "kilngate_build_steps_total"
TRANSFER = "kilngate_transfer_bytes_total"
DENIED = "kilngate_requests_denied_total"
CUT = "kilngate_calls_cut_total"
POLICY_SHADOWED = "kilngate_policy_shadowed_total"
STREAMS_OPEN = "kilngate_streams_open"
HANDSHAKES = "kilngate_tls_handshakes_total"
HANDSHAKE_DURATION = "kilngate_tls_handshake_seconds"
CONNECTIONS_OPEN = "kilngate_connections_open"
CONNECTIONS_REFUSED = "kilngate_connections_refused_total"
CONNECTIONS_CLOSED = "kilngate_connections_closed_total"
API_REQUESTS = "kilngate_api_requests_total"
CERTIFICATES_ISSUED = "kilngate_certificates_issued_total"
CERTIFICATES_VALID = "kilngate_certificates_valid"
CERTIFICATES_REVOKED = "kilngate_certificates_revoked"
STORE_UP = "kilngate_store_up"
KEYS_FETCHED_AT = "kilngate_jwks_last_success_timestamp_seconds"
KEYS_FAILURES = "kilngate_jwks_failures_total"
CRL_NEXT_UPDATE = "kilngate_crl_next_update_timestamp_seconds"
CERTIFICATE_END = "kilngate_tls_certificate_not_after_timestamp_seconds"
RELOAD_OK = "kilngate_config_last_reload_successful"
RELOADED_AT = "kilngate_config_last_reload_success_timestamp_seconds"
RELOADS = "kilngate_config_reloads_total"
GENERATION = "kilngate_config_generation_info"
UPSTREAM_UP = "kilngate_upstream_up"
UPSTREAM_INFO = "kilngate_upstream_info"
DAEMONS_RUNNING = "kilngate_daemons_running"
DAEMON_STARTS = "kilngate_daemon_starts_total"
DAEMON_START_DURATION = "kilngate_daemon_start_seconds"
DAEMON_ENDS = "kilngate_daemon_ends_total"
AUDIT_ERRORS = "kilngate_audit_write_errors_total"
AUDIT_RECORDS = "kilngate_audit_sealed_records"
LOOP_LAG = "kilngate_event_loop_lag_seconds"
WARNINGS = "kilngate_warnings_total"
SINK_ERRORS = "kilngate_sink_errors_total"
TENANTS_FOLDED = "kilngate_metric_tenants_folded"
BUILD_INFO = "kilngate_build_info"


class Metric(NamedTuple):
    """One metric. `buckets` are seconds, for a histogram only."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: Sequence[float] = ()


TABLE = (
    Metric(STARTED, "counter", METHOD, "RPCs begun, refused ones too. An unknown method is 'unknown'."),
    Metric(
        HANDLED,
        "counter",
        (*METHOD, "grpc_code"),
        "RPCs ended, by status code; refused ones too. Started minus handled is what is open.",
    ),
    Metric(
        HANDLING,
        "histogram",
        METHOD,
        "How long admitted RPCs were open. Solve, Status and Session are open as long as their build.",
        CALL_BUCKETS,
    ),
    Metric(
        BUILDS,
        "counter",
        ("tenant", "result"),
        "Real builds ended: success, error (the build's own fault), canceled (by the caller), lost (daemon or farm) or "
        "denied (a limit of the tenant). Buildx's probe before each build is not counted.",
    ),
    Metric(
        BUILD_DURATION,
        "histogram",
        ("tenant",),
        "Wall time of real builds, from the request to its answer, whatever the result.",
        BUILD_BUCKETS,
    ),
    Metric(BUILDS_IN_FLIGHT, "gauge", ("tenant",), "Real builds running now. Compare with limits.concurrent_builds."),
    Metric(
        BUILD_STEPS,
        "counter",
        ("tenant", "kind"),
        "Steps of ended builds as BuildKit counts them: total, cached, completed, and warnings. Kinds overlap: "
        "cached / total is the cache hit ratio.",
    ),
    Metric(
        TRANSFER,
        "counter",
        ("tenant", "direction"),
        "Octets of gRPC messages, received from callers (build contexts) or sent to them (results, logs).",
    ),
    Metric(
        DENIED,
        "counter",
        ("tenant", "reason"),
        "Calls turned away, by reason; the audit log says who. Tenant '_none': nobody was proven.",
    ),
    Metric(
        CUT,
        "counter",
        ("tenant", "reason"),
        "Calls that were admitted and then ended by kilngate, such as upstream-lost or drain-deadline.",
    ),
    Metric(
        POLICY_SHADOWED,
        "counter",
        ("tenant", "rule"),
        "Messages that a rule in shadow would have refused. A build says what it asks for in two of them.",
    ),
    Metric(STREAMS_OPEN, "gauge", ("tenant",), "Admitted calls open now. Compare with limits.streams."),
    Metric(HANDSHAKES, "counter", ("result",), "TLS handshakes ended. A bad certificate is also a denied call."),
    Metric(
        HANDSHAKE_DURATION,
        "histogram",
        (),
        "How long completed TLS handshakes took, the caller's network included.",
        CALL_BUCKETS,
    ),
    Metric(CONNECTIONS_OPEN, "gauge", (), "Callers' connections open now, on the public port."),
    Metric(CONNECTIONS_REFUSED, "counter", ("reason",), "Connections closed before their handshake, by cap or fault."),
    Metric(
        CONNECTIONS_CLOSED,
        "counter",
        ("reason",),
        "Connections ended. 'closed' is in peace; any other reason is kilngate's, against a fault or an attack.",
    ),
    Metric(
        API_REQUESTS,
        "counter",
        ("endpoint", "status"),
        "Requests to the HTTPS API answered, by HTTP status. A path that there is not is 'unknown'.",
    ),
    Metric(
        CERTIFICATES_ISSUED,
        "counter",
        ("tenant", "kind"),
        "Client certificates issued for tokens: ci (a job), person or machine (a service).",
    ),
    Metric(
        CERTIFICATES_VALID,
        "gauge",
        ("authority",),
        "Issued certificates that are good now, by the key id of the authority that signed them. "
        "0 of an old one: it can be taken out of issuer.authorities.",
    ),
    Metric(CERTIFICATES_REVOKED, "gauge", (), "Issued certificates that are revoked now."),
    Metric(STORE_UP, "gauge", (), "1: the store can be used. 0: nothing is issued; revocations are those last known."),
    Metric(
        KEYS_FETCHED_AT,
        "gauge",
        ("issuer",),
        "When the keys of a token issuer were last read (Unix time). Old: tokens are checked with stale keys.",
    ),
    Metric(KEYS_FAILURES, "counter", ("issuer",), "Failed attempts to read the keys of a token issuer."),
    Metric(
        CRL_NEXT_UPDATE,
        "gauge",
        ("issuer",),
        "When a revocation list goes out of date (Unix time). After that crl_policy decides who is let in.",
    ),
    Metric(
        CERTIFICATE_END,
        "gauge",
        ("role", "subject"),
        "When a certificate in use expires (Unix time): our own (server), a trusted authority (ca), or one that issues "
        "for tokens (issuer).",
    ),
    Metric(RELOAD_OK, "gauge", (), "1: the last reading of the settings took effect. 0: it failed, the old ones stay."),
    Metric(RELOADED_AT, "gauge", (), "When settings last took effect (Unix time)."),
    Metric(RELOADS, "counter", ("result",), "Readings of the settings, the first included: success or failure."),
    Metric(GENERATION, "gauge", ("hash",), "The SHA-256 of the settings in force. Replicas should agree."),
    Metric(
        UPSTREAM_UP, "gauge", ("upstream",), "1: the build daemon answers. 0: calls wait, then end as upstream-away."
    ),
    Metric(UPSTREAM_INFO, "gauge", ("upstream", "version"), "The version that the build daemon told."),
    Metric(DAEMONS_RUNNING, "gauge", ("pool",), "Daemons that kilngate runs for a pool and that answer now."),
    Metric(
        DAEMON_STARTS,
        "counter",
        ("pool", "result"),
        "Starts of daemons: success, or failure (its callers were refused as daemon-not-started).",
    ),
    Metric(
        DAEMON_START_DURATION,
        "histogram",
        ("pool",),
        "How long daemons took from their start until they answered; their callers waited as long.",
        CALL_BUCKETS,
    ),
    Metric(
        DAEMON_ENDS,
        "counter",
        ("pool", "reason"),
        "Ends of daemons: idle, stopped (with kilngate) or crashed (their builds were lost).",
    ),
    Metric(
        AUDIT_ERRORS,
        "counter",
        (),
        "Failed attempts to write the audit log. With audit.on_failure refuse, no call is taken until one succeeds.",
    ),
    Metric(AUDIT_RECORDS, "gauge", (), "Records in the audit chain when its head was last noted in the log."),
    Metric(
        LOOP_LAG, "histogram", (), "How late the event loop was at a regular tick: what every call waits.", LAG_BUCKETS
    ),
    Metric(WARNINGS, "counter", (), "Warnings told to the operator; the log says which."),
    Metric(
        SINK_ERRORS, "counter", ("sink",), "Events that a sink failed to take: metrics, audit or log miss something."
    ),
    Metric(
        TENANTS_FOLDED,
        "gauge",
        (),
        "Tenants without series of their own, counted under '_other', because there are more than the cap.",
    ),
    Metric(BUILD_INFO, "gauge", ("version", "python", "openssl"), "What runs here; always 1."),
)
BY_NAME = {metric.name: metric for metric in TABLE}


def metrics_page() -> str:
    """Return docs/metrics.md: what each metric is called and says."""
    head = (
        "<!-- Written by `make docs`; changes here are lost. -->\n\n"
        "# Metrics\n\n"
        "kilngate serves these at `/metrics` on the admin listener, for Prometheus. Names that begin with\n"
        "`grpc_server_` are those of go-grpc-middleware and carry no tenant; ours begin with `kilngate_`.\n"
        "`process_*` and `python_*` come from the Prometheus client library.\n\n"
        "Tenants are those of the settings. Beyond 500 of them the rest share the tenant `_other`; a tenant that\n"
        "was taken out of the settings goes after one more scrape. This page is generated: `make docs`.\n\n"
        "| metric | type | labels | what it says |\n|---|---|---|---|\n"
    )
    return head + "".join(
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {text} |\n"
        for name, kind, labels, text, _ in TABLE
    )
