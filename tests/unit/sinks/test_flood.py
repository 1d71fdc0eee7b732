from hypothesis import given
from hypothesis import strategies as st

from proxy.sinks.flood import OTHERS, FloodGate, Held

MINUTE_NS = 60_000_000_000


def gate(each: int = 2, in_all: int = 100, keys: int = 1024) -> FloodGate:
    return FloodGate(each=each, in_all=in_all, window_ns=MINUTE_NS, keys=keys)


def test_the_first_lines_pass_and_the_rest_are_counted() -> None:
    one = gate()

    assert [one.admits("refused", "a", now_ns=0) for _ in range(5)] == [True, True, False, False, False]
    assert one.ended(MINUTE_NS) == [Held("refused", "a", 3)]


def test_nothing_is_told_before_the_window_is_over() -> None:
    one = gate(each=0)
    one.admits("refused", "a", now_ns=5)

    assert one.ended(MINUTE_NS + 4) == []
    assert one.ended(MINUTE_NS + 5) == [Held("refused", "a", 1)]
    assert one.ended(9 * MINUTE_NS) == []


def test_a_flood_from_one_peer_does_not_hide_another() -> None:
    one = gate()
    for _ in range(50):
        one.admits("refused", "hostile", now_ns=0)

    assert one.admits("refused", "honest", now_ns=0)


def test_many_peers_together_are_bounded_for_each_kind_of_line() -> None:
    one = gate(in_all=10)
    passed = sum(one.admits("refused", peer, now_ns=0) for peer in range(1000))

    assert passed == 10
    assert one.admits("handshake", 1, now_ns=0)


def test_only_so_many_peers_are_remembered() -> None:
    one = gate(each=1, keys=2)
    for peer in "abcd":
        one.admits("refused", peer, now_ns=0)

    assert one.close() == [Held("refused", OTHERS, 1)]


def test_a_new_window_admits_again() -> None:
    one = gate(each=1)
    one.admits("refused", "a", now_ns=0)
    one.ended(MINUTE_NS)

    assert one.admits("refused", "a", now_ns=MINUTE_NS)


@given(st.lists(st.tuples(st.sampled_from("xy"), st.integers(0, 5))), st.integers(0, 3), st.integers(0, 10))
def test_every_line_is_passed_or_counted(lines: list[tuple[str, int]], each: int, in_all: int) -> None:
    one = gate(each=each, in_all=in_all, keys=4)

    passed = sum(one.admits(kind, key, now_ns=0) for kind, key in lines)

    assert passed + sum(held.count for held in one.close()) == len(lines)
