"""Paired rounds: who is measured when, and what is made of it."""

from bench.packages import Unavailable
from bench.rounds import Figures, Results, run_rounds


def run(measure: dict[str, float], *, rounds: int = 3, within_s: float = 60.0) -> tuple[Results, list[str]]:
    results, asked = Results(), []

    def once(_row: str, door: str) -> Figures:
        asked.append(door)
        if door not in measure:
            raise Unavailable("it is not there")
        return {"calls/s": measure[door]}

    run_rounds(["row"], ["a", "b", "c"], once, rounds=rounds, within_s=within_s, results=results, say=lambda _: None)
    return results, asked


def test_every_door_is_first_once() -> None:
    _, asked = run({"a": 1.0, "b": 2.0, "c": 4.0})

    assert "".join(asked) == "abcbcacab"


def test_a_ratio_compares_two_doors_in_the_same_round() -> None:
    results = Results()
    results.rounds["row", "a"] = [{"calls/s": 10.0}, {"calls/s": 300.0}, None]
    results.rounds["row", "b"] = [{"calls/s": 5.0}, {"calls/s": 100.0}, {"calls/s": 7.0}]

    assert results.ratios("row", "a", "b", "calls/s") == [2.0, 3.0]
    assert results.median_ratio("row", "a", "b", "calls/s") == 2.5
    assert results.differences("row", "a", "b", "calls/s") == [5.0, 200.0]


def test_a_door_that_fails_a_row_is_not_asked_again_and_says_why() -> None:
    results, asked = run({"a": 1.0, "b": 2.0})

    assert asked.count("c") == 1
    assert results.failures == {("row", "c"): "it is not there"}
    assert results.median("row", "c", "calls/s") is None
    assert results.median_ratio("row", "c", "a", "calls/s") is None


def test_rounds_end_when_the_next_one_would_take_too_long() -> None:
    _, asked = run({"a": 1.0, "b": 2.0, "c": 4.0}, within_s=-1.0)

    assert len(asked) == 3
