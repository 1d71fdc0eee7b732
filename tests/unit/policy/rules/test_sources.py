import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.draft import Draft, UnknownField, encode_number, encode_octets
from proxy.buildkit.source_policy import Action, encode_policy, encode_rule, read_policy
from proxy.buildkit.wire import Shape, WireError
from proxy.policy.rules.sources import Config
from tests.helpers.solves import bridge, control, facts_with, judged, refusal

DIGEST = "sha256:" + "a1" * 32
TEAM: dict[str, Any] = {
    "images": ["alpine:3.*", "registry.example.com/team/**"],
    "git": ["github.com/team/*", "github.com/acme/app", "*.example.com/lib-*/**"],
    "http": ["https://downloads.example.com/**", "https://one.example.com/file.tar"],
}


def told(request: BuildRequest) -> list[tuple[Action, str]]:
    """Return action and regular expression of each rule that the daemon gets."""
    own = BuildRequest(request.encode(), is_bridge=False).source_policy
    assert own is not None
    rules = read_policy(own)
    selectors = [Draft(rule, {1: Shape.NUMBER, 2: Shape.MESSAGE, 3: Shape.MESSAGE}).messages(2)[0] for _, rule in rules]
    texts = [Draft(selector, {1: Shape.TEXT, 2: Shape.NUMBER}) for selector in selectors]
    assert all(one.number(2) == 2 for one in texts), "every rule is a regular expression"
    return [(action, one.text(1)) for (action, _), one in zip(rules, texts, strict=True)]


def denies(rules: Sequence[tuple[Action, str]], source: str) -> bool:
    """Say what a daemon would: the last rule that matches decides."""
    matching = [action for action, regex in rules if re.search(regex.replace("$", r"\Z"), source)]
    return bool(matching) and matching[-1] is Action.DENY


ALLOWED = [
    "local://context",
    "local://dockerfile",
    f"oci-layout://docker.io/library/x@{DIGEST}",
    f"oci-layout+blob://x@{DIGEST}",
    "http://buildkit-session/abc",
    "docker-image://docker.io/library/alpine:3.20",
    f"docker-image://docker.io/library/alpine:3.20@{DIGEST}",
    "docker-image://registry.example.com/team/sub/app:latest",
    f"docker-image+blob://registry.example.com/team/app@{DIGEST}",
    "docker-image://docker.io/docker/dockerfile:1",
    "docker-image://docker.io/docker/dockerfile:1.8.1@"
    "sha256:e87caa74dcb7d46cd820352bfea12591f3dba3ddc4285e19c7dcd13359f7cefd",
    "git://github.com/team/repo",
    "git://github.com/team/repo.git#main:sub",
    "git://github.com/acme/app",
    "git://github.com/acme/app.git#v1",
    "git://git.example.com/lib-x/y/z",
    "git://git.example.com/lib-.x/y",
    "https://downloads.example.com/a/b.tar.gz",
    "https://downloads.example.com/a/b?token=x&y=z",
    "https://one.example.com/file.tar",
]
DENIED = [
    "docker-image://docker.io/library/alpine:4",
    "docker-image://docker.io/library/busybox:1",
    "docker-image://alpine:3.20",
    "docker-image://registry.example.com/other/app:1",
    "docker-image://registry.example.com/team/../other/app:1",
    "docker-image://registry.example.com/team/x/%2e%2e/%2e%2e/other/app:1",
    "docker-image://registry.example.com@evil.example.com/team/app:1",
    "docker-image://evil.example.com/docker-image://registry.example.com/team/app:1",
    "git://github.com/team/repo/../../evil/repo",
    "git://github.com/other/repo",
    "git://github.com/acme/app2",
    "git://evil/x.example.com/lib-x/y",
    "git://evil@git.example.com/lib-x/y",
    "git://git.example.com/lib-x/../evil",
    "git://git.example.com/other/y",
    "git://evil.example.com/github.com/team/repo",
    "https://downloads.example.com.evil.example.com/a",
    "https://user:password@downloads.example.com/a",
    "https://downloads.example.com/../a",
    "https://downloads.example.com/a/%2e%2e/b",
    "https://one.example.com/file.tar?x=y",
    "http://downloads.example.com/a",
    "http://buildkit-session/a/b",
    "http://buildkit-session.evil.example.com/a",
    "http://evil.example.com/local://context",
    "unknown://x",
    "",
]


@pytest.mark.parametrize("source", ALLOWED)
def test_the_daemon_is_told_to_allow_what_is_listed(source: str) -> None:
    request = control()

    judged(request, sources=TEAM)
    judged(bridge(), [facts_with(sources=(source,))], sources=TEAM)

    assert not denies(told(request), source)


@pytest.mark.parametrize("source", DENIED)
def test_the_daemon_is_told_to_deny_all_else(source: str) -> None:
    request = control()

    judged(request, sources=TEAM)

    assert denies(told(request), source)
    assert refusal(bridge(), [facts_with(sources=("local://x", source))], sources=TEAM)[0] == "sources.images"


def test_an_empty_rule_leaves_only_what_the_caller_brings() -> None:
    request = control()

    judged(request, sources={}, frontends={"images": []})
    rules = told(request)

    assert not denies(rules, "local://context")
    assert denies(rules, "docker-image://docker.io/library/alpine:3")
    assert denies(rules, "docker-image://docker.io/docker/dockerfile:1")
    assert denies(rules, "git://github.com/team/repo")
    assert denies(rules, "https://downloads.example.com/a")


def test_everything_may_be_listed_scheme_by_scheme() -> None:
    request = control()

    judged(request, sources={"images": ["**"], "git": ["**"], "http": ["**"]})
    rules = told(request)

    assert not any(denies(rules, source) for source in ["docker-image://x/y", "git://x/y#z", "https://x/y?z"])
    assert denies(rules, "unknown://x")


def test_without_the_rule_nothing_is_told() -> None:
    request = control()

    judged(request)
    judged(control(), [facts_with(sources=("docker-image://evil/x",))])

    assert request.source_policy is None


def test_the_bridge_is_told_nothing_for_the_build_has_been() -> None:
    theirs = encode_policy([encode_rule(Action.ALLOW, ".*")])
    request = bridge(f15=theirs)
    sent = request.encode()

    judged(request, sources=TEAM)

    assert request.draft.messages(12) == []
    assert request.encode() == sent


# --- the client's own policy ------------------------------------------------------------------

SOURCES = st.sampled_from([*ALLOWED, *DENIED])
REGEXES = st.sampled_from([".*", "alpine", "^local://", "^docker-image://registry", "^git://", "team", "^https"])
RULES = st.lists(st.tuples(st.sampled_from([Action.DENY, Action.CONVERT]), REGEXES), max_size=5)


@given(RULES, SOURCES)
def test_what_a_client_denies_stays_denied_and_it_can_allow_nothing(
    theirs: list[tuple[Action, str]], source: str
) -> None:
    request, ours = control(f12=encode_policy([encode_rule(*rule) for rule in theirs])), control()
    judged(request, sources=TEAM)
    judged(ours, sources=TEAM)
    effective = [(action, regex) for action, regex in told(request) if action is not Action.CONVERT]
    own = [(action, regex) for action, regex in theirs if action is not Action.CONVERT]

    assert denies(effective, source) == (denies(told(ours), source) or denies(own, source))
    assert told(request)[2:] == theirs, "and in their order behind ours"


@pytest.mark.parametrize("action", [b"", encode_number(1, 0)])
def test_a_policy_of_the_client_s_own_that_allows_is_refused(action: bytes) -> None:
    allow = action + encode_octets(2, encode_octets(1, b"docker-image://evil/*"))
    request = control(f12=encode_policy([encode_rule(Action.DENY, ".*"), allow]))

    setting, said = refusal(request, sources=TEAM)

    assert setting == "sources.images"
    assert "a source policy of your own with ALLOW rules is not allowed" in said
    judged(request)


@pytest.mark.parametrize(
    ("theirs", "fault"),
    [
        (encode_policy([encode_number(1, 3)]), WireError),
        (encode_policy([encode_rule(Action.DENY, "x") + encode_number(4, 1)]), UnknownField),
        (encode_policy([]) + encode_number(3, 1), UnknownField),
        (b"\xff", WireError),
    ],
)
def test_a_policy_that_nobody_can_read_is_not_passed_on(theirs: bytes, fault: type[Exception]) -> None:
    with pytest.raises(fault):
        judged(control(f12=theirs), sources=TEAM)


def test_a_session_that_the_daemon_asks_stays_for_it_can_only_tighten() -> None:
    request = control(f15="session")

    judged(request, sources=TEAM)

    assert BuildRequest(request.encode(), is_bridge=False).policy_session == "session"


def test_in_shadow_nothing_is_told_and_what_is_seen_is_counted() -> None:
    request = control()
    rules = {"sources": {"mode": "shadow"}}

    [shadowed] = judged(request, [facts_with(sources=("docker-image://evil/x",))], **rules).shadowed

    assert request.source_policy is None
    assert (shadowed.rule, shadowed.detail) == ("sources", "policies.strict.sources.images")


def test_an_identifier_longer_than_any_is_not_looked_at() -> None:
    start = "https://downloads.example.com/"
    longest, source = start + "a" * (4096 - len(start)), start + "a" * (4097 - len(start))

    judged(bridge(), [facts_with(sources=(longest,))], sources=TEAM)
    assert refusal(bridge(), [facts_with(sources=(source,))], sources=TEAM)[0] == "sources.images"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"images": ["docker/dockerfile:>=1.4"]}, "versions cannot be compared by a daemon; "),
        ({"images": ["*"]}, "not a pattern of images; "),
        ({"git": ["https://github.com/team"]}, "not a pattern of repositories; "),
        ({"git": ["team"]}, "not a pattern of repositories; "),
        ({"http": ["downloads.example.com/**"]}, "not a pattern of URLs; "),
        ({"http": ["https://user@x.example.com/**"]}, "not a pattern of URLs; "),
        ({"http": ["https://x.example.com"]}, "not a pattern of URLs; "),
    ],
)
def test_what_is_no_pattern_is_told(rules: dict[str, list[str]], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Config.model_validate(rules)
