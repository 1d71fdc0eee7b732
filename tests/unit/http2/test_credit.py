"""The laws of flow control through the relay: nobody may send more than somebody takes or keeps."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from proxy.http2.credit import Window
from proxy.http2.frames import DEFAULT_WINDOW_OCTETS, MAX_WINDOW_OCTETS, ErrorCode, ProtocolFault

OCTETS = st.integers(1, 20_000)


class Ends(RuleBasedStateMachine):
    """A window between a sender and a receiver who keep their own books, as RFC 9113 6.9 tells them to.

    The sender never sends more than it may. What the receiver believes to take is
    counted from what it gave and what reached it, and must be what the window says.
    """

    def __init__(self) -> None:
        super().__init__()
        self.window = Window(DEFAULT_WINDOW_OCTETS)
        self.sender_may = DEFAULT_WINDOW_OCTETS
        self.receiver_takes = DEFAULT_WINDOW_OCTETS
        self.kept = 0

    def room(self, octets: int) -> int:
        return min(octets, max(0, self.sender_may))

    @rule(octets=OCTETS)
    def octets_pass(self, octets: int) -> None:
        octets = min(self.room(octets), max(0, self.receiver_takes)) if self.kept == 0 else 0
        self.window.may -= octets
        self.sender_may -= octets
        self.receiver_takes -= octets

    @rule(octets=OCTETS)
    def octets_are_kept(self, octets: int) -> None:
        octets = self.room(octets)
        self.window.keep(octets)
        self.sender_may -= octets
        self.kept += octets

    @precondition(lambda self: self.kept > 0 and self.receiver_takes > 0)
    @rule(octets=OCTETS)
    def kept_octets_are_released(self, octets: int) -> None:
        octets = min(octets, self.kept, self.receiver_takes)
        self.window.release(octets)
        self.kept -= octets
        self.receiver_takes -= octets

    @precondition(lambda self: self.kept > 0)
    @rule(octets=OCTETS)
    def kept_octets_are_discarded(self, octets: int) -> None:
        octets = min(octets, self.kept)
        self.window.discard(octets)
        self.kept -= octets

    @rule(octets=OCTETS)
    def octets_are_dropped(self, octets: int) -> None:
        octets = self.room(octets)
        self.window.drop(octets)
        self.sender_may -= octets

    @rule(octets=OCTETS)
    def octets_of_ours_wait(self, octets: int) -> None:
        self.window.put(octets)
        self.kept += octets

    @rule(octets=st.integers(1, 1 << 20))
    def the_receiver_widens(self, octets: int) -> None:
        self.window.widen(octets)
        self.receiver_takes += octets

    @rule(octets=st.integers(-70_000, 70_000))
    def the_initial_window_changes(self, octets: int) -> None:
        self.window.shift(octets)
        self.sender_may += octets
        self.receiver_takes += octets

    @rule(octets=st.sampled_from([0, 1, 100_000]))
    def we_choose_what_to_keep_at_most(self, octets: int) -> None:
        self.window.allowance = octets

    @rule()
    def the_sender_is_credited(self) -> None:
        owed = self.window.grant()
        self.sender_may += owed
        window = self.window

        assert owed >= 0
        assert self.window.grant() == 0
        # What is owed is never forgotten: a sender that waits while its receiver takes more would wait for ever.
        assert window.may >= window.takes - window.queued + window.allowance or window.may == MAX_WINDOW_OCTETS
        if owed:
            assert window.may <= window.takes - window.queued + window.allowance
        if owed and not window.queued and not window.allowance:
            assert window.may == window.takes

    @invariant()
    def both_ends_believe_what_the_books_say(self) -> None:
        assert self.window.may == self.sender_may
        assert self.window.takes == self.receiver_takes
        assert self.window.queued == self.kept

    @invariant()
    def no_sender_may_pass_the_largest_window(self) -> None:
        assert self.window.may <= MAX_WINDOW_OCTETS


TestEnds = Ends.TestCase


def test_octets_that_pass_open_no_gap() -> None:
    window = Window(100)
    window.may -= 40

    assert (window.may, window.takes, window.grant()) == (60, 60, 0)


def test_kept_octets_are_credited_when_they_are_released_and_not_before() -> None:
    window = Window(100)
    window.keep(40)
    early = window.grant()
    window.release(40)

    assert early == 0
    assert (window.may, window.takes, window.grant()) == (60, 60, 0)


@pytest.mark.parametrize("how", ["discard", "drop"])
def test_octets_that_never_reach_the_receiver_are_credited_in_full(how: str) -> None:
    window = Window(100)
    if how == "drop":
        window.drop(40)
    else:
        window.keep(40)
        window.discard(40)

    assert window.grant() == 40
    assert (window.may, window.takes) == (100, 100)


def test_octets_of_ours_are_taken_from_the_next_credit() -> None:
    window = Window(100)
    window.put(7)
    window.release(7)
    window.widen(5)
    early = window.grant()
    window.widen(5)

    assert (early, window.grant()) == (0, 3)
    assert (window.may, window.takes) == (103, 103)


def test_octets_of_ours_that_wait_are_served_before_the_sender_gets_credit() -> None:
    window = Window(100)
    window.may -= 100
    window.put(7)
    window.widen(5)
    early = window.grant()
    window.release(5)
    window.widen(5)
    window.release(2)

    assert early == 0
    assert (window.grant(), window.may, window.takes) == (3, 3, 3)


def test_an_allowance_lets_the_sender_send_more_than_the_receiver_takes() -> None:
    window = Window(100)
    window.keep(100)
    window.allowance = 300
    granted = window.grant()
    window.allowance = 0
    window.release(100)

    assert (granted, window.may) == (300, 300)
    assert window.grant() == 0


@pytest.mark.parametrize("spent", [0, 100])
def test_a_window_may_reach_its_largest_size_and_no_more(spent: int) -> None:
    window = Window(100)
    window.may -= spent
    window.widen(MAX_WINDOW_OCTETS - window.takes)
    with pytest.raises(ProtocolFault) as caught:
        window.widen(1)

    assert caught.value.code is ErrorCode.FLOW_CONTROL_ERROR
    assert window.takes == MAX_WINDOW_OCTETS


def test_a_credit_never_passes_the_largest_window() -> None:
    window = Window(MAX_WINDOW_OCTETS)
    window.allowance = 1000

    assert window.grant() == 0

    window.keep(300)
    window.allowance = 1000
    assert window.grant() == 300
