"""What is measured: each row is a load, and the figures drawn from one run of it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.doors import Door, run_load
from bench.ground import Ground

MIB = 1 << 20
GIB = 1 << 30
# Octets that the last call left in a door are still its work.
SETTLE_S = 0.02

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """A load, and the figures shown of it, the first being the one that counts.

    `load` are the arguments of client.c; {seconds} and {octets} are filled in by the length of the run.
    """

    name: str
    title: str
    load: str
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Length:
    """How long each load runs."""

    seconds: float
    octets: int


CALLS = ("calls/s", "CPU us/call")
BULK = ("CPU-s/GiB", "MB/s")
LATENCY = ("p50 ms", "p99 ms")
MORE_IS_BETTER = frozenset({"calls/s", "MB/s"})

ROWS = {
    row.name: row
    for row in (
        Row("1x32", "calls, 1 connection x 32 streams", "--seconds {seconds} --streams 32 calls", CALLS),
        Row("32x1", "calls, 32 connections", "--seconds {seconds} --connections 32 calls", CALLS),
        Row(
            "1x32-trace",
            "1 connection x 32, each call with a new traceparent",
            "--seconds {seconds} --streams 32 --fresh-trace calls",
            CALLS,
        ),
        Row(
            "32x1-trace",
            "32 connections, each call with a new traceparent",
            "--seconds {seconds} --connections 32 --fresh-trace calls",
            CALLS,
        ),
        Row("1x1", "calls, one at a time", "--seconds {seconds} calls", CALLS),
        Row("paced", "500 calls/s", "--seconds {seconds} --fresh-trace paced", LATENCY),
        Row("up", "upload, 1 stream", "--octets {octets} up", BULK),
        Row("down", "download, 1 stream", "--octets {octets} down", BULK),
        Row("connect", "new connection + call", "--seconds {seconds} --connections 4 connect", CALLS),
    )
}


def measure(row: Row, ground: Ground, door: Door, length: Length) -> Figures:
    """Run a row's load through a door once.

    Raises:
        Unavailable: the door does not do it; the text says how it failed.
    """
    load = row.load.format(seconds=length.seconds, octets=length.octets).split()
    before = door.cpu_seconds()
    result = run_load(ground, door, *load)
    time.sleep(SETTLE_S)
    return draw(result, cpu_seconds=door.cpu_seconds() - before if door.child else None)


def draw(result: Mapping[str, Any], *, cpu_seconds: float | None) -> Figures:
    """Return the figures of one load: what client.c counted, and the door's own CPU time where there is a door."""
    figures = {
        "calls/s": result["calls"] / result["seconds"],
        "p50 ms": result["p50_us"] / 1000,
        "p99 ms": result["p99_us"] / 1000,
    }
    if result["octets"]:
        figures["MB/s"] = result["octets"] / result["seconds"] / 1e6
    if cpu_seconds is not None:
        figures["CPU us/call"] = 1e6 * cpu_seconds / max(1, result["calls"])
        if result["octets"]:
            figures["CPU-s/GiB"] = cpu_seconds * GIB / result["octets"]
    return figures
