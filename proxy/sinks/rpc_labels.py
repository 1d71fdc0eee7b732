"""Labels of an RPC as go-grpc-middleware writes them."""

from proxy.buildkit.methods import METHODS, Kind

UNKNOWN = "unknown"
TYPES = {
    Kind.UNARY: "unary",
    Kind.CLIENT_STREAM: "client_stream",
    Kind.SERVER_STREAM: "server_stream",
    Kind.BIDI: "bidi_stream",
}
# A name of our own for each known method: whatever else an event may say is counted as UNKNOWN.
METHOD_NAMES = {method.path: method.path for method in METHODS.values()}
# By number, as the Go library spells them: google.golang.org/grpc/codes, Code.String.
CODES = (
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
)


def method_labels(method: str) -> tuple[str, str, str]:
    """Return grpc_type, grpc_service and grpc_method of a full method; of an unknown one, UNKNOWN."""
    known = METHODS.get(method.encode("utf-8", "replace"))
    if known is None:
        return UNKNOWN, UNKNOWN, UNKNOWN
    return TYPES[known.kind], known.service, known.name
