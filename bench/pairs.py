"""Two revisions of kilngate against each other on the rows that matter: for the message of a commit."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from bench import buildx
from bench.doors import Door
from bench.ground import Ground, lay_ground
from bench.kilngate import find_tree, open_kilngate
from bench.report import number, table
from bench.rounds import Figures, Results, run_rounds
from bench.rows import ROWS, Length, measure

Doors = dict[str, Door]

MAIN_ROWS = ("up", "down", "1x32", "32x1", "1x32-trace")
LENGTH = Length(seconds=1.0, octets=512 << 20)
BUILD_OCTETS = 256 << 20
BUILD_FIGURES = {row: ("wall s", "CPU-s/GiB" if row in buildx.BULK else "CPU s") for row in buildx.ROWS}


def run_pairs(revisions: Sequence[str], *, rows: Sequence[str], rounds: int, uvloop: bool) -> str:
    """Return a table of the rows for each revision, with ratios to the first.

    A revision is a directory with a tree of kilngate, or whatever git takes for a commit.

    Raises:
        Unavailable: no such revision, or it does not start.
    """
    with ExitStack() as stack:
        ground = lay_ground()
        stack.callback(ground.clear)
        doors = _open(stack, ground, ground, revisions, uvloop=uvloop)
        results = _run(rows, doors, lambda row, door: measure(ROWS[row], ground, doors[door], LENGTH), rounds=rounds)
    return _render(results, revisions, {row: ROWS[row].figures for row in rows}, lambda row: ROWS[row].title)


def run_build_pairs(revisions: Sequence[str], *, rows: Sequence[str], rounds: int, uvloop: bool) -> str:
    """Return the same for real builds.

    Raises:
        Unavailable: no such revision, no engine or no client.
    """
    with ExitStack() as stack:
        ground = lay_ground()
        stack.callback(ground.clear)
        farm = buildx.open_farm(ground, octets=BUILD_OCTETS)
        stack.callback(farm.close)
        before = buildx.before_farm(ground, farm)
        doors = _open(stack, ground, before, revisions, uvloop=uvloop)
        for door in doors.values():
            buildx.enrol(farm, before, door)
        buildx.warm(farm, doors[revisions[0]])
        results = _run(rows, doors, lambda row, door: buildx.measure_build(row, farm, doors[door]), rounds=rounds)
    return _render(results, revisions, {row: BUILD_FIGURES[row] for row in rows}, str)


def _open(stack: ExitStack, trees: Ground, ground: Ground, revisions: Sequence[str], *, uvloop: bool) -> Doors:
    doors = {}
    for revision in revisions:
        doors[revision] = open_kilngate(ground, tree=find_tree(trees, revision), uvloop=uvloop, name=revision)
        stack.callback(doors[revision].close)
    return doors


def _run(rows: Sequence[str], doors: Doors, measured: Callable[[str, str], Figures], *, rounds: int) -> Results:
    results = Results()
    run_rounds(
        rows,
        list(doors),
        measured,
        rounds=rounds,
        within_s=3600,
        results=results,
        say=lambda text: print(text, flush=True),
    )
    return results


def _render(
    results: Results, doors: Sequence[str], rows: dict[str, tuple[str, ...]], title: Callable[[str], str]
) -> str:
    first, *others = doors
    lines = []
    for row, figures in rows.items():
        for figure in figures:
            cells = [number(results.median(row, door, figure)) for door in doors]
            ratios = [_ratio(results, row, door, first, figure) for door in others]
            lines.append((f"{title(row)}: {figure}", *cells, *ratios))
    failures = [f"{door}, {row}: {why}" for (row, door), why in results.failures.items()]
    return "\n".join([table(("", *doors, *(f"{d} / {first}" for d in others)), lines), *failures])


def _ratio(results: Results, row: str, door: str, to: str, figure: str) -> str:
    ratios = results.ratios(row, door, to, figure)
    spread = f" ({number(min(ratios))} to {number(max(ratios))})" if ratios else ""
    return number(results.median_ratio(row, door, to, figure)) + spread
