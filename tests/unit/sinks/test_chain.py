import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sinks.chain import GENESIS, Chain, digest, verify

bodies = st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), min_size=1, max_size=12)


def chained(count: int) -> list[bytes]:
    chain = Chain()
    return [chain.link({"event": "n", "number": number}) for number in range(count)]


def test_each_line_carries_its_number_and_the_hash_of_the_line_before() -> None:
    first, second = chained(2)

    assert json.loads(first) == {"seq": 1, "prev": GENESIS, "event": "n", "number": 0}
    assert json.loads(second)["prev"] == digest(first) == digest(first.rstrip(b"\n"))


@given(bodies)
def test_an_untouched_chain_is_whole_whatever_it_carries(said: list[dict[str, str]]) -> None:
    chain = Chain()
    keys = {"seq", "prev", "torn"}
    lines = [chain.link({k: v for k, v in body.items() if k not in keys}) for body in said]

    verdict = verify(lines)

    assert verdict.fault is None
    assert (verdict.first_seq, verdict.last_seq, verdict.head) == (1, len(said), chain.head)
    assert all(line.isascii() and line.count(b"\n") == 1 for line in lines)


@given(st.integers(2, 9), st.data())
def test_a_change_of_any_octet_before_the_last_line_is_found(count: int, data: st.DataObject) -> None:
    lines = chained(count)
    at = data.draw(st.integers(0, count - 2))
    octet = data.draw(st.integers(0, len(lines[at]) - 2))
    changed = bytearray(lines[at])
    changed[octet] ^= 1

    verdict = verify([*lines[:at], bytes(changed), *lines[at + 1 :]])

    assert verdict.fault is not None


def test_an_edited_line_is_named() -> None:
    lines = chained(5)
    lines[2] = lines[2].replace(b'"number":2', b'"number":9')

    fault = verify(lines).fault

    assert fault is not None
    assert fault.line == 3
    assert "record 3 was changed" in fault.text


def test_a_deleted_line_is_named_by_the_one_that_follows() -> None:
    lines = chained(5)
    del lines[2]

    fault = verify(lines).fault

    assert fault is not None
    assert (fault.line, "record 4 follows record 2" in fault.text) == (3, True)


def test_lines_in_another_order_are_named() -> None:
    lines = chained(5)
    lines[2], lines[3] = lines[3], lines[2]

    fault = verify(lines).fault

    assert fault is not None
    assert fault.line == 3


def test_a_cut_tail_is_found_only_with_the_head_that_was_noted() -> None:
    lines = chained(5)
    head = digest(lines[-1])

    assert verify(lines[:-1]).fault is None
    assert verify(lines, head=head).fault is None
    fault = verify(lines[:-1], head=head).fault
    assert fault is not None
    assert "cut off" in fault.text


def test_a_changed_last_line_is_found_with_the_head() -> None:
    lines = chained(3)
    head = digest(lines[-1])
    lines[-1] = lines[-1].replace(b'"number":2', b'"number":3')

    assert verify(lines).fault is None
    assert verify(lines, head=head).fault is not None


def test_a_chain_may_have_grown_since_its_head_was_noted() -> None:
    lines = chained(5)

    assert verify(lines, head=digest(lines[2])).fault is None


def test_a_file_may_begin_where_an_older_one_was_rotated_away() -> None:
    verdict = verify(chained(5)[2:])

    assert (verdict.fault, verdict.first_seq, verdict.last_seq) == (None, 3, 5)


@pytest.mark.parametrize(
    "first",
    [
        b'{"seq":1,"prev":"' + b"a" * 64 + b'"}\n',
        b'{"seq":2,"prev":"' + b"0" * 64 + b'"}\n',
    ],
)
def test_a_chain_that_pretends_to_begin_is_found(first: bytes) -> None:
    assert verify([first]).fault is not None


def test_a_rewritten_chain_that_starts_again_is_found() -> None:
    fault = verify([*chained(3), *chained(2)]).fault

    assert fault is not None
    assert fault.line == 4


@pytest.mark.parametrize(
    "junk", [b"\n", b"{half\n", b"[]\n", b'{"seq":true,"prev":"x"}\n', b'{"seq":1}\n', b"[" * 100_000, b"\xff\n"]
)
@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_line_that_is_no_record_is_found(junk: bytes, at: int) -> None:
    lines = chained(4)
    lines.insert(at, junk)

    assert verify(lines).fault is not None


def test_a_line_torn_by_a_crash_is_accepted_if_the_next_start_owned_up_to_it() -> None:
    lines = chained(3)
    torn = b'{"seq":4,"prev":"'
    chain = Chain(3, digest(torn))
    lines += [torn + b"\n", chain.link({"event": "log-opened", "torn": True}), chain.link({"event": "n"})]

    verdict = verify(lines)

    assert (verdict.fault, verdict.last_seq) == (None, 5)


def test_a_torn_line_that_nobody_owned_up_to_is_a_fault() -> None:
    torn = b'{"seq":4,"prev":"'
    chain = Chain(3, digest(torn))

    fault = verify([*chained(3), torn + b"\n", chain.link({"event": "n"})]).fault

    assert fault is not None
    assert fault.line == 4


def test_two_torn_lines_are_not_one_crash() -> None:
    lines = [*chained(3), b"half\n", b"a line\n"]
    chain = Chain(3, digest(b"a line"))

    fault = verify([*lines, chain.link({"event": "log-opened", "torn": True})]).fault

    assert fault is not None
    assert fault.line == 4


def test_nothing_at_all_is_no_fault_but_has_no_lines() -> None:
    assert verify([]).lines == 0
    assert verify([], head="a" * 64).fault is not None
