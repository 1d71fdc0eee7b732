"""What the tables and profiles say."""

import pytest

from bench.profiling import render_samples
from bench.report import doubts, number, table
from bench.rows import draw


@pytest.mark.parametrize(
    ("value", "said"), [(None, "-"), (0.123, "0.12"), (9.99, "9.99"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_a_figure_has_the_digits_that_count(value: float | None, said: str) -> None:
    assert number(value) == said


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    drawn = table(("", "nginx"), [("upload", "1"), ("up", "2")])

    assert drawn == "|        | nginx |\n|--------|-------|\n| upload | 1     |\n| up     | 2     |"


def test_bulk_is_told_by_the_octets_and_calls_by_the_second() -> None:
    counted = {"calls": 100, "seconds": 2.0, "octets": 1 << 29, "p50_us": 250, "p99_us": 900}

    drawn = draw(counted, cpu_seconds=0.5)

    assert (drawn["calls/s"], drawn["CPU us/call"]) == (50.0, 5000.0)
    assert (drawn["MB/s"], drawn["CPU-s/GiB"]) == ((1 << 29) / 2e6, 1.0)
    assert (drawn["p50 ms"], drawn["p99 ms"]) == (0.25, 0.9)


def test_a_direct_way_has_no_cpu_of_its_own() -> None:
    counted = {"calls": 1, "seconds": 1.0, "octets": 0, "p50_us": 1, "p99_us": 1}

    assert set(draw(counted, cpu_seconds=None)) == {"calls/s", "p50 ms", "p99 ms"}


def test_samples_are_told_by_line_by_function_and_by_all_beneath() -> None:
    folded = "main (proxy/app.py:1);send (proxy/edge/x.py:5);SSL_write (ssl.py:9) 3\nmain (proxy/app.py:2) 1\n"

    innermost, own, beneath = render_samples(folded).split("\n\n")

    assert innermost.splitlines()[1:] == ["  75.0 %  SSL_write (ssl.py:9)", "  25.0 %  main (proxy/app.py:2)"]
    assert own.splitlines()[1:] == ["  75.0 %  send (proxy/edge/x.py)", "  25.0 %  main (proxy/app.py)"]
    assert beneath.splitlines()[1:] == [" 100.0 %  main (proxy/app.py)", "  75.0 %  send (proxy/edge/x.py)"]


@pytest.mark.parametrize(("is_quick", "load"), [(True, 0.0), (False, 5.2), (True, 5.2)])
def test_figures_of_a_quick_run_or_a_busy_machine_are_not_to_be_quoted(is_quick: bool, load: float) -> None:
    assert "Not to be quoted" in doubts(is_quick=is_quick, load_before=load)


def test_figures_of_a_whole_run_on_a_quiet_machine_carry_no_warning() -> None:
    assert doubts(is_quick=False, load_before=0.2) == ""
