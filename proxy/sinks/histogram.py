"""A histogram cheap enough for every call.

Counts stand by bucket, not added up: observing is one search and two additions. The
sums that Prometheus wants are made when it asks.
"""

from bisect import bisect_left
from collections.abc import Sequence

SECOND_NS = 1_000_000_000

# Calls and handshakes: 5 ms to 10 s, as most gRPC dashboards expect.
CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Builds: about powers of two, from a second to an hour and a half.
BUILD_BUCKETS = (1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0, 2560.0, 5120.0)
# A late event loop: 1 ms is a busy moment, 1 s is a fault.
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Histogram:
    """Counts durations by bucket; `bounds` are seconds, inclusive upper ends, rising."""

    __slots__ = ("_bounds_ns", "_counts", "_labels", "_sum_ns")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds_ns = tuple(round(bound * SECOND_NS) for bound in bounds)
        self._labels = (*(str(float(bound)) for bound in bounds), "+Inf")
        self._counts = [0] * len(self._labels)
        self._sum_ns = 0

    def observe(self, duration_ns: int) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._bounds_ns, duration_ns)] += 1
        self._sum_ns += duration_ns

    def read(self) -> tuple[list[tuple[str, int]], float]:
        """Return the buckets (upper end, how many at or below it), and the sum in seconds.

        May be called from another thread: buckets agree with each other, the sum may be
        one observation behind or ahead.
        """
        sum_ns = self._sum_ns
        counts = self._counts.copy()
        total, buckets = 0, []
        for label, count in zip(self._labels, counts, strict=True):
            total += count
            buckets.append((label, total))
        return buckets, sum_ns / SECOND_NS
