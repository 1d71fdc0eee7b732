"""Requests for history are about the tenant's own builds, and all else in them stays."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.draft import Draft, UnknownField
from proxy.buildkit.history_request import LISTEN, UPDATE, name_listen, name_update, role_to_update
from proxy.buildkit.namespace import Namespace, RememberedNames
from proxy.buildkit.wire import WireError
from proxy.caller import Role
from proxy.errors import Refused
from tests.helpers.buildkit_proto import message_class

NAMES = Namespace("team-a", b"key")
OWN = "ref~=^team-a[.]"
Listen = message_class("BuildHistoryRequest")
Update = message_class("UpdateBuildHistoryRequest")


def listened(request: Any, *, is_operator: bool = False) -> tuple[Any, dict[str, str]]:
    """Return what the daemon is asked, and the names that were changed."""
    draft = Draft(request.SerializeToString(), LISTEN)
    names = RememberedNames("team-a", b"key")
    name_listen(draft, names, is_operator=is_operator)
    return Listen.FromString(bytes(draft.encode())), names.clients


def updated(request: Any, *, is_operator: bool = False) -> tuple[Any, dict[str, str]]:
    """Return what the daemon is asked, and the names that were changed."""
    draft = Draft(request.SerializeToString(), UPDATE)
    names = RememberedNames("team-a", b"key")
    name_update(draft, names, is_operator=is_operator)
    return Update.FromString(bytes(draft.encode())), names.clients


@given(
    st.builds(
        Listen,
        active_only=st.booleans(),
        ref=st.sampled_from(["", "abc"]),
        early_exit=st.booleans(),
        filter=st.lists(st.just("ref==x"), max_size=2),
        limit=st.sampled_from([0, 1, 50, -1]),
    )
)
def test_a_list_is_asked_for_with_own_names_and_own_filters_alone(request: Any) -> None:
    asked, renamed = listened(request)
    expected = Listen()
    expected.CopyFrom(request)
    expected.ref = "team-a.abc" if request.ref else ""
    expected.filter[:] = [f"ref==team-a.x,{OWN}"] * len(request.filter) or [OWN]

    assert asked == expected
    assert renamed.get("team-a.abc") == ("abc" if request.ref else None)


@pytest.mark.parametrize("ref", ["team-b.abc", "team-a.abc"])
def test_a_tenant_cannot_spell_a_name_of_the_daemons(ref: str) -> None:
    asked = f"team-a.{ref}"

    assert listened(Listen(ref=ref)) == (Listen(ref=asked, filter=[OWN]), {asked: ref})
    assert updated(Update(ref=ref, delete=True)) == (Update(ref=asked, delete=True), {asked: ref})


def test_a_ref_that_is_none_and_a_filter_that_is_odd_are_refused() -> None:
    with pytest.raises(WireError, match="the ref is not"):
        listened(Listen(ref="a:b"))
    with pytest.raises(Refused):
        listened(Listen(filter=["x"]))
    with pytest.raises(WireError, match="the ref is not"):
        updated(Update(delete=True))


@pytest.mark.parametrize("shapes", [LISTEN, UPDATE])
def test_a_field_that_nobody_knows_is_refused(shapes: Any) -> None:
    with pytest.raises(UnknownField):
        Draft(b"\x30\x01", shapes)


@pytest.mark.parametrize("change", [{"pinned": True}, {"delete": True}, {"finalize": True}, {}], ids=str)
def test_an_update_is_of_ones_own_build(change: dict[str, bool]) -> None:
    assert updated(Update(ref="abc", **change)) == (Update(ref="team-a.abc", **change), {"team-a.abc": "abc"})


@pytest.mark.parametrize(
    ("change", "role"),
    [
        ({"delete": True}, Role.BUILDER),
        ({"finalize": True}, Role.BUILDER),
        ({"delete": True, "pinned": True}, Role.BUILDER),
        ({"pinned": True}, Role.MAINTAINER),
        ({"pinned": False}, Role.MAINTAINER),
    ],
    ids=str,
)
def test_who_keeps_a_record_for_good_needs_more_than_to_build(change: dict[str, bool], role: Role) -> None:
    assert role_to_update(Draft(Update(ref="abc", **change).SerializeToString(), UPDATE)) is role


def test_an_operator_asks_for_everybodys_records_as_the_daemon_has_them() -> None:
    request = Listen(filter=['ref=="x"', "ref~=team-b"], limit=3)

    assert listened(request, is_operator=True) == (request, {})


@pytest.mark.parametrize(
    ("ref", "asked", "renamed"),
    [("abc", "team-a.abc", {"team-a.abc": "abc"}), ("team-b.abc", "team-b.abc", {})],
)
def test_an_operator_names_own_builds_and_those_of_others(ref: str, asked: str, renamed: dict[str, str]) -> None:
    assert listened(Listen(ref=ref), is_operator=True) == (Listen(ref=asked), renamed)
    assert updated(Update(ref=ref), is_operator=True) == (Update(ref=asked), renamed)
