"""Laws of the token bucket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Refused
from proxy.limits.limiters.token_bucket import TokenBucket
from proxy.reasons import Reason

rates = st.floats(min_value=0.001, max_value=1e6)
bursts = st.integers(1, 50)
gaps_ns = st.integers(0, 2_000_000_000)


@given(rates, bursts)
def test_a_full_bucket_gives_its_burst_and_no_more(rate: float, burst: int) -> None:
    bucket = TokenBucket(rate=rate, burst=burst)

    for _ in range(burst):
        bucket.take(1, now_ns=7)

    with pytest.raises(Refused) as refused:
        bucket.take(1, now_ns=7)
    assert refused.value.reason is Reason.RATE_LIMITED
    assert refused.value.retry_after_ns == round(1e9 / rate)


@given(rates, bursts, st.lists(gaps_ns, max_size=30))
def test_who_waits_as_told_is_admitted_and_not_a_nanosecond_earlier(rate: float, burst: int, gaps: list[int]) -> None:
    bucket = TokenBucket(rate=rate, burst=burst)
    now_ns = 0

    for gap_ns in gaps:
        now_ns += gap_ns
        if wait_ns := bucket.wait_ns(1, now_ns=now_ns):
            with pytest.raises(Refused):
                bucket.take(1, now_ns=now_ns + wait_ns - 1)
            now_ns += wait_ns
        bucket.take(1, now_ns=now_ns)


@given(rates, bursts, st.lists(st.tuples(gaps_ns, st.integers(0, 5)), max_size=40))
def test_no_span_of_time_gives_more_than_burst_and_rate(rate: float, burst: int, story: list[tuple[int, int]]) -> None:
    bucket = TokenBucket(rate=rate, burst=burst)
    token_ns = round(1e9 / rate)
    now_ns = 0
    taken: list[tuple[int, int]] = []

    for gap_ns, wanted in story:
        now_ns += gap_ns
        tokens = min(wanted, burst)
        if not bucket.wait_ns(tokens, now_ns=now_ns):
            bucket.take(tokens, now_ns=now_ns)
            taken.append((now_ns, tokens))

    for first in range(len(taken)):
        given_out = 0
        for at_ns, tokens in taken[first:]:
            given_out += tokens
            assert given_out * token_ns <= burst * token_ns + at_ns - taken[first][0]


@given(rates, bursts, st.integers(0, 10**12), st.integers(0, 60))
def test_asking_and_refusing_change_nothing(rate: float, burst: int, now_ns: int, taken: int) -> None:
    bucket = TokenBucket(rate=rate, burst=burst)
    for _ in range(min(taken, burst)):
        bucket.take(1, now_ns=now_ns)
    wait_ns = bucket.wait_ns(burst, now_ns=now_ns)

    for _ in range(3):
        bucket.wait_ns(1, now_ns=now_ns)
        if wait_ns:
            with pytest.raises(Refused):
                bucket.take(burst, now_ns=now_ns)

    assert bucket.wait_ns(burst, now_ns=now_ns) == wait_ns


def test_a_quiet_time_fills_the_bucket_but_no_further() -> None:
    bucket = TokenBucket(rate=10, burst=2)
    bucket.take(2, now_ns=0)

    assert bucket.wait_ns(2, now_ns=0) == 200_000_000
    bucket.take(2, now_ns=10**12)
    assert bucket.wait_ns(1, now_ns=10**12) == 100_000_000


def test_no_tokens_cost_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=1)
    bucket.take(1, now_ns=0)

    bucket.take(0, now_ns=0)

    assert bucket.wait_ns(1, now_ns=0) == 1_000_000_000


@pytest.mark.parametrize("tokens", [-1, 4])
def test_what_no_bucket_can_give_is_an_error(tokens: int) -> None:
    bucket = TokenBucket(rate=1, burst=3)

    with pytest.raises(ValueError, match="cannot give"):
        bucket.wait_ns(tokens, now_ns=0)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1e9 + 1, 1), (1, 0), (float("nan"), 1)])
def test_a_bucket_without_rate_or_depth_is_an_error(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="need 0 < rate"):
        TokenBucket(rate=rate, burst=burst)


def test_the_largest_rate_is_a_token_a_nanosecond() -> None:
    bucket = TokenBucket(rate=1e9, burst=1)
    bucket.take(1, now_ns=0)

    assert bucket.wait_ns(1, now_ns=0) == 1


def test_a_changed_bucket_is_full_at_the_same_time() -> None:
    bucket = TokenBucket(rate=1, burst=10)
    bucket.take(10, now_ns=0)

    bucket.change(rate=10, burst=20)

    assert bucket.wait_ns(20, now_ns=0) == 10_000_000_000
    assert bucket.wait_ns(20, now_ns=10_000_000_000) == 0
