from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from proxy.caller import Role
from proxy.identity.rules import Rule, TokenRules, explain, first_match, is_match, nearest, nearly, texts_at

ADAPTER: TypeAdapter[Any] = TypeAdapter(TokenRules)
MAIN = {"name": "main", "match": {"owner": "1", "ref": "refs/heads/main"}, "tenant": "payments", "role": "maintainer"}
ANY_REF = {"match": {"owner": "1"}, "tenant": "payments", "role": "viewer"}


def rules(*written: dict[str, Any]) -> tuple[Rule, ...]:
    read: tuple[Rule, ...] = ADAPTER.validate_python(list(written))
    return read


def fault_of(*written: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        ADAPTER.validate_python(list(written))
    return str(raised.value)


def test_the_first_rule_of_which_everything_holds_decides() -> None:
    both = rules(MAIN, ANY_REF)

    assert first_match(both, {"owner": "1", "ref": "refs/heads/main"}) is both[0]
    assert first_match(both, {"owner": "1", "ref": "refs/heads/other"}) is both[1]
    assert first_match(both, {"owner": "2", "ref": "refs/heads/main"}) is None
    assert both[0].granted is Role.MAINTAINER


def test_without_rules_nobody_matches() -> None:
    assert first_match((), {"owner": "1"}) is None
    assert nearest((), {}) is None
    assert nearly((), {}) == "there are no rules"


def test_rules_without_a_name_get_one() -> None:
    assert [rule.label for rule in rules(MAIN, ANY_REF)] == ["main", "rule-2"]
    assert Rule.model_validate(ANY_REF).label == "rule"


def test_a_caller_who_matches_may_build_unless_the_rule_says_otherwise() -> None:
    assert rules({"match": {"a": "b"}, "tenant": "t"})[0].granted is Role.BUILDER


@pytest.mark.parametrize(
    ("attributes", "path", "texts"),
    [
        pytest.param({"a": "x"}, "a", ("x",), id="text"),
        pytest.param({"a": 12}, "a", ("12",), id="number"),
        pytest.param({"a": True}, "a", ("true",), id="yes"),
        pytest.param({"a": False}, "a", ("false",), id="no"),
        pytest.param({"a": ["x", 1, True]}, "a", ("x", "1", "true"), id="list"),
        pytest.param({"a": ("x", "y")}, "a", ("x", "y"), id="tuple"),
        pytest.param({"a": [["x"]]}, "a", (), id="list in a list"),
        pytest.param({"a": 1.5}, "a", (), id="fraction"),
        pytest.param({"a": None}, "a", (), id="null"),
        pytest.param({"a": {"b": "x"}}, "a", (), id="mapping"),
        pytest.param({"a": {"b": "x"}}, "a.b", ("x",), id="nested"),
        pytest.param({"a.b": "x"}, "a.b", ("x",), id="key with a dot"),
        pytest.param({"a.b": {"c.d": "x"}}, "a.b.c.d", ("x",), id="keys with dots, nested"),
        pytest.param({"kubernetes.io": {"namespace": "x"}}, "kubernetes.io.namespace", ("x",), id="kubernetes"),
        pytest.param({"https://acme.example/groups": ["x"]}, "https://acme.example/groups", ("x",), id="url"),
        pytest.param({"a.b": "x", "a": {"b": "y"}}, "a.b", (), id="two readings count as none"),
        pytest.param({"a": "x"}, "b", (), id="absent"),
        pytest.param({"a": "b"}, "a.b", (), id="deeper than there is"),
        pytest.param({"a": ["b"]}, "a.b", (), id="into a list"),
        pytest.param({"a": {"b": {"c": "x"}}}, "a.b.c", ("x",), id="nested twice"),
    ],
)
def test_a_path_names_texts(attributes: dict[str, object], path: str, texts: tuple[str, ...]) -> None:
    assert texts_at(attributes, path) == texts


def test_a_list_fulfils_a_condition_by_any_member_and_a_condition_by_any_value() -> None:
    rule = rules({"match": {"groups": ["acme/ops", "acme/ci-*"]}, "tenant": "t"})[0]

    assert is_match(rule, {"groups": ["other", "acme/ci-7"]})
    assert is_match(rule, {"groups": "acme/ops"})
    assert not is_match(rule, {"groups": ["other"]})
    assert not is_match(rule, {"groups": []})
    assert not is_match(rule, {})


@given(
    st.dictionaries(st.sampled_from("abc"), st.text("xy", min_size=1, max_size=2), min_size=1), st.sampled_from("abc")
)
def test_taking_an_attribute_away_never_makes_a_rule_match(attributes: dict[str, str], taken: str) -> None:
    rule = rules({"match": {name: [value] for name, value in attributes.items()}, "tenant": "t"})[0]
    rest = {name: value for name, value in attributes.items() if name != taken}

    assert is_match(rule, attributes)
    assert is_match(rule, rest) == (taken not in attributes)


def test_the_rule_that_nearly_matched_is_named_without_values() -> None:
    both = rules(MAIN, {"match": {"team": "a", "secret": "b"}, "tenant": "t"})

    assert nearly(both, {"owner": "1", "ref": "refs/heads/topic"}) == "nearest rule main: not as wanted: ref"


def test_an_operator_reads_which_rule_matched() -> None:
    said = explain(rules(MAIN), {"owner": "1", "ref": "refs/heads/main"})

    assert said == ["rule main matches: tenant payments, role maintainer"]


def test_an_operator_reads_what_was_missing_nearest_rule_first() -> None:
    far = {"match": {"team": ["a", "b"]}, "tenant": "t"}

    said = explain(rules(far, MAIN), {"owner": "1", "ref": ["x\x1b[2J", "y"]})

    assert said == [
        "no rule matches",
        "rule main (tenant payments): 1 of 2 conditions hold",
        "  ref is 'x?[2J', 'y', not 'refs/heads/main'",
        "rule rule-1 (tenant t): 0 of 1 conditions hold",
        "  team is not there, wanted 'a' or 'b'",
    ]


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ({"match": {}, "tenant": "t"}, "at least 1 item"),
        ({"match": {"a": ""}, "tenant": "t"}, "no empty one"),
        ({"match": {"a": []}, "tenant": "t"}, "at least one value"),
        ({"match": {"a": 12}, "tenant": "t"}, 'in quotes: "12"'),
        ({"match": {"a": True}, "tenant": "t"}, 'in quotes: "true"'),
        ({"match": {"a": ["x", 1.5]}, "tenant": "t"}, 'in quotes: "1.5"'),
        ({"match": {"a": None}, "tenant": "t"}, "needs a text"),
        ({"match": {"a b": "x"}, "tenant": "t"}, "should match pattern"),
        ({"match": {"": "x"}, "tenant": "t"}, "should match pattern"),
        ({"match": {"a": "x"}, "tenant": "Payments"}, "should match pattern"),
        ({"match": {"a": "x"}, "tenant": "t\n"}, "should match pattern"),
        ({"match": {"a": "x"}, "tenant": "-t"}, "should match pattern"),
        ({"match": {"a": "x"}, "tenant": "t" * 64}, "should match pattern"),
        ({"match": {"a": "x"}, "tenant": "t", "role": "root"}, "'maintainer' or 'admin'"),
        ({"match": {"a": "x"}, "tenant": "t", "name": "a b"}, "should match pattern"),
        ({"match": {"a": "x"}, "tenant": "t", "roles": "admin"}, "Extra inputs"),
        ({"match": {"a": "x"}}, "Field required"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(written: dict[str, Any], what: str) -> None:
    assert what in fault_of(written)


def test_no_rules_and_two_of_one_name_are_refused() -> None:
    assert "at least one rule" in fault_of()
    assert "two rules have the name 'main'" in fault_of(MAIN, MAIN)
    assert "two rules have the name 'rule-2'" in fault_of({**MAIN, "name": "rule-2"}, ANY_REF)
