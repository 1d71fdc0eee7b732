"""grpc.health.v1 for the farm as a whole: answered by kilngate, never by the daemon.

Source: grpc/health/v1/health.proto: HealthCheckResponse 1 status (1 SERVING,
2 NOT_SERVING); HealthListResponse 1 statuses, a map of name to HealthCheckResponse.
"""

from proxy.buildkit.methods import Method
from proxy.errors import Refused
from proxy.grpc.framing import frame
from proxy.reasons import Reason


def answer_health(method: Method, *, is_serving: bool) -> bytes:
    """Return the framed answer of Check or List.

    Raises:
        Refused: METHOD_UNKNOWN for Watch; clients of the health protocol then ask by Check.
    """
    response = b"\x08\x01" if is_serving else b"\x08\x02"
    if method.name == "Check":
        return frame(response)
    if method.name == "List":
        entry = b"\x0a\x00\x12\x02" + response
        return frame(b"\x0a" + bytes([len(entry)]) + entry)
    raise Refused(Reason.METHOD_UNKNOWN)
