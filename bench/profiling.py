"""Where kilngate's time goes in one row.

`counts` is cProfile: exact numbers of calls, times inflated where functions are
small. `samples` is py-spy: time by Python line, at no cost to the process.
`native` is perf: time by library and C function, the kernel's too.
"""

import pstats
import subprocess
import sys
from collections import Counter
from pathlib import Path

from bench.ground import STATE, lay_ground
from bench.kilngate import find_tree, open_kilngate
from bench.packages import install_python, need_program, run
from bench.rows import ROWS, Length, measure

BY = ("counts", "samples", "native")
LENGTH = Length(seconds=5.0, octets=3 << 30)
WATCH_S = 4
LINES = 60


def profile_row(row: str, *, revision: str, uvloop: bool, by: str) -> None:
    """Run a row through a revision of kilngate under a profiler and print what it found.

    Raises:
        Unavailable: kilngate or the profiler does not start.
    """
    ground = lay_ground()
    STATE.mkdir(parents=True, exist_ok=True)
    into = STATE / f"{row}.{by}"
    try:
        tree = find_tree(ground, revision)
        door = open_kilngate(ground, tree=tree, uvloop=uvloop, counted_into=into if by == "counts" else None)
        watch = watch_process(by, door.child.pid if door.child else 0, into)
        try:
            print(dict(measure(ROWS[row], ground, door, LENGTH)))
        finally:
            if watch:
                watch.wait()
            door.close()
        print_profile(by, into)
    finally:
        ground.clear()


def watch_process(by: str, pid: int, into: Path) -> subprocess.Popen[bytes] | None:
    """Start a profiler from outside, if `by` is one.

    Raises:
        Unavailable: there is no such profiler.
    """
    if by == "counts":
        return None
    if by == "samples":
        install_python("py-spy", module="py_spy")
        beside = Path(sys.executable).parent / "py-spy"
        spy = str(beside) if beside.exists() else need_program("py-spy", packages=())
        # Not stopping the process makes a few torn stacks and no cost.
        words = f"record --nonblocking --pid {pid} --rate 500 --duration {WATCH_S} --format raw --output {into}"
        return subprocess.Popen([spy, *words.split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    perf = need_program("perf", packages=("linux-perf",))
    words = f"record --quiet --freq 2000 --pid {pid} --output {into} -- sleep {WATCH_S}"
    return subprocess.Popen([perf, *words.split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def print_profile(by: str, into: Path) -> None:
    """Print what a profiler wrote."""
    if by == "counts":
        pstats.Stats(str(into)).sort_stats("tottime").print_stats(LINES)
    elif by == "samples":
        print(render_samples(into.read_text()))
    else:
        for sort in ("dso", "dso,symbol"):
            report = run(["perf", "report", "--stdio", "--quiet", "--sort", sort, "--input", str(into)]).stdout
            print("\n".join([line for line in report.splitlines() if line.strip()][:LINES]), "\n")


def render_samples(folded: str) -> str:
    """Return where the time went: by the innermost line, by kilngate's innermost function, and by all it called.

    `folded` has a line for each stack, outermost first: "name (file:line);name (file:line) count".
    """
    innermost: Counter[str] = Counter()
    own: Counter[str] = Counter()
    beneath: Counter[str] = Counter()
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        functions = [frame.partition(":")[0].rstrip(")") + ")" for frame in frames if "(proxy/" in frame]
        innermost[frames[-1]] += int(count)
        own[functions[-1] if functions else "(nothing of kilngate)"] += int(count)
        beneath.update(dict.fromkeys(functions, int(count)))
    return "\n\n".join(
        (
            _most_common("innermost line", innermost),
            _most_common("kilngate's own function", own),
            _most_common("function of kilngate with all beneath it", beneath, of=own.total()),
        )
    )


def _most_common(title: str, counted: Counter[str], of: int = 0) -> str:
    total = of or counted.total() or 1
    return "\n".join([title, *(f"{100 * n / total:6.1f} %  {what}" for what, n in counted.most_common(LINES))])
