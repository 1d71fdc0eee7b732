"""Every refusal kilngate can speak, one row each.

A row gives the gRPC status code, the label that metrics and the audit log use,
who can mend it, the number that the public text begins with, and the sentence
itself. Fields in braces are filled from `errors.Refused`. Nothing else in the
project writes a gRPC status code. Rows that the HTTPS API speaks have an HTTP
status too; most follow from the code.

Codes are chosen by what stock `docker buildx` shows (measured): UNAVAILABLE on
the first call is retried silently for 20 s, so only a restart in progress uses
it; RESOURCE_EXHAUSTED makes buildx exit with 102, so CI can retry on limits.

Source: google/rpc/code.proto for the codes and their HTTP statuses, RFC 9110 section 15.5.
"""

from enum import Enum, IntEnum


class Code(IntEnum):
    """gRPC status codes (google/rpc/code.proto)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


# Of the statuses that gRPC's own gateways give for a code, those that a row of ours has; a row may say another.
_HTTP = {
    Code.INVALID_ARGUMENT: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.ABORTED: 503,
    Code.UNAVAILABLE: 503,
}


class Blame(Enum):
    """Who can mend it: the one who calls, the one who runs the farm, or we."""

    CALLER = "caller"
    OPERATOR = "operator"
    OURSELVES = "ourselves"


class Reason(Enum):
    """Why a call was refused or ended by kilngate."""

    # 1xx: who calls
    NO_CREDENTIALS = (
        101,
        "no-credentials",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "no client certificate and no token was shown. Give your builder a certificate: "
        "docker buildx create --driver remote --driver-opt cacert=...,cert=...,key=...",
    )
    CERTIFICATE_EXPIRED = (
        102,
        "certificate-expired",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the certificate of {subject} expired {ago} ago. Ask whoever runs this farm for a new one",
    )
    CERTIFICATE_NOT_YET_VALID = (
        103,
        "certificate-not-yet-valid",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the certificate of {subject} is valid only in {until}. Check the clock of the machine that issued it",
    )
    CERTIFICATE_UNKNOWN_CA = (
        104,
        "certificate-unknown-ca",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the certificate of {subject} was issued by an authority that this farm does not trust",
    )
    CERTIFICATE_WRONG_PURPOSE = (
        105,
        "certificate-wrong-purpose",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the certificate of {subject} is not a client certificate: its extended key usage must contain clientAuth",
    )
    CERTIFICATE_REVOKED = (
        106,
        "certificate-revoked",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the certificate of {subject} was revoked. Ask whoever runs this farm for a new one",
    )
    CERTIFICATE_INVALID = (
        107,
        "certificate-invalid",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the certificate of {subject} cannot be accepted: {why}",
    )
    CERTIFICATE_DENIED = (
        108,
        "certificate-denied",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the certificate of {subject} is on this farm's deny list. Ask whoever runs this farm",
    )
    REVOCATION_UNKNOWN = (
        109,
        "revocation-unknown",
        Code.UNAUTHENTICATED,
        Blame.OPERATOR,
        "this farm cannot tell whether the certificate of {subject} was revoked: "
        "its revocation list is out of date. Tell whoever runs this farm",
    )
    NO_RULE_MATCHED = (
        110,
        "no-rule-matched",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "{subject} is known but belongs to no tenant of this farm. Ask whoever runs this farm for a mapping rule",
    )
    AMBIGUOUS_IDENTITY = (
        111,
        "ambiguous-identity",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the credentials shown name more than one identity: {why}",
    )
    TOKEN_MALFORMED = (
        120,
        "token-malformed",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the token cannot be read: {why}",
    )
    TOKEN_EXPIRED = (
        121,
        "token-expired",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the token expired {ago} ago. Ask your issuer for a fresh one",
    )
    TOKEN_NOT_YET_VALID = (
        122,
        "token-not-yet-valid",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the token is valid only in {until}. Check the clocks of the issuer and of this farm",
    )
    TOKEN_WRONG_AUDIENCE = (
        123,
        "token-wrong-audience",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the token is meant for another audience. Ask your issuer for audience {expected}",
    )
    TOKEN_UNKNOWN_ISSUER = (
        124,
        "token-unknown-issuer",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the token comes from an issuer that this farm does not trust",
    )
    TOKEN_UNKNOWN_KEY = (
        125,
        "token-unknown-key",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the token is signed by a key that its issuer does not publish",
    )
    TOKEN_BAD_SIGNATURE = (
        126,
        "token-bad-signature",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the signature of the token is wrong",
    )
    TOKEN_CLAIMS = (
        127,
        "token-claims",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "the token cannot be accepted: {why}",
    )
    KEYS_UNAVAILABLE = (
        129,
        "keys-unavailable",
        Code.ABORTED,
        Blame.OPERATOR,
        "this farm cannot fetch the keys of your token's issuer right now. Try again in a minute",
    )

    # 2xx: what a caller may do
    METHOD_UNKNOWN = (
        201,
        "method-unknown",
        Code.UNIMPLEMENTED,
        Blame.CALLER,
        "this farm does not offer that method",
    )
    ROLE_MISSING = (
        202,
        "role-missing",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "{method} needs the role {needed}; you call tenant {tenant} as {role}",
    )
    FOREIGN_REF = (
        203,
        "foreign-ref",
        Code.NOT_FOUND,
        Blame.CALLER,
        "no such build in tenant {tenant}",
    )
    SESSION_LIVE = (
        205,
        "session-live",
        Code.ALREADY_EXISTS,
        Blame.CALLER,
        "a session with this id is open already",
    )
    REF_LIVE = (
        206,
        "ref-live",
        Code.ALREADY_EXISTS,
        Blame.CALLER,
        "a build with this ref runs already in tenant {tenant}",
    )
    OTHER_DAEMON = (
        207,
        "other-daemon",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "this connection leads to a build daemon that tenant {tenant} does not use. "
        "Open a connection of its own for each tenant",
    )

    # 3xx: how much a caller may do
    RATE_LIMITED = (
        301,
        "rate-limited",
        Code.RESOURCE_EXHAUSTED,
        Blame.CALLER,
        "tenant {tenant} made more than {limit} calls a second. Retry in {wait} (limit calls_per_second)",
    )
    BUILDS_LIMIT = (
        302,
        "builds-limit",
        Code.RESOURCE_EXHAUSTED,
        Blame.CALLER,
        "tenant {tenant} runs {value} of {limit} builds. Retry when one of them has ended (limit concurrent_builds)",
    )
    CONNECTIONS_LIMIT = (
        303,
        "connections-limit",
        Code.RESOURCE_EXHAUSTED,
        Blame.CALLER,
        "tenant {tenant} has {value} of {limit} connections open. "
        "Retry when one of them has closed (limit connections)",
    )
    STREAMS_LIMIT = (
        304,
        "streams-limit",
        Code.RESOURCE_EXHAUSTED,
        Blame.CALLER,
        "tenant {tenant} has {value} of {limit} calls open. Retry when one of them has ended (limit streams)",
    )

    GATEWAY_DEVEL = (
        340,
        "gateway-devel",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "the development gateway (attribute gateway-devel) is not offered. "
        "Use a frontend by its name, or an image of one",
    )
    HOSTNAME_TOO_LONG = (
        341,
        "hostname-too-long",
        Code.INVALID_ARGUMENT,
        Blame.CALLER,
        "the hostname {hostname} of build steps is too long: "
        "with .{tenant} behind it, as this farm sets it, at most {limit} octets are left",
    )
    DEFINITION_NESTED = (
        342,
        "definition-nested",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "the build definition takes another one from its own files (BuildOp), which this farm cannot read. "
        "Send that definition itself",
    )
    DEFINITION_UNKNOWN_STEP = (
        343,
        "definition-unknown-step",
        Code.UNIMPLEMENTED,
        Blame.CALLER,
        "the build definition has a step of a kind (field {number}) that this farm does not know",
    )
    DEFINITION_REFUSED = (
        344,
        "definition-refused",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "this farm takes no build definitions that clients make themselves (isolation.definitions: refuse). "
        "Build from a Dockerfile",
    )
    HISTORY_FILTER = (
        351,
        "history-filter",
        Code.INVALID_ARGUMENT,
        Blame.CALLER,
        "the history filter {filter} cannot be used on this farm: {why}",
    )
    CONTENT_FOREIGN = (
        352,
        "content-foreign",
        Code.NOT_FOUND,
        Blame.CALLER,
        "no build that tenant {tenant} asked about refers to the content {digest}. Ask for the build's record first",
    )
    DISK_USAGE_FILTER = (
        353,
        "disk-usage-filter",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "disk usage is told in sums over all tenants. A filter or an age needs the role {needed}",
    )
    ANSWER_UNREADABLE = (
        354,
        "answer-unreadable",
        Code.INTERNAL,
        Blame.OPERATOR,
        "the daemon's answer to {method} cannot be read, so it cannot be told what of it is yours. "
        "Tell whoever runs this farm",
    )

    # 4xx: how a call is written, and what a build asks for
    REQUEST_MALFORMED = (
        401,
        "request-malformed",
        Code.INTERNAL,
        Blame.CALLER,
        "the request cannot be read: {why}",
    )
    MESSAGE_TOO_LARGE = (
        402,
        "message-too-large",
        Code.RESOURCE_EXHAUSTED,
        Blame.CALLER,
        "the request message has {value} octets; at most {limit} are accepted",
    )
    MESSAGE_COMPRESSED = (
        403,
        "message-compressed",
        Code.UNIMPLEMENTED,
        Blame.CALLER,
        "compressed messages are not accepted on {method}. Use the identity encoding",
    )
    MESSAGE_UNREADABLE = (
        404,
        "message-unreadable",
        Code.INVALID_ARGUMENT,
        Blame.CALLER,
        "the request message of {method} cannot be read: {why}",
    )
    MESSAGE_LATE = (
        406,
        "message-late",
        Code.DEADLINE_EXCEEDED,
        Blame.CALLER,
        "the request message of {method} was not complete after {limit}",
    )
    FIELD_UNKNOWN = (
        407,
        "field-unknown",
        Code.FAILED_PRECONDITION,
        Blame.OPERATOR,
        "the request message of {method} has a field {field} that came with a BuildKit newer than v0.32, and that this "
        "farm cannot judge. Use an older client, or ask whoever runs this farm to update it",
    )

    POLICY_ENTITLEMENTS = (
        411,
        "policy-entitlements",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "the entitlement {what} is not allowed (policy {policy}, {setting}; allowed: {allowed}). "
        "Build without --allow for it, or ask {contact}",
    )
    POLICY_FRONTENDS = (
        412,
        "policy-frontends",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "{what} is not allowed (policy {policy}, {setting}; allowed: {allowed}). "
        "Use one of those in BUILDKIT_SYNTAX or --frontend, or ask {contact}",
    )
    POLICY_EXPORTERS = (
        413,
        "policy-exporters",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "{what} is not allowed (policy {policy}, {setting}; allowed: {allowed}). "
        "Change --output, --push or --tag, or ask {contact}",
    )
    POLICY_CACHE = (
        414,
        "policy-cache",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "{what} is not allowed (policy {policy}, {setting}; allowed: {allowed}). "
        "Change --cache-from or --cache-to, or ask {contact}",
    )
    POLICY_SOURCES = (
        415,
        "policy-sources",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "{what} is not allowed (policy {policy}, {setting}; allowed: {allowed}). "
        "Use a source that is, leave a policy of your own out, or ask {contact}",
    )
    POLICY_NETWORK = (
        416,
        "policy-network",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "{what} is not allowed (policy {policy}, {setting}; allowed: {allowed}). "
        "Change --network or --add-host, or ask {contact}",
    )
    POLICY_RESOURCES = (
        417,
        "policy-resources",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "{what} cannot be compared with what is allowed (policy {policy}, {setting}). "
        "Give a plain number, or ask {contact}",
    )
    POLICY_EXEC = (
        418,
        "policy-exec",
        Code.PERMISSION_DENIED,
        Blame.CALLER,
        "a container in a running build needs the role {needed}; you call as {role} (policy {policy}, exec.role). "
        "Build without debug, or ask {contact}",
    )

    # 5xx: the farm
    UPSTREAM_AWAY = (
        501,
        "upstream-away",
        Code.ABORTED,
        Blame.OPERATOR,
        "the build daemon of this farm is not running. Try again in a minute",
    )
    UPSTREAM_LOST = (
        502,
        "upstream-lost",
        Code.UNAVAILABLE,
        Blame.OPERATOR,
        "the build daemon went away while it worked for you. Run the build again",
    )
    DRAINING = (
        503,
        "draining",
        Code.UNAVAILABLE,
        Blame.OPERATOR,
        "this farm is restarting. Try again in a minute",
    )
    DRAIN_DEADLINE = (
        504,
        "drain-deadline",
        Code.UNAVAILABLE,
        Blame.OPERATOR,
        "this farm had to restart before your build ended. Run the build again",
    )
    AUDIT_UNWRITABLE = (
        505,
        "audit-unwritable",
        Code.ABORTED,
        Blame.OPERATOR,
        "this farm cannot write its audit log and accepts no calls until it can. Tell whoever runs this farm",
    )
    DAEMON_NOT_STARTED = (
        506,
        "daemon-not-started",
        Code.FAILED_PRECONDITION,
        Blame.OPERATOR,
        "the build daemon for {tenant} does not start. Tell whoever runs this farm",
    )
    INTERNAL = (
        599,
        "internal",
        Code.INTERNAL,
        Blame.OURSELVES,
        "kilngate failed on this call. Tell whoever runs this farm, with the reference",
    )

    # 6xx: the HTTPS API
    PATH_UNKNOWN = (
        601,
        "path-unknown",
        Code.NOT_FOUND,
        Blame.CALLER,
        "there is nothing at this path. This is kilngate, the front door of a BuildKit farm: build through it with "
        "docker buildx; what else it answers stands in /v1/openapi.json",
    )
    HTTP_METHOD = (
        602,
        "http-method",
        Code.UNIMPLEMENTED,
        Blame.CALLER,
        "this path takes {allowed} only",
        405,
    )
    BODY_TOO_LARGE = (
        603,
        "body-too-large",
        Code.RESOURCE_EXHAUSTED,
        Blame.CALLER,
        "the body of the request has more than {limit} octets",
        413,
    )
    MEDIA_TYPE = (
        604,
        "media-type",
        Code.INVALID_ARGUMENT,
        Blame.CALLER,
        "the body must be a certificate request in PEM, sent as application/x-pem-file or application/pkcs10",
        415,
    )
    HTTP_MALFORMED = (
        605,
        "http-malformed",
        Code.INVALID_ARGUMENT,
        Blame.CALLER,
        "the HTTP request cannot be read: {why}",
    )
    CSR_UNFIT = (
        606,
        "csr-unfit",
        Code.INVALID_ARGUMENT,
        Blame.CALLER,
        "no certificate can be made of this request: {why}",
        422,
    )
    ISSUER_OFF = (
        607,
        "issuer-off",
        Code.NOT_FOUND,
        Blame.OPERATOR,
        "this farm issues no certificates. Ask whoever runs it for one",
    )
    TOKEN_NEEDED = (
        608,
        "token-needed",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "a certificate is issued for a token only. Send one as 'Authorization: Bearer'",
    )
    TOKEN_USED = (
        609,
        "token-used",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "this token was exchanged for a certificate already, and each counts once. Ask your issuer for a fresh one",
    )
    TOKEN_CUT_OFF = (
        610,
        "token-cut-off",
        Code.UNAUTHENTICATED,
        Blame.CALLER,
        "certificates of {subject} were revoked after this token was made. Ask your issuer for a fresh one",
    )
    SUBJECT_UNFIT = (
        611,
        "subject-unfit",
        Code.INVALID_ARGUMENT,
        Blame.CALLER,
        "your name cannot stand in a certificate: {why}",
        422,
    )
    STORE_AWAY = (
        612,
        "store-away",
        Code.ABORTED,
        Blame.OPERATOR,
        "this farm cannot write down what it issues right now, so it issues nothing. Builds go on. "
        "Tell whoever runs this farm",
    )
    AUTHORITY_ENDS = (
        613,
        "authority-ends",
        Code.ABORTED,
        Blame.OPERATOR,
        "the authority that this farm issues with {ends}, so it issues nothing. Tell whoever runs this farm",
    )

    def __init__(
        self, number: int, label: str, code: Code, blame: Blame, sentence: str, http_status: int | None = None
    ) -> None:
        self.number = number
        self.label = label
        self.code = code
        self.blame = blame
        self.sentence = sentence
        self.http_status = http_status or _HTTP.get(code, 500)
