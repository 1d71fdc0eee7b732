"""What happened: facts in the past tense, said once, read by every sink.

Times are whole nanoseconds of the monotonic clock unless a name says `wall`.
Fields never hold a token, a header value, a build argument or a payload.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from proxy.caller import Caller, Kind
from proxy.reasons import Code, Reason


class CallId(NamedTuple):
    """A call, unique in this process: connection number and HTTP/2 stream id."""

    connection: int
    stream: int

    @property
    def reference(self) -> str:
        """The word printed to the caller, to be found in log and audit."""
        return f"{self.connection:x}-{self.stream}"


class HandshakeResult(Enum):
    """How a TLS handshake ended; the value is the metric label."""

    OK = "ok"
    NO_CERTIFICATE = "no-certificate"
    BAD_CERTIFICATE = "bad-certificate"
    TIMED_OUT = "timed-out"
    NOT_TLS = "not-tls"
    FAILED = "failed"


class ConnectionFault(Enum):
    """Why kilngate closed a connection or did not take it; the value is the metric label."""

    TOO_MANY = "too-many-connections"
    TOO_MANY_FROM_ADDRESS = "too-many-from-address"
    PROXY_HEADER = "proxy-header"
    ALPN = "alpn"
    HANDSHAKE = "handshake"
    NO_PREFACE = "no-preface"
    NOT_HTTP2 = "not-http2"
    FIRST_REQUEST_LATE = "first-request-late"
    PROTOCOL = "protocol"
    FLOW_CONTROL = "flow-control"
    COMPRESSION = "compression"
    FRAME_SIZE = "frame-size"
    FLOOD = "flood"
    REVOKED = "revoked"
    IDLE = "idle"
    SILENT = "silent"
    DRAINED = "drained"
    INTERNAL = "internal"


class Endpoint(Enum):
    """A path of the HTTPS API; the value is the metric label."""

    CERTIFICATES = "certificates"
    CA = "ca"
    CRL = "crl"
    WHOAMI = "whoami"
    LOGIN = "login"
    SETUP = "setup"
    OPENAPI = "openapi"
    UNKNOWN = "unknown"


class BuildResult(Enum):
    """How a build ended; the value is the metric label."""

    SUCCESS = "success"
    ERROR = "error"
    CANCELED = "canceled"
    LOST = "lost"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A caller's TCP connection was taken."""

    connection: int
    peer: str


@dataclass(frozen=True, slots=True)
class ConnectionRefused:
    """A caller's connection was closed before its TLS handshake."""

    peer: str
    fault: ConnectionFault


@dataclass(frozen=True, slots=True)
class HandshakeEnded:
    """A TLS handshake succeeded or failed; `detail` names OpenSSL's own words on failure."""

    connection: int
    peer: str
    result: HandshakeResult
    duration_ns: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """A connection ended; `fault` is None if caller or daemon closed it in peace."""

    connection: int
    peer: str
    tenant: str | None
    duration_ns: int
    fault: ConnectionFault | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call was admitted. `method` is a known full method, such as /moby.buildkit.v1.Control/Solve."""

    call: CallId
    caller: Caller
    peer: str
    method: str


@dataclass(frozen=True, slots=True)
class CallRefused:
    """A call was turned away by kilngate.

    `method` is a known full method or "unknown", never the raw path. `caller` is None
    when nobody was proven.
    """

    call: CallId
    caller: Caller | None
    peer: str
    method: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class PolicyShadowed:
    """A rule in shadow would have refused what an admitted call asks for, with this reason.

    `rule` is one of the rules that there are; `detail` names the setting, as `policies.untrusted.exporters.push`.
    """

    call: CallId
    caller: Caller
    peer: str
    method: str
    rule: str
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class CallProgressed:
    """Octets of gRPC messages passed since the last event of this call (long calls, every few seconds)."""

    call: CallId
    tenant: str
    received_octets: int
    sent_octets: int


@dataclass(frozen=True, slots=True)
class CallEnded:
    """An admitted call ended; octets are those not yet told by `CallProgressed`.

    `received_octets` came from the caller, `sent_octets` went to it. `reason` is set if
    kilngate ended it.
    """

    call: CallId
    caller: Caller
    method: str
    code: Code
    duration_ns: int
    received_octets: int
    sent_octets: int
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """What a Solve request asks for, as far as an audit log may say it."""

    ref: str
    is_internal: bool
    frontend: str
    exporters: tuple[str, ...]
    entitlements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BuildStarted:
    """A real build was handed to the daemon (buildx's own probe is not one)."""

    call: CallId
    caller: Caller
    facts: BuildFacts


@dataclass(frozen=True, slots=True)
class BuildSteps:
    """Steps of a build as BuildKit itself counts them (its history record, fields 15-17 and 19)."""

    total: int
    cached: int
    completed: int
    warnings: int


@dataclass(frozen=True, slots=True)
class BuildEnded:
    """A real build ended. `steps` is None when the caller never opened its Status stream."""

    call: CallId
    caller: Caller
    facts: BuildFacts
    result: BuildResult
    code: Code
    duration_ns: int
    steps: BuildSteps | None


@dataclass(frozen=True, slots=True)
class ApiAnswered:
    """A request to the HTTPS API was answered. `caller` is None when nobody was proven, `reason` when all was well."""

    call: CallId
    caller: Caller | None
    peer: str
    endpoint: Endpoint
    status: int
    duration_ns: int
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CertificateIssued:
    """A client certificate was issued for a token. `serial` and `authority` (its key id) are hexadecimal."""

    call: CallId
    caller: Caller
    peer: str
    kind: Kind
    serial: str
    authority: str
    not_after_wall_ns: int


@dataclass(frozen=True, slots=True)
class RevocationsTaken:
    """Revocations of issued certificates took effect here: `revoked` in all, `ended` connections were live.

    `serials` are those that were not known before, in hexadecimal.
    """

    revoked: int
    ended: int
    serials: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CertificatesCounted:
    """How many issued certificates are good now, of each authority (key id) that is accepted."""

    valid: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class StoreChanged:
    """The store can be used, or cannot any more."""

    is_up: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TokenKeysFetched:
    """Keys of a token issuer were read; times are wall clock."""

    issuer: str
    keys: int
    at_wall_ns: int


@dataclass(frozen=True, slots=True)
class TokenKeysFailed:
    """Keys of a token issuer could not be read; the old ones, if any, stay in use."""

    issuer: str
    detail: str


@dataclass(frozen=True, slots=True)
class UpstreamChanged:
    """The health of the build daemon changed, or was seen for the first time."""

    upstream: str
    is_up: bool
    version: str
    detail: str = ""


class DaemonEnd(Enum):
    """Why a daemon that kilngate runs ended; the value is the metric label."""

    IDLE = "idle"
    STOPPED = "stopped"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    """A daemon that kilngate runs answers; times are wall clock. `tenant` is empty if it is the whole pool's."""

    pool: str
    tenant: str
    begun_wall_ns: int
    ended_wall_ns: int
    version: str = ""


@dataclass(frozen=True, slots=True)
class DaemonNotStarted:
    """A daemon that kilngate runs ended before it answered, or did not answer in time."""

    pool: str
    tenant: str
    detail: str


@dataclass(frozen=True, slots=True)
class DaemonEnded:
    """A daemon that kilngate runs is gone, `lasted_ns` after it had begun to answer."""

    pool: str
    tenant: str
    end: DaemonEnd
    lasted_ns: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CertificateLoaded:
    """A certificate of ours or a trusted CA was loaded. `role` is "server", "ca" or "issuer"."""

    role: str
    subject: str
    not_after_wall_ns: int


@dataclass(frozen=True, slots=True)
class RevocationListLoaded:
    """A CRL was loaded."""

    issuer: str
    next_update_wall_ns: int
    entries: int


@dataclass(frozen=True, slots=True)
class SettingsLoaded:
    """A generation of settings took effect; `digest` is the SHA-256 of the file.

    Certificates and revocation lists of a generation are told before it. `issuers` are
    the token issuers it trusts, `upstreams` the daemons of others that it uses; None if
    they are as before. `pools` have daemons that kilngate runs.
    """

    generation: int
    digest: str
    tenants: tuple[str, ...]
    at_wall_ns: int
    changed: tuple[str, ...] = ()
    issuers: tuple[str, ...] | None = None
    upstreams: tuple[str, ...] | None = None
    pools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReloadFailed:
    """A reload found errors; the old generation stays."""

    detail: str


@dataclass(frozen=True, slots=True)
class LoopLagged:
    """The event loop was late by `lag_ns` at a regular tick."""

    lag_ns: int


@dataclass(frozen=True, slots=True)
class AuditFailed:
    """The audit log could not be written."""

    detail: str


@dataclass(frozen=True, slots=True)
class AuditSealed:
    """The audit log ends at record `records` with this hash; noted elsewhere it proves all before it."""

    records: int
    head: str


@dataclass(frozen=True, slots=True)
class SinkFailed:
    """A sink raised on an event; `detail` names types only."""

    sink: str
    detail: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something an operator should look at, such as a world-writable socket."""

    what: str


@dataclass(frozen=True, slots=True)
class Drained:
    """The process stopped serving; `lost` builds were ended by the drain deadline."""

    duration_ns: int
    lost: int


Event = (
    ConnectionOpened
    | ConnectionRefused
    | HandshakeEnded
    | ConnectionClosed
    | CallStarted
    | CallRefused
    | PolicyShadowed
    | CallProgressed
    | CallEnded
    | BuildStarted
    | BuildEnded
    | ApiAnswered
    | CertificateIssued
    | RevocationsTaken
    | CertificatesCounted
    | StoreChanged
    | TokenKeysFetched
    | TokenKeysFailed
    | UpstreamChanged
    | DaemonStarted
    | DaemonNotStarted
    | DaemonEnded
    | CertificateLoaded
    | RevocationListLoaded
    | SettingsLoaded
    | ReloadFailed
    | LoopLagged
    | AuditFailed
    | AuditSealed
    | SinkFailed
    | Warned
    | Drained
)
