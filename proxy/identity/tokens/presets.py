"""What we know of well-known issuers, so that a rule that would let strangers in is a settings error.

Everybody on GitHub or GitLab.com can have a token made for any audience. Names of owners and
repositories are free for others once they are given up, `sub` has several formats and can be
customised: only numeric ids name somebody for good.

Source: docs.github.com, "OpenID Connect reference"; docs.gitlab.com, "ID token authentication";
kubernetes.io, "Configure service accounts for pods".
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from proxy.caller import Kind
from proxy.identity.rules import Rule, texts_at

Claims = Mapping[str, object]
GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
GITLAB_ISSUER = "https://gitlab.com"
LEGACY_KUBERNETES_ISSUER = "kubernetes/serviceaccount"

_GITHUB_IDS = ("repository_owner_id", "repository_id", "enterprise_id")
_GITLAB_IDS = ("project_id", "namespace_id", "job_project_id", "job_namespace_id")
_GITLAB_YES_NO = ("ref_protected", "environment_protected", "target_ref_protected")
_KUBERNETES_CLAIMS = frozenset(
    ["sub", "kubernetes.io.namespace"]
    + [f"kubernetes.io.{thing}.{part}" for thing in ("serviceaccount", "pod", "node") for part in ("name", "uid")]
)
_KUBERNETES_SUBJECT = re.compile(r"system:serviceaccount:[a-z0-9-]+:.+")


@dataclass(frozen=True, slots=True)
class Preset:
    """Knowledge of one kind of issuer: where it is, what its callers are and are called, what is wrong with a rule."""

    issuer: str | None
    kind: Kind
    subject: Callable[[Claims], str]
    faults: Callable[[str, Rule], Iterator[str]]


def faults_of(preset: str, issuer: str, rules: Sequence[Rule]) -> list[str]:
    """Return a sentence for everything about `rules` that would let in others than were meant."""
    return [f"rule {rule.label}: {fault}" for rule in rules for fault in PRESETS[preset].faults(issuer, rule)]


def issuer_fault(preset: str, issuer: str) -> str | None:
    """Return what is wrong with `issuer` under this preset; None if nothing is."""
    if issuer == LEGACY_KUBERNETES_ISSUER:
        return "these tokens never expire and are not bound to a cluster; use the cluster's own issuer URL"
    if preset != "github" and _is_github(issuer):
        return "this is GitHub Actions: use preset github, which knows what its rules must check"
    if preset not in ("github", "gitlab") and issuer.rstrip("/") == GITLAB_ISSUER:
        return "this is GitLab.com: use preset gitlab, which knows what its rules must check"
    return None


def _is_github(issuer: str) -> bool:
    host = urlsplit(issuer).hostname or ""
    return (
        host == "token.actions.githubusercontent.com" or re.fullmatch(r"token\.actions\..+\.ghe\.com", host) is not None
    )


def _has_id(rule: Rule, names: Sequence[str]) -> bool:
    return any(
        all(re.fullmatch("[0-9]{1,20}", pattern) for pattern in rule.match[name])
        for name in names
        if name in rule.match
    )


def _github_faults(_issuer: str, rule: Rule) -> Iterator[str]:
    if "sub" in rule.match:
        yield (
            "do not match on sub: it has two formats and every organisation can customise it. "
            "Use repository_owner_id or repository_id, and ref or environment"
        )
    if not _has_id(rule, _GITHUB_IDS):
        yield (
            f"needs {_either(_GITHUB_IDS)} as digits: everybody on GitHub can have a token for your "
            "audience, and names can be taken over. gh api repos/OWNER/NAME --jq '.owner.id, .id' prints the ids"
        )


def _gitlab_faults(issuer: str, rule: Rule) -> Iterator[str]:
    if "sub" in rule.match:
        yield "do not match on sub: every project can choose what is in it. Use project_id, ref and ref_protected"
    for name in _GITLAB_YES_NO:
        if not {"true", "false"}.issuperset(rule.match.get(name, ())):
            yield f'{name} is the text "true" or "false"'
    if issuer.rstrip("/") == GITLAB_ISSUER and not _has_id(rule, _GITLAB_IDS):
        yield (
            f"needs {_either(_GITLAB_IDS)} as digits: everybody on GitLab.com can have a token for your "
            "audience, and paths can be taken over"
        )


def _kubernetes_faults(_issuer: str, rule: Rule) -> Iterator[str]:
    for name in rule.match:
        if name not in _KUBERNETES_CLAIMS:
            yield f"service account tokens have no claim {name}; they have {', '.join(sorted(_KUBERNETES_CLAIMS))}"
    namespaces = rule.match.get("kubernetes.io.namespace", ("*",))
    subjects = rule.match.get("sub", ("",))
    names_namespace = not any("*" in namespace for namespace in namespaces)
    if not names_namespace and not all(_KUBERNETES_SUBJECT.fullmatch(subject) for subject in subjects):
        yield "needs kubernetes.io.namespace without stars, or sub as system:serviceaccount:NAMESPACE:NAME"


def _generic_faults(_issuer: str, rule: Rule) -> Iterator[str]:
    if "email" in rule.match and rule.match.get("email_verified") != ("true",):
        yield 'a rule on email needs email_verified: "true": some issuers let users write any address'


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _subject(claims: Claims) -> str:
    return str(claims.get("sub", ""))


def _at_ref(repository: str) -> Callable[[Claims], str]:
    """Return a naming such as acme/payments@refs/heads/main, from the claim `repository` and `ref`."""

    def name(claims: Claims) -> str:
        where, ref = texts_at(claims, repository), texts_at(claims, "ref")
        return f"{where[0]}@{ref[0]}" if where and ref else _subject(claims)

    return name


PRESETS = {
    "github": Preset(GITHUB_ISSUER, Kind.CI, _at_ref("repository"), _github_faults),
    "gitlab": Preset(GITLAB_ISSUER, Kind.CI, _at_ref("project_path"), _gitlab_faults),
    "kubernetes": Preset(None, Kind.MACHINE, _subject, _kubernetes_faults),
    "generic": Preset(None, Kind.PERSON, _subject, _generic_faults),
}
