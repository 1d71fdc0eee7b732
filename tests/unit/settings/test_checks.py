import pytest

from proxy.settings.checks import check
from proxy.settings.tree import read_tree


def told(text: str) -> list[tuple[int, str, str]]:
    """Return line, dotted path and sentence of each mistake."""
    found = check(read_tree(text.encode()))
    return [(mistake.mark.line, ".".join(map(str, mistake.path)), mistake.what) for mistake in found]


@pytest.mark.parametrize(
    "text", ["- a", "a", "auth: 3\nlisten: {address: 127.0.0.1:1}", "auth: [3, {rules: 4, tenants: 5}]\n"]
)
def test_values_of_a_wrong_shape_are_left_to_others(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    "listen", ["", "listen: {address: 0.0.0.0:1}", "listen: {address: '[::]:1'}", "listen: {address: 10.0.0.1:1}"]
)
@pytest.mark.parametrize("auth", ["", "auth: []", "auth: "])
def test_a_public_address_needs_a_way_to_prove_who_you_are(listen: str, auth: str) -> None:
    [(_, path, what)] = told(f"tenants: {{}}\n{listen}\n{auth}\n")

    assert path == "listen.address"
    assert what.endswith("is public, and nobody could prove who they are; expected a method in 'auth'")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1", "'[::1]:1'"])
def test_a_loopback_address_needs_none(address: str) -> None:
    assert told(f"listen: {{address: {address}}}") == []


def test_a_rule_may_name_only_tenants_that_exist() -> None:
    text = "tenants: {payments: }\nauth:\n  - {type: mtls, rules: [{tenant: payment}, {tenant: payments}]}\n"

    assert told(text) == [(3, "auth.0.rules.0.tenant", "unknown tenant (got 'payment'); did you mean 'payments'?")]


def test_without_tenants_every_rule_names_an_unknown_one() -> None:
    assert told("auth:\n  - {type: mtls, rules: [{tenant: a}]}\n") == [
        (2, "auth.0.rules.0.tenant", "unknown tenant (got 'a'); add it to the block 'tenants'")
    ]


def test_a_method_may_be_bound_only_to_tenants_that_exist() -> None:
    assert told("tenants: {a: }\nauth:\n  - {type: mtls, tenants: [a, b]}\n") == [
        (3, "auth.0.tenants.1", "unknown tenant (got 'b'); add it to the block 'tenants'")
    ]


def test_a_rule_and_a_tenant_may_name_only_policies_that_exist() -> None:
    text = (
        "policies: {untrusted: }\n"
        "tenants: {a: {policy: untrustd}, b: {policy: untrusted}, c: }\n"
        "auth:\n  - {type: mtls, rules: [{tenant: a, policy: strict}, {tenant: b, policy: default}]}\n"
    )

    assert told(text) == [
        (4, "auth.0.rules.0.policy", "unknown policy (got 'strict'); add it to the block 'policies'"),
        (2, "tenants.a.policy", "unknown policy (got 'untrustd'); did you mean 'untrusted'?"),
    ]


def test_the_default_policy_exists_without_being_written() -> None:
    assert told("tenants: {a: {policy: default}}\nlisten: {address: 127.0.0.1:1}") == []
    assert told("tenants: {a: {policy: defautl}}\nlisten: {address: 127.0.0.1:1}") == [
        (1, "tenants.a.policy", "unknown policy (got 'defautl'); did you mean 'default'?")
    ]


def test_two_methods_may_not_have_one_name() -> None:
    text = "auth:\n  - {type: mtls}\n  - {type: mtls}\n  - {type: mtls, name: a}\n  - {type: mtls, name: a}\n"

    assert told(text) == [
        (3, "auth.1", "another method has the name 'mtls' already; give each a 'name' of its own"),
        (5, "auth.3.name", "another method has the name 'a' already; give each a 'name' of its own"),
    ]


def test_two_methods_may_not_judge_the_tokens_of_one_issuer() -> None:
    text = (
        "auth:\n  - {type: jwt, preset: github}\n"
        "  - {type: jwt, preset: github, name: b}\n"
        "  - {type: jwt, preset: github, name: c, issuer: https://token.actions.githubusercontent.com}\n"
        "  - {type: jwt, preset: generic, name: d, issuer: https://d.test}\n"
    )

    assert [(line, path) for line, path, what in told(text) if "judges the tokens" in what] == [
        (3, "auth.1"),
        (4, "auth.2.issuer"),
    ]


def test_the_operators_port_is_another_port() -> None:
    assert told("listen: {address: 127.0.0.1:9464}\nadmin: {address: localhost:9464}\n") == [
        (2, "admin.address", "the public port has this address (got '127.0.0.1:9464'); expected another port")
    ]
    assert told("listen: {address: 127.0.0.1:0}\nadmin: {address: 127.0.0.1:0}\n") == []
