"""Requests to a running build name nothing but the tenant's own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.bridge_requests import NAMED
from proxy.buildkit.draft import Draft, UnknownField, encode_octets
from proxy.buildkit.methods import METHODS
from proxy.buildkit.namespace import Namespace
from proxy.buildkit.wire import WireError
from tests.helpers.buildkit_proto import message_class, octets_of
from tests.helpers.llb import cache, converted, converting

NAMES = Namespace("payments", b"k" * 32)
FOREIGN = Namespace("platform", b"k" * 32)
S1 = NAMES.session("s1")


def named(method: str, octets: bytes, *, takes_unknown: bool = False) -> bytes:
    shapes, name = NAMED[method]
    draft = Draft(octets, shapes, takes_unknown=takes_unknown)
    name(draft, NAMES)
    return draft.encode()


def after(method: str, **fields: Any) -> Any:
    """Return a request of `method`, named, as the runtime reads it."""
    message = message_class(f"{method}Request")(**fields)
    return type(message).FromString(named(method, octets_of(message)))


def test_every_method_with_names_is_one() -> None:
    assert {f"LLBBridge/{method}" for method in NAMED} <= {method.short for method in METHODS.values()}


def test_an_image_in_a_clients_store_is_sought_in_the_tenants_session() -> None:
    asked = after(
        "ResolveImageConfig",
        ref="docker.io/library/a@sha256:0",
        session_id="s1",
        store_id="store",
        resolver_type=1,
        source_policies=[converting("s1")],
    )

    assert (asked.session_id, asked.store_id, asked.ref) == (S1, "store", "docker.io/library/a@sha256:0")
    assert converted(asked.source_policies[0])["local.session"] == S1


@pytest.mark.parametrize("attr", ["local.session", "oci.session"])
def test_a_source_is_sought_in_the_tenants_session(attr: str) -> None:
    source = {"identifier": "local://context", "attrs": {attr: "s1", "local.unique": "s1"}}
    asked = after("ResolveSourceMeta", source=source, source_policies=[converting("s1")])

    assert asked.source.attrs == {attr: S1, "local.unique": "s1"}
    assert converted(asked.source_policies[0])["local.session"] == S1


def test_a_container_gets_the_tenants_cache_mounts() -> None:
    def request(*ids: str) -> dict[str, Any]:
        mounts = [{"dest": "/", "result_id": "r1"}, *map(cache, ids)]
        return {"container_id": "c1", "mounts": mounts, "network": 1, "hostname": "h"}

    asked = after("NewContainer", **request("/c", "", "platform/c", "payments.own"))

    assert asked == message_class("NewContainerRequest")(
        **request("payments/c", "payments", "payments.platform/c", "payments.own")
    )


@pytest.mark.parametrize("odd", ["x:s1", "a b", "ü", "s" * 129])
def test_a_session_that_no_client_gives_is_refused(odd: str) -> None:
    with pytest.raises(WireError):
        after("ResolveImageConfig", session_id=odd)
    with pytest.raises(WireError):
        after("ResolveSourceMeta", source={"attrs": {"oci.session": odd}})


@pytest.mark.parametrize("method", NAMED)
def test_a_request_that_names_nothing_passes_octet_for_octet(method: str) -> None:
    message = encode_octets(99, b"new")

    assert named(method, b"") == b""
    assert named(method, message, takes_unknown=True) is message


DEEP = {
    "request": ("NewContainer", ()),
    "mount": ("NewContainer", (2,)),
    "cache of a mount": ("NewContainer", (2, 20)),
    "source": ("ResolveSourceMeta", (1,)),
    "policy": ("ResolveSourceMeta", (8,)),
    "update of a rule": ("ResolveImageConfig", (8, 2, 3)),
}


@pytest.mark.parametrize(("method", "path"), DEEP.values(), ids=DEEP)
def test_a_field_that_is_unknown_is_refused_wherever_a_name_may_stand(method: str, path: tuple[int, ...]) -> None:
    message = encode_octets(99, b"new")
    for number in reversed(path):
        message = encode_octets(number, message)

    with pytest.raises(UnknownField):
        named(method, message)
    assert b"new" in named(method, message, takes_unknown=True)


some_names = st.sampled_from(["", "s1", "payments", "payments.c", "platform.c", S1, FOREIGN.session("s1")])


@given(some_names, some_names, some_names)
def test_what_is_named_is_not_named_again(session: str, policy: str, cache_id: str) -> None:
    attrs = {"local.session": session, "oci.session": policy}
    for method, fields in {
        "ResolveImageConfig": {"session_id": session, "source_policies": [converting(policy)]},
        "ResolveSourceMeta": {"source": {"attrs": attrs}, "source_policies": [converting(policy)]},
        "NewContainer": {"mounts": [cache(cache_id), cache(session)]},
    }.items():
        once = named(method, octets_of(message_class(f"{method}Request")(**fields)))

        assert named(method, once) is once
