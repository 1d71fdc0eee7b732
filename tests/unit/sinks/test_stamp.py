from proxy.sinks.stamp import stamp


def test_a_time_is_written_in_utc_to_the_microsecond() -> None:
    assert stamp(0) == "1970-01-01T00:00:00.000000Z"
    assert stamp(1_769_903_999_000_001_999) == "2026-01-31T23:59:59.000001Z"
