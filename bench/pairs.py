"""Two revisions of kilngate against each other on the rows that matter: for the message of a commit."""

from collections.abc import Sequence

from bench.doors import Door
from bench.ground import lay_ground
from bench.kilngate import find_tree, open_kilngate
from bench.report import number, table
from bench.rounds import Results, run_rounds
from bench.rows import ROWS, Length, measure

MAIN_ROWS = ("up", "down", "1x32", "32x1", "1x32-trace")
LENGTH = Length(seconds=1.0, octets=512 << 20)


def run_pairs(revisions: Sequence[str], *, rows: Sequence[str], rounds: int, uvloop: bool) -> str:
    """Return a table of the rows for each revision, with ratios to the first.

    A revision is a directory with a tree of kilngate, or whatever git takes for a commit.

    Raises:
        Unavailable: no such revision, or it does not start.
    """
    ground = lay_ground()
    doors: dict[str, Door] = {}
    try:
        for revision in revisions:
            tree = find_tree(ground, revision)
            doors[revision] = open_kilngate(ground, tree=tree, uvloop=uvloop, name=revision)
        results = Results()
        run_rounds(rows, list(doors), lambda row, door: measure(ROWS[row], ground, doors[door], LENGTH),
                   rounds=rounds, within_s=3600, results=results, say=lambda text: print(text, flush=True))
    finally:
        for door in doors.values():
            door.close()
        ground.clear()
    return _render(results, revisions, rows)


def _render(results: Results, doors: Sequence[str], rows: Sequence[str]) -> str:
    first, *others = doors
    lines = []
    for row in rows:
        for figure in ROWS[row].figures:
            cells = [number(results.median(row, door, figure)) for door in doors]
            ratios = [_ratio(results, row, door, first, figure) for door in others]
            lines.append((f"{ROWS[row].title}: {figure}", *cells, *ratios))
    failures = [f"{door}, {row}: {why}" for (row, door), why in results.failures.items()]
    return "\n".join([table(("", *doors, *(f"{d} / {first}" for d in others)), lines), *failures])


def _ratio(results: Results, row: str, door: str, to: str, figure: str) -> str:
    ratios = results.ratios(row, door, to, figure)
    spread = f" ({number(min(ratios))} to {number(max(ratios))})" if ratios else ""
    return number(results.median_ratio(row, door, to, figure)) + spread
