"""The rows in paired rounds (A B C, B C A, ...), so that a busy moment of the machine meets all doors alike."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.packages import Unavailable

# What one door did in one row, in the order of the rounds.
Figures = Mapping[str, float]
Say = Callable[[str], None]


@dataclass(slots=True)
class Results:
    """Every figure of a run: results[row, door] is one mapping a round, None where the door failed in that round."""

    rounds: dict[tuple[str, str], list[Figures | None]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def median(self, row: str, door: str, figure: str) -> float | None:
        """Return the median over the rounds; None if there is no such figure."""
        values = [f[figure] for f in self.rounds[row, door] if f is not None and figure in f]
        return statistics.median(values) if values else None

    def ratios(self, row: str, door: str, to: str, figure: str) -> list[float]:
        """Return figure(door) / figure(to) of each round that has both: a pair saw the same machine."""
        pairs = zip(self.rounds[row, door], self.rounds[row, to], strict=False)
        return [a[figure] / b[figure] for a, b in pairs if a and b and b.get(figure) and figure in a]

    def median_ratio(self, row: str, door: str, to: str, figure: str) -> float | None:
        """Return the median of `ratios`; None if no round has both."""
        ratios = self.ratios(row, door, to, figure)
        return statistics.median(ratios) if ratios else None

    def differences(self, row: str, door: str, to: str, figure: str) -> list[float]:
        """Return figure(door) - figure(to) of each round that has both."""
        pairs = zip(self.rounds[row, door], self.rounds[row, to], strict=False)
        return [a[figure] - b[figure] for a, b in pairs if a and b and figure in a and figure in b]


def run_rounds(
    rows: Sequence[str],
    doors: Sequence[str],
    measure: Callable[[str, str], Figures],
    *,
    rounds: int,
    within_s: float,
    results: Results,
    say: Say,
) -> int:
    """Measure each row through each door `rounds` times, fewer if that would take longer than `within_s`.

    A door that fails a row is not asked again in that row. Returns the number of rounds done.
    """
    start = time.monotonic()
    for done in range(rounds):
        spent = time.monotonic() - start
        if done and spent * (done + 1) / done > within_s:
            return done
        order = [*doors[done % len(doors) :], *doors[: done % len(doors)]]
        for row in rows:
            for door in order:
                _measure_once(row, door, measure, results)
        say(f"round {done + 1} of {rounds}: {time.monotonic() - start:.0f} s")
    return rounds


def _measure_once(row: str, door: str, measure: Callable[[str, str], Figures], results: Results) -> None:
    figures: Figures | None = None
    if (row, door) not in results.failures:
        try:
            figures = measure(row, door)
        except Unavailable as failure:
            results.failures[row, door] = str(failure)
    results.rounds[row, door].append(figures)
