"""Where kilngate's time goes in one row: cProfile for functions and calls, or py-spy for a picture without its cost."""

import pstats
import subprocess
import sys
from collections import Counter
from pathlib import Path

from bench.ground import STATE, Ground, lay_ground
from bench.kilngate import open_kilngate
from bench.packages import install_python, need_program
from bench.rows import ROWS, Length, measure

LENGTH = Length(seconds=5.0, octets=3 << 30)
WATCH_S = 4
LINES = 40


def profile_row(row: str, *, uvloop: bool, sampled: bool) -> None:
    """Run a row through kilngate under a profiler and print what it found.

    Raises:
        Unavailable: kilngate or the profiler does not start.
    """
    ground = lay_ground()
    STATE.mkdir(parents=True, exist_ok=True)
    try:
        if sampled:
            _sample(row, ground, uvloop=uvloop)
        else:
            _count(row, ground, uvloop=uvloop)
    finally:
        ground.clear()


def _count(row: str, ground: Ground, *, uvloop: bool) -> None:
    """Count calls: exact numbers of them, times inflated where functions are small."""
    into = STATE / f"{row}.prof"
    door = open_kilngate(ground, uvloop=uvloop, counted_into=into)
    try:
        print(dict(measure(ROWS[row], ground, door, LENGTH)))
    finally:
        door.close()
    pstats.Stats(str(into)).sort_stats("tottime").print_stats(LINES)


def _sample(row: str, ground: Ground, *, uvloop: bool) -> None:
    """Look at the stack 500 times a second; C functions are told by their names where they have any."""
    install_python("py-spy", module="py_spy")
    beside = Path(sys.executable).parent / "py-spy"
    spy = str(beside) if beside.exists() else need_program("py-spy", packages=())
    into = STATE / f"{row}.folded"
    door = open_kilngate(ground, uvloop=uvloop)
    try:
        pid = door.child.pid if door.child else 0
        options = f"--pid {pid} --rate 500 --duration {WATCH_S} --native --format raw --output {into}".split()
        watch = subprocess.Popen([spy, "record", *options], stdout=subprocess.DEVNULL)
        print(dict(measure(ROWS[row], ground, door, LENGTH)))
        watch.wait()
    finally:
        door.close()
    print(render_samples(into.read_text()))


def render_samples(folded: str) -> str:
    """Return where the time went, by the innermost function and by the innermost of kilngate's own.

    `folded` has a line for each stack, outermost first: "frame;frame;frame count".
    """
    innermost: Counter[str] = Counter()
    own: Counter[str] = Counter()
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        innermost[frames[-1]] += int(count)
        own[next((frame for frame in reversed(frames) if "(proxy/" in frame), "(nothing of kilngate)")] += int(count)
    return "\n\n".join((_most_common("innermost function", innermost), _most_common("kilngate's own line", own)))


def _most_common(title: str, counted: Counter[str]) -> str:
    total = sum(counted.values()) or 1
    return "\n".join([title, *(f"{100 * n / total:6.1f} %  {frame}" for frame, n in counted.most_common(LINES))])
