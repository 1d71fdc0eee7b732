"""Permits: never more than the limit, each given back once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limits.permits import NoPermit, Permit, Permits

steps = st.sampled_from(["take", "give back", "give back twice", "raise limit", "lower limit"])


@given(st.integers(0, 4), st.lists(steps, max_size=40))
def test_what_is_in_use_is_what_was_taken_and_not_given_back(limit: int, story: list[str]) -> None:
    permits = Permits(limit)
    held: list[Permit] = []
    gone: list[Permit] = []

    for step in story:
        if step == "take" and permits.in_use < permits.limit:
            held.append(permits.take())
        elif step == "take":
            with pytest.raises(NoPermit):
                permits.take()
        elif step == "give back" and held:
            gone.append(held.pop())
            gone[-1].give_back()
        elif step == "give back twice" and gone:
            gone[-1].give_back()
        elif step.endswith("limit"):
            permits.limit = max(0, permits.limit + (1 if step == "raise limit" else -1))

        assert permits.in_use == len(held)


def test_a_permit_given_back_can_be_taken_again() -> None:
    permits = Permits(1)
    permit = permits.take()

    permit.give_back()
    permits.take()
    permit.give_back()

    assert permits.in_use == 1


def test_a_lower_limit_takes_nothing_away() -> None:
    permits = Permits(3)
    held = [permits.take() for _ in range(3)]

    permits.limit = 1
    held.pop().give_back()
    held.pop().give_back()

    with pytest.raises(NoPermit):
        permits.take()
    held.pop().give_back()
    permits.take()
