"""Wall-clock time as text: UTC, RFC 3339, whole microseconds."""

from datetime import UTC, datetime

SECOND_NS = 1_000_000_000


def stamp(wall_ns: int) -> str:
    """Return nanoseconds since the Unix epoch as `2026-01-31T23:59:59.000001Z`."""
    seconds, rest_ns = divmod(wall_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns // 1000:06d}Z"
