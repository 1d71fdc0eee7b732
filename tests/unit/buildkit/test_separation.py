"""Cache mounts and results of steps: one tenant's never meet another's, and its own meet where they would alone."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.separation import separate, separated_cache_id, separated_hostname, unseparated
from proxy.errors import Refused
from proxy.reasons import Reason
from tests.helpers.buildkit_proto import message_class, octets_of

NAMESPACE, ARGUMENT = "build-arg:BUILDKIT_CACHE_MOUNT_NS", "build-arg:BUILDKIT_SANDBOX_HOSTNAME"
tenants = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
near = st.sampled_from(["payments", "payment", "xpayments", "s"])
"""Tenants that are near each other, so that texts made of their names hit."""
texts = st.lists(st.sampled_from(["payments", "payment", "s", ".", "/", ":", "x", "-"]), max_size=5).map("".join)


def frontend_of_dockerfiles(namespace: str, cache_id: str) -> str:
    """Return the id of the mount that the dockerfile frontend asks for."""
    return f"{namespace}/{cache_id}"


def request(*, is_bridge: bool = True, frontend: str = "dockerfile.v0", attrs: dict[str, str]) -> BuildRequest:
    message: Any
    if is_bridge:
        message = message_class("BridgeSolveRequest")(frontend=frontend, frontend_opt=attrs)
    else:
        message = message_class("SolveRequest")(ref="r", frontend=frontend, frontend_attrs=attrs)
    return BuildRequest(octets_of(message), is_bridge=is_bridge)


def separated(
    attrs: dict[str, str], tenant: str = "payments", *, separates_runs: bool = True, is_bridge: bool = True
) -> dict[str, str]:
    asked = request(attrs=attrs, is_bridge=is_bridge)
    separate(asked, tenant, separates_runs=separates_runs)
    return BuildRequest(asked.encode(), is_bridge=is_bridge).attrs


@pytest.mark.parametrize("is_bridge", [True, False])
def test_a_build_that_asks_for_nothing_gets_the_tenants_namespace_and_hostname(is_bridge: bool) -> None:
    given = {"filename": "Dockerfile"}

    assert separated(given, is_bridge=is_bridge) == {**given, NAMESPACE: "payments", ARGUMENT: "payments"}


def test_results_may_be_shared_and_cache_mounts_never() -> None:
    assert separated({}, separates_runs=False) == {NAMESPACE: "payments"}
    assert separated({"hostname": "h", NAMESPACE: "n"}, separates_runs=False) == {
        "hostname": "h",
        NAMESPACE: "payments.n",
    }


@pytest.mark.parametrize(
    ("given", "hostnames"),
    [
        ({ARGUMENT: "h"}, {ARGUMENT: "h.payments"}),
        ({"hostname": "h"}, {"hostname": "h.payments"}),
        ({ARGUMENT: "", "hostname": "h"}, {ARGUMENT: "", "hostname": "h.payments"}),
        ({ARGUMENT: "a", "hostname": "h"}, {ARGUMENT: "a.payments", "hostname": "h.payments"}),
        ({ARGUMENT: "", "hostname": ""}, {ARGUMENT: "payments", "hostname": ""}),
        ({ARGUMENT: "h.platform"}, {ARGUMENT: "h.platform.payments"}),
    ],
)
def test_a_hostname_of_ones_own_stays_in_front_of_the_tenants(given: dict[str, str], hostnames: dict[str, str]) -> None:
    assert separated(given) == {**hostnames, NAMESPACE: "payments"}


@given(near, texts, texts, near, texts, texts)
def test_two_tenants_never_meet_in_a_cache_mount(
    tenant: str, namespace: str, cache_id: str, other: str, their_namespace: str, their_id: str
) -> None:
    assume(tenant != other)
    ids = [
        {
            frontend_of_dockerfiles(separated({NAMESPACE: one}, who)[NAMESPACE], cache),
            separated_cache_id(cache, who),
            separated_cache_id(one, who),
        }
        for who, one, cache in ((tenant, namespace, cache_id), (other, their_namespace, their_id))
    ]

    assert not ids[0] & ids[1]
    assert "" not in ids[0]


@given(texts, texts, texts, texts)
def test_two_builds_of_a_tenant_meet_in_a_cache_mount_if_they_would_alone(
    namespace: str, cache_id: str, other: str, other_id: str
) -> None:
    forced, other_forced = (separated({NAMESPACE: one})[NAMESPACE] for one in (namespace, other))
    would = frontend_of_dockerfiles(namespace, cache_id) == frontend_of_dockerfiles(other, other_id)

    assert (frontend_of_dockerfiles(forced, cache_id) == frontend_of_dockerfiles(other_forced, other_id)) is would


@given(texts, texts, texts)
def test_a_definition_meets_a_dockerfile_only_where_it_would_alone(namespace: str, cache_id: str, whole: str) -> None:
    alone = frontend_of_dockerfiles(namespace, cache_id)
    forced = frontend_of_dockerfiles(separated({NAMESPACE: namespace})[NAMESPACE], cache_id)
    is_own = whole.startswith(("payments/", "payments.")) or whole == "payments"

    assert separated_cache_id(alone, "payments") == forced or alone.startswith(("payments/", "payments."))
    assert (separated_cache_id(whole, "payments") == forced) is (whole == (forced if is_own else alone))


@given(tenants, texts)
def test_a_cache_id_is_renamed_once(tenant: str, cache_id: str) -> None:
    name = separated_cache_id(cache_id, tenant)

    assert separated_cache_id(name, tenant) == name
    assert name.startswith((f"{tenant}/", f"{tenant}.")) or name == tenant


def test_a_hostname_that_ends_like_the_tenants_is_another() -> None:
    assert separated_hostname("xpayments", "payments") == "xpayments.payments"
    assert separated_hostname("x.payments", "payments") == "x.payments"


@given(near, texts, near, texts)
def test_two_tenants_never_have_the_same_hostname(tenant: str, mine: str, other: str, theirs: str) -> None:
    assume(tenant != other)
    hostnames = [
        {separated_hostname(one, who), separated({ARGUMENT: one}, who)[ARGUMENT]}
        for who, one in ((tenant, mine), (other, theirs))
    ]

    assert not hostnames[0] & hostnames[1]
    assert separated_hostname(separated_hostname(mine, tenant), tenant) == separated_hostname(mine, tenant)


@given(st.dictionaries(st.sampled_from([NAMESPACE, ARGUMENT, "hostname", "label:a"]), texts.filter(bool)), tenants)
def test_what_history_tells_is_what_was_given(given: dict[str, str], tenant: str) -> None:
    assert unseparated(separated(given, tenant), tenant) == given


@given(st.dictionaries(st.sampled_from([NAMESPACE, ARGUMENT, "hostname"]), texts), near)
def test_what_was_never_separated_is_told_as_it_is(attrs: dict[str, str], tenant: str) -> None:
    foreign = {key: f"a{value}b" for key, value in attrs.items()}

    assert unseparated(foreign, tenant) == foreign


def test_a_hostname_fills_what_linux_allows_and_not_an_octet_more() -> None:
    longest = "h" * (64 - len(".payments"))

    assert len(separated({ARGUMENT: longest})[ARGUMENT]) == 64
    assert len(separated_hostname(longest, "payments")) == 64
    for hostname in (longest + "h", "ü" * 28):
        with pytest.raises(Refused) as refusal:
            separated({ARGUMENT: hostname})
        assert refusal.value.reason is Reason.HOSTNAME_TOO_LONG
        with pytest.raises(Refused):
            separated_hostname(hostname, "payments")
    assert "at most 55 octets are left" in refusal.value.public_text("x")


def test_the_longest_tenant_has_a_hostname_and_no_room_for_another() -> None:
    assert separated({}, "t" * 63)[ARGUMENT] == "t" * 63
    with pytest.raises(Refused) as refusal:
        separated({"hostname": "h"}, "t" * 63)
    assert refusal.value.facts["limit"] == 0


@pytest.mark.parametrize("is_bridge", [True, False])
def test_the_development_gateway_with_its_own_attributes_is_refused(is_bridge: bool) -> None:
    asked = request(is_bridge=is_bridge, frontend="gateway.v0", attrs={"gateway-devel": "", "source": "dockerfile.v0"})

    with pytest.raises(Refused) as refusal:
        separate(asked, "payments", separates_runs=True)
    assert refusal.value.reason is Reason.GATEWAY_DEVEL


@pytest.mark.parametrize("is_bridge", [True, False])
def test_a_request_that_names_no_frontend_is_left_as_it_is(is_bridge: bool) -> None:
    asked = request(is_bridge=is_bridge, frontend="", attrs={"attest:provenance": "mode=min", NAMESPACE: "platform"})
    before = asked.encode()
    separate(asked, "payments", separates_runs=True)

    assert asked.encode() == before
