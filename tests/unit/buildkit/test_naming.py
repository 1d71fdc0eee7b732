"""Whatever a build names is its tenant's own when the daemon reads it."""

from typing import Any

import pytest

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.draft import Draft, UnknownField, encode_octets
from proxy.buildkit.namespace import Namespace
from proxy.buildkit.naming import name_attrs, name_ref, name_solve
from proxy.buildkit.shapes import STATUS_REQUEST
from proxy.buildkit.wire import WireError
from tests.helpers.buildkit_proto import message_class, octets_of
from tests.helpers.llb import converted, converting

NAMES = Namespace("payments", b"k" * 32)
FOREIGN = Namespace("platform", b"k" * 32)
S1 = NAMES.session("s1")


def control(**fields: Any) -> Any:
    """Return a `Control/Solve`, named, as the runtime reads it."""
    message = message_class("SolveRequest")(**{"ref": "abc", **fields})
    request = BuildRequest(octets_of(message), is_bridge=False)
    name_solve(request, NAMES)
    return type(message).FromString(request.encode())


def bridge(**fields: Any) -> Any:
    """Return an `LLBBridge/Solve`, named, as the runtime reads it."""
    message = message_class("BridgeSolveRequest")(**fields)
    request = BuildRequest(octets_of(message), is_bridge=True)
    name_attrs(request, NAMES)
    return type(message).FromString(request.encode())


def test_a_build_gets_the_tenants_ref_and_sessions() -> None:
    asked = control(
        session="s1",
        source_policy_session="s2",
        frontend_attrs={"local-sessionid:context": "s3", "local-sessionid": "s4", "filename": "s5"},
        source_policy=converting("s1"),
    )

    assert (asked.ref, asked.session, asked.source_policy_session) == ("payments.abc", S1, NAMES.session("s2"))
    assert asked.frontend_attrs == {
        "local-sessionid:context": NAMES.session("s3"),
        "local-sessionid": "s4",
        "filename": "s5",
    }
    assert converted(asked.source_policy) == {"local.session": S1, "oci.session": S1, "a": "s1"}


def test_a_build_of_the_bridge_gets_the_tenants_sessions() -> None:
    asked = bridge(
        frontend_opt={"local-sessionid:context": "s1", "local-sessionid:": "s1"},
        source_policies=[converting("s1"), converting("s2")],
    )

    assert asked.frontend_opt == {"local-sessionid:context": S1, "local-sessionid:": S1}
    assert [converted(one)["oci.session"] for one in asked.source_policies] == [S1, NAMES.session("s2")]


def test_a_build_without_sessions_stays_without() -> None:
    assert control(source_policy=converting("")) == message_class("SolveRequest")(
        ref="payments.abc", source_policy=converting("")
    )


def test_names_that_the_daemon_told_its_tenant_stay_as_they_are() -> None:
    assert bridge(frontend_opt={"local-sessionid:x": S1}).frontend_opt["local-sessionid:x"] == S1
    assert converted(control(source_policy=converting(S1)).source_policy)["local.session"] == S1


def test_names_of_another_tenant_become_names_of_nothing() -> None:
    foreign = FOREIGN.session("s1")

    assert control(session=foreign).session not in (foreign, S1)
    assert control(ref="platform.abc").ref == "payments.platform.abc"


@pytest.mark.parametrize("odd", ["x:s1", "a b", "s1\n", "ü", "s" * 129])
def test_a_session_that_no_client_gives_is_refused_in_a_policy_too(odd: str) -> None:
    for ask in (
        lambda: control(source_policy=converting(odd)),
        lambda: bridge(source_policies=[converting("s1"), converting(odd)]),
        lambda: bridge(frontend_opt={"local-sessionid:context": odd}),
    ):
        with pytest.raises(WireError, match=r"is not 1 to 128"):
            ask()


def test_a_ref_is_named_in_any_request_that_has_one() -> None:
    draft = Draft(octets_of(message_class("StatusRequest")(ref="abc")), STATUS_REQUEST)
    name_ref(draft, NAMES)

    assert message_class("StatusRequest").FromString(draft.encode()).ref == "payments.abc"
    with pytest.raises(WireError):
        name_ref(Draft(b"", STATUS_REQUEST), NAMES)


@pytest.mark.parametrize("path", [(12,), (12, 2), (12, 2, 3)], ids=["policy", "rule", "update"])
def test_a_field_of_a_policy_that_is_unknown_is_refused_or_kept(path: tuple[int, ...]) -> None:
    message = unknown = encode_octets(99, b"new")
    for number in reversed(path):
        message = encode_octets(number, message)
    message = encode_octets(1, b"abc") + message

    with pytest.raises(UnknownField):
        name_solve(BuildRequest(message, is_bridge=False), NAMES)
    request = BuildRequest(message, is_bridge=False, takes_unknown=True)
    name_solve(request, NAMES)
    assert unknown in request.encode()
