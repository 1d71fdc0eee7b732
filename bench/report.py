"""The tables: what was measured on which machine, printed and written to docs/benchmarks.md."""

import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench import buildx, memory
from bench.rounds import Results
from bench.rows import MORE_IS_BETTER, ROWS
from bench.targets import MEMORY, TARGETS, WALL, Outcome, Ratio, Target, judge

MISSING = "-"
# The load average above which somebody else was at work while we measured.
QUIET_LOAD = 0.5
METHOD = """\
Written by `make bench`; no test asserts any of it. Client, door and daemon share one machine, so read the ratios.

`bench/client.c` sends what buildx sends (the same header fields; no ALPN to kilngate) over TLS 1.3 with a client
certificate; `bench/sink.c` answers as buildkitd does, on a unix socket. Doors run one worker each and stay open all the
time. Every round runs each row through each door, one right after the other, in an order that turns with the round; a
figure is the median of the rounds, a ratio the median of the rounds' own ratios. CPU is that of the door's process tree
alone, from the scheduler's accounts. Nothing is pinned to a core. kilngate has client certificates, mapping rules,
limits, metrics and the audit log on; the others check the client certificate and pass everything on.
Settings of the others: `bench/peers.py`."""


def render(
    results: Results,
    *,
    doors: Sequence[str],
    build_doors: Sequence[str],
    facts: Mapping[str, str],
    kilngates: Sequence[str],
    notes: Iterable[str],
    doubt: str,
) -> str:
    """Return the whole document."""
    parts = [
        "# What the door costs",
        *([doubt] if doubt else []),
        METHOD,
        table(("machine", ""), facts.items()),
        "## Targets",
        _targets(results, kilngates),
        "## One daemon that only answers",
        _synthetic(results, doors),
        "### The same as ratio to nginx",
        _ratios(results, doors, list(ROWS), to="nginx"),
        "## Real builds",
        _builds(results, build_doors),
        "### Wall time as ratio to the daemon's own socket",
        _ratios(results, build_doors, buildx.ROWS, to="direct", figure=WALL),
        "## Memory",
        _memory(results, doors),
    ]
    failures = [f"* {door}, {row}: {why.splitlines()[0]}" for (row, door), why in results.failures.items()]
    if remarks := [*(f"* {note}" for note in notes), *failures]:
        parts += ["## Not measured, and why", "\n".join(remarks)]
    return "\n\n".join(parts) + "\n"


def machine_facts() -> dict[str, str]:
    """Return what a reader must know of the machine."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory_kib = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return {
        "processor": f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores",
        "memory": f"{int(memory_kib.group(1)) >> 20 if memory_kib else '?'} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
    }


def doubts(*, is_quick: bool, load_before: float) -> str:
    """Return a warning to stand above the figures, or nothing if they may be quoted."""
    why = []
    if is_quick:
        why.append("the rounds were few and short")
    if load_before > QUIET_LOAD:
        why.append(f"others kept the machine busy (load {load_before:.1f} before the start)")
    return f"**Not to be quoted: {' and '.join(why)}. Rates and wall times are the worst.**" if why else ""


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with the columns aligned, so that it reads well as text too."""
    cells = [list(head), *(list(line) for line in lines)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in cells]
    drawn = ["| " + " | ".join(line) + " |" for line in padded]
    return "\n".join([drawn[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *drawn[1:]])


def number(value: float | None) -> str:
    """Return a figure with three digits that count."""
    if value is None:
        return MISSING
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _targets(results: Results, kilngates: Sequence[str]) -> str:
    head = ("target", "wanted", *kilngates)
    return table(head, ((t.title, _wanted(t), *(_outcome(judge(t, k, results)) for k in kilngates)) for t in TARGETS))


def _wanted(target: Target) -> str:
    return f"{'>=' if isinstance(target, Ratio) and target.is_floor else '<='} {target.limit:g}"


def _outcome(outcome: Outcome) -> str:
    if outcome.middle is None:
        return MISSING
    spread = f" ({number(outcome.least)} to {number(outcome.most)})" if outcome.least != outcome.most else ""
    against = f", {outcome.against}" if outcome.against not in ("", "nginx") else ""
    return f"{'met' if outcome.is_met else 'missed'}: {number(outcome.middle)}{spread}{against}"


def _synthetic(results: Results, doors: Sequence[str]) -> str:
    lines = [
        (f"{row.title}: {figure}", *(number(results.median(row.name, door, figure)) for door in doors))
        for row in ROWS.values()
        for figure in row.figures
    ]
    return table(("", *doors), lines)


def _ratios(results: Results, doors: Sequence[str], rows: Iterable[str], *, to: str, figure: str = "") -> str:
    lines = []
    for row in rows:
        shown = figure or ROWS[row].figures[0]
        better = "more" if shown in MORE_IS_BETTER else "less"
        title = f"{ROWS[row].title if row in ROWS else row}: {shown} ({better} is better)"
        lines.append((title, *(number(results.median_ratio(row, door, to, shown)) for door in doors)))
    return table(("", *doors), lines)


def _builds(results: Results, doors: Sequence[str]) -> str:
    figures = {row: (WALL, "CPU-s/GiB") if row in buildx.BULK else (WALL, "CPU s") for row in buildx.ROWS}
    lines = [
        (f"{row}: {figure}", *(number(results.median(row, door, figure)) for door in doors))
        for row in buildx.ROWS
        for figure in figures[row]
    ]
    return table(("", *doors), lines)


def _memory(results: Results, doors: Sequence[str]) -> str:
    shown = [door for door in doors if results.median(MEMORY, door, memory.AT_REST) is not None]
    return table(
        ("", *shown),
        ((figure, *(number(results.median(MEMORY, door, figure)) for door in shown)) for figure in memory.FIGURES),
    )
