"""Deadlines as callers write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.caller import FOREVER_NS
from proxy.grpc.timeout import format_timeout, parse_timeout


@pytest.mark.parametrize(
    ("value", "timeout_ns"),
    [
        (b"1n", 1),
        (b"2u", 2_000),
        (b"3m", 3_000_000),
        (b"20S", 20_000_000_000),
        (b"5M", 300_000_000_000),
        (b"1H", 3_600_000_000_000),
        (b"0n", 0),
        (b"00000001S", 1_000_000_000),
    ],
)
def test_every_unit_is_read(value: bytes, timeout_ns: int) -> None:
    assert parse_timeout(value) == timeout_ns


def test_eleven_thousand_years_are_clamped() -> None:
    assert parse_timeout(b"99999999H") == FOREVER_NS


@pytest.mark.parametrize(
    "value", [b"", b"S", b"1", b"+1S", b"-5S", b"1 S", b"1s", b"1.5S", b"100000000n", b"1S\n", b"\xb2S", b"1SS"]
)
def test_everything_else_is_malformed(value: bytes) -> None:
    with pytest.raises(ValueError, match="malformed grpc-timeout"):
        parse_timeout(value)


@given(st.integers(min_value=0, max_value=FOREVER_NS))
def test_a_forwarded_deadline_is_never_longer_and_hardly_shorter(timeout_ns: int) -> None:
    again_ns = parse_timeout(format_timeout(timeout_ns))

    assert timeout_ns * (1 - 1e-5) - 1 <= again_ns <= timeout_ns
    assert (again_ns == 0) == (timeout_ns == 0)


def test_what_has_passed_is_zero_and_what_is_endless_stays_in_eight_digits() -> None:
    assert format_timeout(-1) == b"0n"
    assert format_timeout(99_999_999) == b"99999999n"
    assert format_timeout(100_000_000) == b"100000u"
    assert format_timeout(FOREVER_NS * 1000) == format_timeout(FOREVER_NS) == b"76861433M"
