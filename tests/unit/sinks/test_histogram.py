from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from proxy.sinks.histogram import BUILD_BUCKETS, Histogram

SECOND_NS = 1_000_000_000


def test_a_duration_on_a_bound_belongs_below_it() -> None:
    one = Histogram((1.0, 2.5))
    one.observe(SECOND_NS)
    one.observe(SECOND_NS + 1)

    assert one.read() == ([("1.0", 1), ("2.5", 2), ("+Inf", 2)], (2 * SECOND_NS + 1) / SECOND_NS)


@given(st.lists(st.integers(0, 6000 * SECOND_NS)))
def test_each_bucket_counts_all_that_is_at_or_below_it(durations_ns: list[int]) -> None:
    one = Histogram(BUILD_BUCKETS)
    for duration_ns in durations_ns:
        one.observe(duration_ns)

    buckets, sum_seconds = one.read()

    ordered = sorted(durations_ns)
    assert [count for _, count in buckets[:-1]] == [bisect_right(ordered, b * SECOND_NS) for b in BUILD_BUCKETS]
    assert buckets[-1] == ("+Inf", len(durations_ns))
    assert sum_seconds == sum(durations_ns) / SECOND_NS
