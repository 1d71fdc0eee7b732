"""Filters of history: for the tenant they mean what they would mean at a daemon of its own, and nothing more."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.buildkit.history_filter import MOST_LETTERS, own_filters
from proxy.buildkit.namespace import Namespace
from proxy.errors import Refused
from proxy.reasons import Reason

NAMES = Namespace("team-a", b"key")
OWN = "ref~=^team-a[.]"
OPERATORS = {
    "==": lambda ref, value: ref == value,
    "!=": lambda ref, value: ref != value,
    "~=": lambda ref, value: re.search(value, ref) is not None,
}

refs = st.text("abt.-_", min_size=1, max_size=4)
names = st.builds("{}.{}".format, st.sampled_from(["team-a", "team-b", "team", "team-a-b", "xteam-a"]), refs)
patterns = st.from_regex(r"\A\^?[abt.][abt.*+?-]{0,5}\$?\Z")


def matches(term: str, ref: str) -> bool:
    """Try a term for refs as the daemon would; patterns that are none match nothing."""
    found = re.fullmatch(r"ref(==|!=|~=)(.*)", term)
    assert found is not None
    try:
        return OPERATORS[found[1]](ref, found[2])
    except re.error:
        return False


def all_match(said: str, ref: str) -> bool:
    """Try all terms of a filter, which are split at commas."""
    return all(matches(term, ref) for term in said.split(","))


def why_refused(*filters: str) -> str:
    """Return the sentence with which filters are refused."""
    with pytest.raises(Refused) as refused:
        own_filters(filters, NAMES)
    assert refused.value.reason is Reason.HISTORY_FILTER
    return refused.value.public_text("1-1")


def test_without_a_filter_all_own_records_are_asked_for() -> None:
    assert own_filters([], NAMES) == [OWN]


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ("ref==abc", f"ref==team-a.abc,{OWN}"),
        ("ref!=abc", f"ref!=team-a.abc,{OWN}"),
        ("ref~=abc", f"ref~=^team-a[.].*(?:abc),{OWN}"),
        ("ref~=^a.*c$", f"ref~=^team-a[.](?:a.*c$),{OWN}"),
        ("status==error", f"status==error,{OWN}"),
        ("repository~=https://example.com/x.git", f"repository~=https://example.com/x.git,{OWN}"),
        ("startedAt>1h30m", f"startedAt>1h30m,{OWN}"),
        ("completedAt<=2026-01-02T03:04:05+01:00", f"completedAt<=2026-01-02T03:04:05+01:00,{OWN}"),
        ("status!=running,ref==abc,duration>=5s", f"status!=running,ref==team-a.abc,duration>=5s,{OWN}"),
    ],
)
def test_a_filter_is_about_own_records_and_names_own_builds(given_: str, said: str) -> None:
    assert own_filters([given_], NAMES) == [said]


def test_each_of_several_filters_is_about_own_records() -> None:
    assert own_filters(["status==error", "duration>1m"], NAMES) == [f"status==error,{OWN}", f"duration>1m,{OWN}"]


@given(names, st.sampled_from(["==", "!="]), refs)
def test_a_ref_is_compared_as_the_tenant_knows_it(name: str, operator: str, ref: str) -> None:
    assume(not ref.startswith("."))
    (said,) = own_filters([f"ref{operator}{ref}"], NAMES)
    own = NAMES.own_ref(name)

    assert all_match(said, name) == (own is not None and matches(f"ref{operator}{ref}", own))


@given(names, patterns)
def test_a_pattern_finds_in_own_refs_what_it_would_find_without_the_tenants_name(name: str, pattern: str) -> None:
    assume(not pattern.startswith("."))
    (said,) = own_filters([f"ref~={pattern}"], NAMES)
    own = NAMES.own_ref(name)

    assert all_match(said, name) == (own is not None and matches(f"ref~={pattern}", own))


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "ref",
        "ref=abc",
        "ref==",
        "ref==a:b",
        "ref== abc",
        "ref==a b",
        'ref=="abc"',
        '"ref"==abc',
        "ref.x==abc",
        "ref~=/abc/",
        "ref~=|abc|",
        "ref~=a|b",
        "ref~=a)|(b",
        "ref~=(?i)a",
        r"ref~=\Aa",
        "ref~=[ab]",
        "ref~=a^b",
        "ref~=^*a",
        "ref~=a{2}",
        "ref==.abc",
        "ref===abc",
        "ref~==abc",
        "status==error,",
        ",status==error",
        "status==err\ror",
        "status==error\n",
        "status==\u00e9",
        "status~=.",
        "repository~=/abc/",
        "repository~=|abc|",
        "created>1h",
        "startedAt==1h",
        "startedAt>1 h",
        "duration>",
        "labels.x==y",
    ],
)
def test_what_might_be_read_in_two_ways_is_refused(odd: str) -> None:
    assert "[KG-351]" in why_refused(odd)


def test_the_sentence_shows_what_was_odd_and_says_what_is_taken() -> None:
    assert 'the history filter status==error,ref=="abc" cannot be used' in why_refused('status==error,ref=="abc"')
    assert "a value without quotes, commas and spaces" in why_refused("labels.x==y")
    assert "letters, digits" in why_refused("ref==a:b")
    assert "^ and $ at its ends" in why_refused("ref~=a|b")


def test_filters_that_would_keep_the_daemon_busy_are_refused() -> None:
    longest = "status==" + "x" * (MOST_LETTERS // 2 - 8)

    assert len(own_filters([longest, longest], NAMES)) == 2
    assert str(MOST_LETTERS) in why_refused(longest, longest + "x")
