"""Calls that kilngate answers itself; the daemon never hears of them.

Health is told of the farm as a whole. Spans of clients are taken and dropped.

Source: grpc/health/v1/health.proto: HealthCheckResponse 1 status (1 SERVING,
2 NOT_SERVING); HealthListResponse 1 statuses, a map of name to HealthCheckResponse.
OpenTelemetry's ExportTraceServiceResponse: empty is full success.
"""

from proxy.buildkit.methods import EXPORT, Method
from proxy.errors import Refused
from proxy.grpc.framing import frame
from proxy.reasons import Reason


def answer(method: Method, *, is_serving: bool) -> bytes:
    """Return the framed answer of a call that kilngate answers.

    Raises:
        Refused: METHOD_UNKNOWN for Watch; clients of the health protocol then ask by Check.
    """
    if method is EXPORT:
        return frame(b"")
    response = b"\x08\x01" if is_serving else b"\x08\x02"
    if method.name == "Check":
        return frame(response)
    if method.name == "List":
        entry = b"\x0a\x00\x12\x02" + response
        return frame(b"\x0a" + bytes([len(entry)]) + entry)
    raise Refused(Reason.METHOD_UNKNOWN)
