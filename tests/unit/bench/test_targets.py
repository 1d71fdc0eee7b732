"""Targets: met, missed, or not measured."""

import pytest

from bench.rounds import Results
from bench.targets import Added, Ceiling, Ratio, Target, judge


@pytest.fixture
def results() -> Results:
    results = Results()
    results.rounds["row", "kilngate"] = [{"x": 8.0}, {"x": 9.0}, {"x": 30.0}]
    results.rounds["row", "slow"] = [{"x": 20.0}, {"x": 20.0}, {"x": 20.0}]
    results.rounds["row", "fast"] = [{"x": 10.0}, {"x": 10.0}, {"x": 10.0}]
    return results


@pytest.mark.parametrize(
    ("target", "middle", "is_met"),
    [
        (Ratio("", "row", "x", ("fast",), 1.0), 0.9, True),
        (Ratio("", "row", "x", ("fast",), 0.8), 0.9, False),
        (Ratio("", "row", "x", ("fast",), 0.8, is_floor=True), 0.9, True),
        (Ratio("", "row", "x", ("fast",), 1.0, is_floor=True), 0.9, False),
        (Added("", "row", "x", "fast", -1.0), -1.0, True),
        (Added("", "row", "x", "fast", -1.1), -1.0, False),
        (Ceiling("", "row", "x", 9.0), 9.0, True),
        (Ceiling("", "row", "x", 8.9), 9.0, False),
    ],
)
def test_the_middle_of_the_rounds_decides(target: Target, middle: float, is_met: bool, results: Results) -> None:
    outcome = judge(target, "kilngate", results)

    assert outcome.middle == pytest.approx(middle)
    assert outcome.is_met is is_met


def test_among_several_peers_the_best_is_the_measure(results: Results) -> None:
    outcome = judge(Ratio("", "row", "x", ("slow", "fast"), 1.0), "kilngate", results)

    assert outcome.against == "fast"


@pytest.mark.parametrize("target", [Ratio("", "row", "x", ("gone",), 1.0), Added("", "row", "x", "gone", 1.0)])
def test_nothing_is_met_without_a_peer(target: Target, results: Results) -> None:
    assert judge(target, "kilngate", results).is_met is None
