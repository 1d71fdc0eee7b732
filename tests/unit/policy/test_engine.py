from typing import Any

import pytest

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.draft import encode_number
from proxy.buildkit.source_policy import Action, encode_policy, encode_rule
from proxy.buildkit.wire import WireError
from proxy.errors import Refused
from proxy.policy.engine import RULES, Policy
from proxy.policy.settings import PolicySettings
from proxy.reasons import Reason
from tests.helpers.solves import bridge, cache_options, control, judged, policy, refusal

EITHER = pytest.mark.parametrize("request_of", [control, bridge])
PUSH = [("image", {"name": "registry.example.com/app", "push": "true"})]
# What forks may not do.
UNTRUSTED: dict[str, Any] = {"exporters": {"push": False}, "cache": {"exports": []}}


def test_what_stock_clients_send_passes_unchanged_but_for_what_no_build_needs() -> None:
    build = control(attrs={"attest:provenance": "mode=min,inline-only=true", "filename": "Dockerfile"})
    step = bridge(frontend="dockerfile.v0", attrs={"filename": "Dockerfile", "build-arg:A": "b"})
    unchanged = build.encode()

    assert judged(build).shadowed == judged(step).shadowed == ()
    assert build.encode() == unchanged
    assert BuildRequest(step.encode(), is_bridge=True).attrs == {
        "filename": "Dockerfile",
        "build-arg:A": "b",
        "cmdline": "",
    }


def test_a_read_of_a_remote_file_has_no_frontend_and_passes_unchanged() -> None:
    read = bridge(f1=b"\x0a\x01x")
    unchanged = read.encode()

    judged(read)

    assert read.encode() == unchanged


@pytest.mark.parametrize("is_internal", [False, True])
def test_a_build_that_calls_itself_internal_is_judged_like_any_other(is_internal: bool) -> None:
    assert refusal(control(exporters=PUSH, f11=is_internal), **UNTRUSTED)[0] == "exporters.push"
    assert refusal(control(entitlements=["network.host"], f11=is_internal))[0] == "entitlements.allow"


@EITHER
def test_a_parent_for_cgroups_is_taken_out_whatever_the_policy_says(request_of: Any) -> None:
    shadow = {rule: {"mode": "shadow"} for rule in ("frontends", "resources", "network")}
    request = request_of(frontend="dockerfile.v0", attrs={"cgroup-parent": "/", "filename": "x"})

    judged(request, **shadow)

    assert request.attrs == {"filename": "x"}


def test_an_untrusted_build_neither_pushes_nor_exports_caches_but_still_builds() -> None:
    cache = cache_options(imports=[("registry", {"ref": "registry.example.com/cache"})])
    judged(control(exporters=[("local", {})], cache=cache), **UNTRUSTED)
    export = cache_options(exports=[("registry", {"ref": "registry.example.com/cache"})])

    assert refusal(control(exporters=PUSH), **UNTRUSTED)[0] == "exporters.push"
    assert refusal(control(deprecated_exporter=PUSH[0]), **UNTRUSTED)[0] == "exporters.push"
    assert refusal(control(cache=export), **UNTRUSTED)[0] == "cache.exports"


def test_a_rule_in_shadow_tells_and_neither_refuses_nor_changes() -> None:
    rules = {"exporters": {"push": False, "mode": "shadow"}, "entitlements": {"mode": "shadow"}}
    request = control(exporters=PUSH, entitlements=["device", "network.host"])
    unchanged = request.encode()

    shadowed = judged(request, **rules).shadowed

    assert [(one.rule, one.reason, one.detail) for one in shadowed] == [
        ("entitlements", Reason.POLICY_ENTITLEMENTS, "policies.strict.entitlements.allow"),
        ("exporters", Reason.POLICY_EXPORTERS, "policies.strict.exporters.push"),
    ]
    assert request.encode() == unchanged


def test_a_rule_in_shadow_leaves_the_others_as_they_are() -> None:
    request = control(exporters=PUSH, entitlements=["device"])

    assert refusal(request, entitlements={"mode": "shadow"}, exporters={"push": False})[0] == "exporters.push"


def test_what_is_told_of_a_refusal_names_the_setting_and_nothing_of_the_caller_s() -> None:
    with pytest.raises(Refused) as raised:
        judged(bridge(frontend="gateway.v0", attrs={"source": "secret/image"}))

    assert raised.value.detail == "policies.strict.frontends.images"
    assert "secret/image" in raised.value.public_text("1")


def test_without_a_contact_the_sentence_still_says_whom_to_ask() -> None:
    assert "or ask whoever runs this farm (ref 7-1)" in refusal(control(entitlements=["device"]))[1]


@pytest.mark.parametrize(
    "request_",
    [
        control(f15="session"),
        control(f12=encode_policy([encode_rule(Action.DENY, "x"), encode_rule(Action.CONVERT, "x")])),
        control(f12=encode_policy([encode_rule(Action.DENY, "x") + encode_number(9, 1)])),
    ],
)
def test_a_policy_of_the_client_s_own_that_may_replace_sources_is_remembered(request_: BuildRequest) -> None:
    judgement = judged(request_)

    assert judgement.replaces_sources
    assert judged(bridge(), replaces_sources=judgement.replaces_sources).replaces_sources


@pytest.mark.parametrize("request_", [control(), control(f12=encode_policy([encode_rule(Action.DENY, "x")])), bridge()])
def test_other_builds_replace_nothing(request_: BuildRequest) -> None:
    assert not judged(request_).replaces_sources


def test_a_policy_of_the_client_s_own_that_cannot_be_read_is_told() -> None:
    with pytest.raises(WireError):
        judged(control(f12=b"\x12\x01"))


def test_every_rule_has_a_key_in_a_policy_and_a_reason_of_its_own() -> None:
    assert [rule.name for rule in RULES] == [key for key in PolicySettings.model_fields if key != "contact"]
    assert [rule.reason.label for rule in RULES] == [f"policy-{rule.name}" for rule in RULES]


def test_an_operator_reads_what_a_policy_allows() -> None:
    written = {
        "entitlements": {"allow": ["network.host"], "mode": "shadow"},
        "frontends": {"allow": [], "images": ["acme/*:1.*"], "syntax_line": "follow"},
        "exporters": {"types": ["image"], "push": True, "names": ["acme/**"], "insecure": True, "store": True},
        "cache": {"imports": [], "exports": ["registry"], "export_refs": ["acme/cache"]},
        "sources": {"images": ["alpine"], "git": ["github.com/acme/*"]},
        "network": {"modes": ["none"], "add_hosts": False, "proxy": True},
        "resources": {"memory": "8GiB", "cpus": 2.5, "ulimits": {"nofile": 1024}},
        "exec": {"role": "admin", "mode": "shadow"},
    }

    assert policy(**written).lines() == [
        "entitlements: network.host (shadow)",
        "frontends: none; images acme/*:1.*; follow lines # syntax=",
        "exporters: image; push to acme/**; insecure; store",
        "cache: no import; export registry to acme/cache",
        "sources: only alpine, github.com/acme/*, and local ones",
        "network: none; no added hosts; by the daemon's proxy",
        "resources: memory 8GiB; cpus 2.5; nofile 1024",
        "exec: admin or more (shadow)",
    ]


def test_the_default_policy_reads_so() -> None:
    assert Policy("default", PolicySettings()).lines() == [
        "entitlements: none",
        "frontends: dockerfile.v0; images docker.io/docker/dockerfile:>=1.4; ignore lines # syntax=",
        "exporters: local, tar, oci, docker, image; push to **",
        "cache: import registry, local, gha from **; export inline, registry, local, gha to **",
        "network: sandbox, none",
        "resources: no limits",
        "exec: maintainer or more",
    ]


def test_a_policy_without_pushes_and_exports_reads_so() -> None:
    lines = policy(**UNTRUSTED).lines()

    assert "exporters: local, tar, oci, docker, image; no push" in lines
    assert "cache: import registry, local, gha from **; no export" in lines


def test_every_example_of_the_manual_is_a_policy() -> None:
    from proxy.settings.tree import read_tree

    for rule in RULES:
        tree = read_tree(rule.example.encode())
        assert list(tree.root) == [rule.name]
        policy(**tree.root)
