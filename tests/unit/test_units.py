import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.units import SECOND_NS, parse_duration, parse_size, said, written_duration, written_size


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("500ms", SECOND_NS // 2),
        ("10s", 10 * SECOND_NS),
        ("1.5s", 3 * SECOND_NS // 2),
        ("5m", 300 * SECOND_NS),
        ("24h", 86400 * SECOND_NS),
        ("7d", 7 * 86400 * SECOND_NS),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_as_nanoseconds(text: str, duration_ns: int) -> None:
    assert parse_duration(text) == duration_ns


@pytest.mark.parametrize(
    "text", ["10", 10, 10.0, True, None, "", "10 s", "-1s", "1e3s", "1.2345s", "10S", "10s\n", "١٠s", "1h30m"]
)
def test_a_duration_without_a_clear_unit_is_an_error(text: object) -> None:
    with pytest.raises(ValueError, match="a number and a unit"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "octets"),
    [("512", 512), ("512B", 512), (512, 512), (0, 0), ("64KiB", 65536), ("1GiB", 1 << 30), ("3MiB", 3 << 20)],
)
def test_a_size_is_read_as_octets(text: object, octets: int) -> None:
    assert parse_size(text) == octets


@pytest.mark.parametrize("text", [-1, True, 1.5, None, "", "64 KiB", "64KB", "1.5MiB", "64kib", "-1", "٣"])
def test_a_size_that_is_not_whole_octets_is_an_error(text: object) -> None:
    with pytest.raises(ValueError, match="a whole number and a unit"):
        parse_size(text)


@given(st.integers(min_value=0, max_value=900_000_000).map(lambda micros: micros * 1000))
def test_a_duration_that_was_written_is_read_as_the_same(duration_ns: int) -> None:
    assert parse_duration(written_duration(duration_ns)) == duration_ns


@given(st.integers(min_value=0, max_value=10**11))
def test_a_size_that_was_written_is_read_as_the_same(octets: int) -> None:
    assert parse_size(written_size(octets)) == octets


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0ms"),
        (10 * SECOND_NS, "10s"),
        (90 * SECOND_NS, "90s"),
        (600 * SECOND_NS, "10m"),
        (7200 * SECOND_NS, "2h"),
        (1_500_000, "1.5ms"),
    ],
)
def test_a_duration_is_written_in_its_largest_exact_unit(duration_ns: int, text: str) -> None:
    assert written_duration(duration_ns) == text


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (-5, "0 ms"),
        (250_000_000, "250 ms"),
        (4 * SECOND_NS, "4 s"),
        (119 * SECOND_NS, "119 s"),
        (120 * SECOND_NS, "2 min"),
        (7200 * SECOND_NS, "2 h"),
        (3 * 86400 * SECOND_NS, "3 days"),
    ],
)
def test_a_duration_is_said_as_people_say_it(duration_ns: int, text: str) -> None:
    assert said(duration_ns) == text
