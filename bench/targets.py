"""What kilngate is meant to reach, as comparisons between figures of one run."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench import buildx, memory
from bench.rounds import Results

WALL = "wall s"
# Doors that end HTTP/2, and one that only ends TLS: whoever is best in a row is the measure of it.
BUILD_PEERS = ("nginx stream", "haproxy", "envoy", "nghttpx")


@dataclass(frozen=True, slots=True)
class Ratio:
    """`figure` of kilngate is at most (or at least) `limit` times that of `to`; the median of paired rounds.

    `to` may name several doors: then it is the one with the best median.
    """

    title: str
    row: str
    figure: str
    to: tuple[str, ...]
    limit: float
    is_floor: bool = False


@dataclass(frozen=True, slots=True)
class Added:
    """`figure` of kilngate is at most `limit` more than that of `to`."""

    title: str
    row: str
    figure: str
    to: str
    limit: float


@dataclass(frozen=True, slots=True)
class Ceiling:
    """`figure` of kilngate is at most `limit`."""

    title: str
    row: str
    figure: str
    limit: float


Target = Ratio | Added | Ceiling
MEMORY = "memory"

TARGETS: tuple[Target, ...] = (
    Ratio("upload, CPU-s/GiB, to nginx", "up", "CPU-s/GiB", ("nginx",), 1.0),
    Ratio("download, CPU-s/GiB, to nginx", "down", "CPU-s/GiB", ("nginx",), 1.0),
    Ratio("calls/s, 1 connection x 32, to nginx", "1x32", "calls/s", ("nginx",), 1.5, is_floor=True),
    Ratio("calls/s, 1 connection x 32, to Envoy", "1x32", "calls/s", ("envoy",), 2.0, is_floor=True),
    Ratio("calls/s, 32 connections, to nginx", "32x1", "calls/s", ("nginx",), 1.5, is_floor=True),
    Ratio("calls/s, 32 connections, to Envoy", "32x1", "calls/s", ("envoy",), 2.0, is_floor=True),
    Added("p50 at 500 calls/s, ms more than Envoy", "paced", "p50 ms", "envoy", 0.1),
    *(Ratio(f"{row}, wall time, to the best peer", row, WALL, BUILD_PEERS, 1.0) for row in buildx.ROWS),
    *(Ratio(f"{row}, CPU-s/GiB, to Envoy", row, "CPU-s/GiB", ("envoy",), 1.0) for row in buildx.BULK),
    Ceiling("MiB at rest", MEMORY, memory.AT_REST, 60),
    Ceiling("KiB for each idle connection", MEMORY, memory.PER_IDLE, 60),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured: the middle, the least and the most of the rounds; `is_met` None if nothing was."""

    middle: float | None
    least: float
    most: float
    is_met: bool | None
    against: str = ""


def judge(target: Target, door: str, results: Results) -> Outcome:
    """Return how `door` did."""
    against = ""
    if isinstance(target, Ratio):
        against = best_of(target.to, target.row, target.figure, results)
        values: Sequence[float] = results.ratios(target.row, door, against, target.figure)
    elif isinstance(target, Added):
        values = results.differences(target.row, door, target.to, target.figure)
    else:
        value = results.median(target.row, door, target.figure)
        values = [] if value is None else [value]
    if not values:
        return Outcome(None, 0, 0, None)
    middle = statistics.median(values)
    is_floor = isinstance(target, Ratio) and target.is_floor
    is_met = middle >= target.limit if is_floor else middle <= target.limit
    return Outcome(middle, min(values), max(values), is_met, against)


def best_of(doors: Sequence[str], row: str, figure: str, results: Results) -> str:
    """Return the door with the least median of a figure; the first if none has any."""
    medians = {door: m for door in doors if (m := results.median(row, door, figure)) is not None}
    return min(medians, key=medians.__getitem__) if medians else doors[0]
