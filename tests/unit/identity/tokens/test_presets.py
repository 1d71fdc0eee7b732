from typing import Any

import pytest

from proxy.identity.rules import Rule
from proxy.identity.tokens.presets import GITHUB_ISSUER, GITLAB_ISSUER, PRESETS, faults_of, issuer_fault
from tests.helpers.signing import GITLAB, KUBERNETES, github_claims, gitlab_claims, kubernetes_claims

OWNER = {"repository_owner_id": "4242"}


def faults(preset: str, issuer: str = "https://issuer.example.com", **match: Any) -> list[str]:
    rule = Rule.model_validate({"name": "r", "match": match, "tenant": "t"})
    return faults_of(preset, issuer, [rule])


@pytest.mark.parametrize(
    "match",
    [
        OWNER,
        {"repository_id": ["1", "2"]},
        {"enterprise_id": "9"},
        {**OWNER, "ref": "refs/heads/*", "job_workflow_ref": "acme/**"},
        {**OWNER, "repository": "acme/*"},
    ],
)
def test_a_github_rule_with_an_id_is_closed(match: dict[str, Any]) -> None:
    assert faults("github", **match) == []


@pytest.mark.parametrize(
    "match",
    [
        pytest.param({"repository": "acme/payments"}, id="a repository by name"),
        pytest.param({"repository_owner": "acme"}, id="an owner by name"),
        pytest.param({"ref": "refs/heads/main"}, id="a branch of anybody"),
        pytest.param({"job_workflow_ref": "acme/**"}, id="a workflow by name"),
        pytest.param({"environment": "production"}, id="an environment of anybody"),
        pytest.param({"repository_owner_id": "*"}, id="any owner"),
        pytest.param({"repository_owner_id": "42*"}, id="owners that begin alike"),
        pytest.param({"repository_owner_id": "acme"}, id="a name for an id"),
        pytest.param({"repository_id": ["777", "**"]}, id="an id or anything"),
        pytest.param({"repository_owner_id": "٤٢"}, id="digits of another script"),
        pytest.param({"actor_id": "7"}, id="a person, in whatever repository"),
    ],
)
def test_a_github_rule_that_lets_strangers_in_is_a_fault(match: dict[str, Any]) -> None:
    assert faults("github", **match) == [
        "rule r: needs repository_owner_id, repository_id or enterprise_id as digits: everybody on GitHub can have a "
        "token for your audience, and names can be taken over. gh api repos/OWNER/NAME --jq '.owner.id, .id' "
        "prints the ids"
    ]


def test_a_github_rule_on_sub_is_a_fault_even_beside_an_id() -> None:
    found = faults("github", sub="repo:acme/payments:*", **OWNER)

    assert len(found) == 1
    assert "do not match on sub" in found[0]


def test_a_gitlab_com_rule_needs_an_id_and_one_of_your_own_gitlab_does_not() -> None:
    assert faults("gitlab", GITLAB_ISSUER, project_id="22") == []
    assert faults("gitlab", GITLAB_ISSUER, namespace_id=["72"], ref="main") == []
    assert faults("gitlab", "https://gitlab.example.com", ref="main") == []
    assert "needs project_id, namespace_id" in faults("gitlab", GITLAB_ISSUER, project_path="acme/payments")[0]
    assert "needs project_id, namespace_id" in faults("gitlab", GITLAB_ISSUER + "/", project_id="*")[0]


@pytest.mark.parametrize("name", ["ref_protected", "environment_protected", "target_ref_protected"])
def test_gitlabs_yes_and_no_are_texts(name: str) -> None:
    assert faults("gitlab", **{name: "true"}) == []
    assert faults("gitlab", **{name: ["true", "false"]}) == []
    for odd in ("True", "yes", "1", "*", ["true", "TRUE"]):
        assert faults("gitlab", **{name: odd}) == [f'rule r: {name} is the text "true" or "false"']


def test_a_gitlab_rule_on_sub_is_a_fault() -> None:
    assert "do not match on sub" in faults("gitlab", sub="project_path:acme/**")[0]


@pytest.mark.parametrize(
    "match",
    [
        {"kubernetes.io.namespace": "build"},
        {"kubernetes.io.namespace": ["build", "ci"], "kubernetes.io.serviceaccount.name": "run*"},
        {"sub": "system:serviceaccount:build:runner"},
        {"sub": "system:serviceaccount:build:*"},
        {"kubernetes.io.serviceaccount.uid": "u", "sub": "system:serviceaccount:build:runner"},
    ],
)
def test_a_kubernetes_rule_with_a_namespace_is_closed(match: dict[str, Any]) -> None:
    assert faults("kubernetes", **match) == []


@pytest.mark.parametrize(
    "match",
    [
        {"kubernetes.io.namespace": "*"},
        {"kubernetes.io.namespace": ["build", "ci-*"]},
        {"kubernetes.io.serviceaccount.name": "runner"},
        {"sub": "system:serviceaccount:*:runner"},
        {"sub": "system:serviceaccount:build*"},
        {"sub": ["system:serviceaccount:build:runner", "**"]},
    ],
)
def test_a_kubernetes_rule_that_any_namespace_fulfils_is_a_fault(match: dict[str, Any]) -> None:
    assert faults("kubernetes", **match) == [
        "rule r: needs kubernetes.io.namespace without stars, or sub as system:serviceaccount:NAMESPACE:NAME"
    ]


@pytest.mark.parametrize("claim", ["namespace", "kubernetes.namespace", "kubernetes.io/namespace", "ref"])
def test_a_kubernetes_rule_on_a_claim_that_is_never_there_is_a_fault(claim: str) -> None:
    found = faults("kubernetes", **{claim: "build", "kubernetes.io.namespace": "build"})

    assert len(found) == 1
    assert found[0].startswith(f"rule r: service account tokens have no claim {claim}; they have kubernetes.io.name")


def test_an_address_counts_only_when_the_issuer_verified_it() -> None:
    assert faults("generic", email="a@acme.example", email_verified="true") == []
    assert faults("generic", sub="anything") == []
    for verified in ({}, {"email_verified": "false"}, {"email_verified": ["true", "false"]}, {"email_verified": "*"}):
        assert "email_verified" in faults("generic", email="*@acme.example", **verified)[0]


def test_every_faulty_rule_is_told() -> None:
    rules = [Rule.model_validate({"name": n, "match": {"ref": "x"}, "tenant": "t"}) for n in ("a", "b")]

    assert [fault[:7] for fault in faults_of("github", GITHUB_ISSUER, rules)] == ["rule a:", "rule b:"]


@pytest.mark.parametrize(
    ("preset", "issuer", "what"),
    [
        ("kubernetes", "kubernetes/serviceaccount", "never expire"),
        ("generic", "kubernetes/serviceaccount", "never expire"),
        ("generic", GITHUB_ISSUER, "use preset github"),
        ("gitlab", GITHUB_ISSUER + "/acme", "use preset github"),
        ("generic", "https://token.actions.acme.ghe.com", "use preset github"),
        ("generic", GITLAB_ISSUER, "use preset gitlab"),
        ("kubernetes", GITLAB_ISSUER + "/", "use preset gitlab"),
    ],
)
def test_a_well_known_issuer_under_another_preset_is_a_fault(preset: str, issuer: str, what: str) -> None:
    assert what in (issuer_fault(preset, issuer) or "")


@pytest.mark.parametrize(
    ("preset", "issuer"),
    [
        ("github", GITHUB_ISSUER),
        ("github", GITHUB_ISSUER + "/acme"),
        ("github", "https://github.acme.example/_services/token"),
        ("gitlab", GITLAB_ISSUER),
        ("gitlab", GITLAB),
        ("kubernetes", KUBERNETES),
        ("generic", "https://token.actions.ghe.com.acme.example"),
        ("generic", "some-name"),
    ],
)
def test_an_issuer_of_its_own_kind_is_none(preset: str, issuer: str) -> None:
    assert issuer_fault(preset, issuer) is None


@pytest.mark.parametrize(
    ("preset", "claims", "subject"),
    [
        ("github", github_claims(), "acme/payments@refs/heads/main"),
        ("github", github_claims(ref=None), "repo:acme@4242/payments@777:ref:refs/heads/main"),
        ("gitlab", gitlab_claims(), "acme/payments@main"),
        ("kubernetes", kubernetes_claims(), "system:serviceaccount:build:runner"),
        ("generic", {"sub": "alice"}, "alice"),
        ("generic", {}, ""),
    ],
)
def test_people_read_a_name_they_know(preset: str, claims: dict[str, object], subject: str) -> None:
    assert PRESETS[preset].subject(claims) == subject
