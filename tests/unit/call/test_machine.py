"""The states of a call, and what it holds."""

from functools import partial
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.methods import SESSION, SOLVE
from proxy.call.machine import Call, State
from tests.helpers.talk import a_call

WAYS = {
    (State.JUDGING, State.WAITING),
    (State.JUDGING, State.RUNNING),
    (State.JUDGING, State.ENDED),
    (State.WAITING, State.RUNNING),
    (State.WAITING, State.ENDED),
    (State.RUNNING, State.ENDED),
}


def a_call_that_is(state: State) -> Call:
    call = a_call(SESSION)
    if state is not State.JUDGING:
        call.move(state)
    return call


@pytest.mark.parametrize(("before", "after"), [way for way in product(State, State) if way in WAYS])
def test_a_call_goes_the_ways_of_the_table(before: State, after: State) -> None:
    call = a_call_that_is(before)
    call.move(after)

    assert call.state is after


@pytest.mark.parametrize(("before", "after"), [way for way in product(State, State) if way not in WAYS])
def test_a_call_goes_no_other_way(before: State, after: State) -> None:
    call = a_call_that_is(before)

    with pytest.raises(ValueError, match=f"from {before.value} to {after.value}"):
        call.move(after)

    assert call.state is before


def test_only_a_call_that_waits_is_waiting() -> None:
    assert [state for state in State if a_call_that_is(state).is_waiting] == [State.WAITING]


def test_the_message_of_an_inspected_method_is_read_and_no_other() -> None:
    solve = a_call(SOLVE)

    assert solve.is_read
    assert solve.message_limit_octets == SOLVE.message_limit_octets
    assert not a_call(SESSION).is_read


@given(st.integers(0, 5), st.integers(1, 4))
def test_what_a_call_holds_is_given_back_once_and_last_taken_first(held: int, ends: int) -> None:
    call = a_call(SESSION)
    given_back: list[int] = []
    for number in range(held):
        call.holds(partial(given_back.append, number))

    said = [call.end() for _ in range(ends)]

    assert said == [True] + [False] * (ends - 1)
    assert given_back == list(range(held))[::-1]
