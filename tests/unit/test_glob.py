import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy import glob

letters = st.text("ab/.", max_size=12)
patterns = st.lists(st.sampled_from(["*", "**", "***", "a", "b", "/", ".", "ab", "[a]", "\n"]), max_size=8).map("".join)


def as_regex(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", pattern)
    return re.compile("".join({"*": "[^/]*", "**": ".*"}.get(part, re.escape(part)) for part in parts), re.DOTALL)


@pytest.mark.parametrize(
    ("pattern", "value", "is_match"),
    [
        ("main", "main", True),
        ("main", "Main", False),
        ("main", "main\n", False),
        ("main", "xmain", False),
        ("refs/heads/*", "refs/heads/main", True),
        ("refs/heads/*", "refs/heads/a/b", False),
        ("refs/heads/**", "refs/heads/a/b", True),
        ("refs/heads/*", "refs/tags/main", False),
        ("refs/heads/*", "x/refs/heads/main", False),
        ("release-*", "release-", True),
        ("a*c", "a\nc", True),
        ("spiffe://farm/*/ci", "spiffe://farm/payments/ci", True),
        ("spiffe://farm/*/ci", "spiffe://farm/a/b/ci", False),
        ("spiffe://farm/**/ci", "spiffe://farm/a/b/ci", True),
        ("*", "", True),
        ("*", "a/b", False),
        ("**", "a/b", True),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("?", "a", False),
    ],
)
def test_a_pattern_describes_whole_values(pattern: str, value: str, is_match: bool) -> None:
    assert glob.matches(pattern, value) is is_match


@given(patterns, letters)
@example("***", "a/b")
@example("*/**/b", "a//b")
def test_a_pattern_means_what_the_equivalent_expression_means(pattern: str, value: str) -> None:
    assert glob.matches(pattern, value) == bool(as_regex(pattern).fullmatch(value))


@given(st.text(max_size=20))
def test_a_value_without_stars_describes_itself_alone(value: str) -> None:
    plain = value.replace("*", "")

    assert glob.matches(plain, plain)
    assert not glob.matches(plain, plain + "x")
    assert not glob.matches(plain, "x" + plain)


@given(patterns, letters, letters)
def test_what_one_segment_matches_any_run_matches_too(pattern: str, value: str, more: str) -> None:
    wider = re.sub(r"\*+", "**", pattern)

    assert glob.matches(wider, value) or not glob.matches(pattern, value)
    assert glob.matches(wider + "**", value + more) or not glob.matches(pattern, value)


def test_a_value_chosen_to_make_backtracking_explode_is_judged_at_once() -> None:
    assert not glob.matches("**a" * 40 + "b", "a" * glob.VALUE_LIMIT)


def test_an_endless_value_matches_no_glob() -> None:
    assert glob.matches("**", "a" * glob.VALUE_LIMIT)
    assert not glob.matches("**", "a" * (glob.VALUE_LIMIT + 1))
