"""Budgets: what they admit at once, and what time gives back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http2.abuse import OVERHEAD_OCTETS, SECOND_NS, Budget, Budgets
from proxy.http2.frames import ErrorCode, ProtocolFault

BURSTS = {"resets": 100, "refusals": 100, "settings": 20, "pings": 20, "empty_data": 100, "noise": 200}
PER_SECOND = {"resets": 10, "refusals": 10, "settings": 1, "pings": 1, "empty_data": 1, "noise": 10}


def spent(budget: Budget, now_ns: int, most: int = 1000) -> int:
    """Return how often a budget can be spent now."""
    for number in range(most):
        try:
            budget.spend(now_ns)
        except ProtocolFault as fault:
            assert fault.code is ErrorCode.ENHANCE_YOUR_CALM  # noqa: PT017
            return number
    return most


@pytest.mark.parametrize("name", BURSTS)
def test_a_budget_admits_its_burst_at_once_and_its_rate_each_second(name: str) -> None:
    budget = getattr(Budgets(), name)
    at_once = spent(budget, 0)
    after_a_second = spent(budget, SECOND_NS)
    after_a_day = spent(budget, 86_400 * SECOND_NS)

    assert (at_once, after_a_second, after_a_day) == (BURSTS[name], PER_SECOND[name], BURSTS[name])


def test_a_budget_that_is_spent_says_of_what() -> None:
    budget = Budget("PINGs", burst=1, per_second=1)
    budget.spend(0)
    with pytest.raises(ProtocolFault, match="too many PINGs"):
        budget.spend(SECOND_NS - 1)

    budget.spend(SECOND_NS)


@given(st.integers(1, 20), st.integers(1, 20), st.lists(st.integers(0, 3 * SECOND_NS), max_size=60))
def test_no_budget_admits_more_than_burst_and_rate_together(burst: int, per_second: int, gaps_ns: list[int]) -> None:
    budget = Budget("things", burst=burst, per_second=per_second)
    now_ns = admitted = 0
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        admitted += spent(budget, now_ns, most=3)

    assert admitted <= burst + per_second * now_ns / SECOND_NS + 1e-6


@pytest.mark.parametrize("work_octets", [0, 1, 1 << 30])
def test_frames_may_weigh_eight_times_what_they_carry_and_an_allowance(work_octets: int) -> None:
    budgets = Budgets()
    budgets.work_octets = work_octets
    budgets.wire_octets = 8 * (work_octets + OVERHEAD_OCTETS)
    budgets.check_overhead()
    budgets.wire_octets += 1

    with pytest.raises(ProtocolFault) as caught:
        budgets.check_overhead()

    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM
