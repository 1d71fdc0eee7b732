"""Memory of a door: at rest, for each idle connection, and before somebody who does not read."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.doors import Door, load_command, run_load
from bench.ground import Ground
from bench.packages import Unavailable

MIB = 1 << 20
KIB = 1 << 10
STALLED_OCTETS = 400 * MIB
# Idle connections that are open before one is counted: the first ones live on what the start left free. That is 2 MiB
# where Python had to compile its modules, and made each of 100 connections look 20 KiB cheaper than it was.
FIRST_CONNECTIONS = 100
# How long a stalled transfer is watched; a door without a brake takes gigabytes in that time.
WATCH_S = 1.0
STEP_S = 0.1
# Allocators and garbage collectors act late.
CALM_S = 0.5

AT_REST = "MiB at rest"
PER_IDLE = "KiB per idle connection"
STALLED = "MiB more, caller does not read"
HELD = "MiB more, daemon does not read"
FIGURES = (AT_REST, PER_IDLE, STALLED, HELD)


def measure_memory(ground: Ground, door: Door, *, idle_connections: int) -> dict[str, float]:
    """Return the figures of a door that has just been opened.

    Raises:
        Unavailable: the door does not hold the load.
    """
    if door.child is None:
        raise Unavailable("there is no door")
    run_load(ground, door, "--seconds", "0.1", "calls")
    time.sleep(CALM_S)
    rest = door.child.rss_octets()
    with _held(ground, door, "--connections", str(FIRST_CONNECTIONS), "idle"):
        time.sleep(CALM_S)
        few = door.child.rss_octets()
        with _held(ground, door, "--connections", str(idle_connections), "idle"):
            time.sleep(CALM_S)
            idle = door.child.rss_octets() - few
    figures = {AT_REST: rest / MIB, PER_IDLE: idle / idle_connections / KIB}
    for name, mode in ((STALLED, "stall"), (HELD, "hold")):
        time.sleep(CALM_S)
        before = door.child.rss_octets()
        with _held(ground, door, "--octets", str(STALLED_OCTETS), mode):
            figures[name] = (_most_rss(door) - before) / MIB
    return figures


def _most_rss(door: Door) -> int:
    most = 0
    for _ in range(round(WATCH_S / STEP_S)):
        time.sleep(STEP_S)
        most = max(most, door.child.rss_octets() if door.child else 0)
    return most


@contextmanager
def _held(ground: Ground, door: Door, *load: str) -> Iterator[None]:
    """Keep a load open in the state that its mode names."""
    command = load_command(ground, door, *load)
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        said = client.stdout.readline() if client.stdout else ""
        if said.strip() != "still":
            raise Unavailable(f"{load[-1]}: {said.strip() or 'the load ended'}")
        yield
    finally:
        client.communicate()
