"""What a Solve request names and asks for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.build_request import BuildRequest
from proxy.buildkit.draft import UnknownField
from proxy.buildkit.namespace import Namespace, RememberedNames
from proxy.buildkit.naming import name_solve
from proxy.buildkit.solve import facts_of
from proxy.buildkit.wire import WireError
from proxy.events import BuildFacts
from tests.helpers.buildkit_proto import message_class

KEY = b"k" * 32
NAMES = Namespace("payments", KEY)


def solve(**fields: Any) -> bytes:
    octets: bytes = message_class("SolveRequest")(**{"ref": "r1", **fields}).SerializeToString()
    return octets


def read(message: bytes) -> BuildRequest:
    return BuildRequest(message, is_bridge=False)


def named_of(message: bytes) -> dict[str, str]:
    """Return what the request names: {the daemon's name: the client's}."""
    names = RememberedNames("payments", KEY)
    name_solve(read(message), names)
    return names.clients


def test_a_request_of_buildx_names_its_ref_and_session() -> None:
    message = solve(
        ref="abc123",
        session="s1",
        frontend_attrs={"attest:provenance": "mode=min,inline-only=true", "filename": "Dockerfile"},
        exporter_deprecated="local",
        exporters=[message_class("Exporter")(type="local", attrs={"dest": "/secret/path"})],
    )

    request = read(message)

    assert facts_of(request) == BuildFacts("abc123", False, "", ("local",), ())
    assert not request.has_work
    assert named_of(message) == {"payments.abc123": "abc123", NAMES.session("s1"): "s1"}


@pytest.mark.parametrize("fields", [{"frontend": "gateway.v0"}, {"definition": {"def": [b"op"]}}], ids=str)
def test_a_request_that_brings_its_own_work_says_so(fields: dict[str, Any]) -> None:
    assert read(solve(**fields)).has_work


def test_an_empty_definition_is_no_work() -> None:
    assert not read(solve(definition={})).has_work


def test_every_session_named_beside_the_definition_is_told_once() -> None:
    message = solve(
        session="s1",
        source_policy_session="s2",
        frontend_attrs={"local-sessionid:context": "s3", "local-sessionid:dockerfile": "s1", "local-sessionid": "no"},
    )

    assert list(named_of(message).values()) == ["r1", "s1", "s2", "s3"]


def test_a_build_without_sessions_is_possible() -> None:
    assert list(named_of(solve()).values()) == ["r1"]


def test_facts_are_told_without_attributes() -> None:
    message = solve(
        internal=True,
        frontend="gateway.v0",
        frontend_attrs={"build-arg:TOKEN": "canary"},
        exporter_deprecated="docker",
        exporters=[
            message_class("Exporter")(type=type_, attrs={"name": "canary"}) for type_ in ("image", "oci", "image")
        ],
        entitlements=["network.host", "device=vendor.com/x=canary", "device=other"],
    )
    facts = facts_of(read(message))

    assert facts == BuildFacts(
        ref="r1",
        is_internal=True,
        frontend="gateway.v0",
        exporters=("image", "oci", "docker"),
        entitlements=("network.host", "device"),
    )
    assert "canary" not in repr(facts)


def test_words_for_the_log_are_short_and_printable_and_few() -> None:
    facts = facts_of(read(solve(frontend="a b\n\x1b[31m" + "x" * 100, entitlements=[f"e{n}" for n in range(100)])))

    assert facts.frontend == "a?b??[31m" + "x" * 55
    assert facts.entitlements == tuple(f"e{n}" for n in range(16))


@given(st.binary(max_size=60))
def test_no_octets_do_more_than_raise(octets: bytes) -> None:
    with pytest.raises(WireError):
        facts_of(read(octets + b"\x0a\x01:"))


BAD = {
    "no ref": {"ref": ""},
    "ref with a colon": {"ref": "a:b"},
    "ref too long": {"ref": "a" * 129},
    "ref with a line break": {"ref": "a\n"},
    "session with a colon": {"session": "x:s1"},
    "session with a space": {"session": "s 1"},
    "policy session with a colon": {"source_policy_session": "x:s1"},
    "attribute with a colon": {"frontend_attrs": {"local-sessionid:context": "x:s1"}},
    "attribute empty": {"frontend_attrs": {"local-sessionid:context": ""}},
}


@pytest.mark.parametrize("fields", BAD.values(), ids=BAD)
def test_ids_that_no_client_makes_are_refused(fields: dict[str, Any]) -> None:
    request = read(solve(**fields))

    with pytest.raises(WireError, match="1 to 128 letters"):
        name_solve(request, NAMES)


SINGULAR = {
    "ref": b"\x0a\x02r2",
    "definition": b"\x12\x00",
    "exporter": b"\x1a\x00",
    "session": b"\x2a\x02s2",
    "frontend": b"\x32\x00",
    "cache": b"\x42\x00",
    "internal": b"\x58\x01",
    "source policy": b"\x62\x00",
    "session exporter": b"\x70\x01",
    "policy session": b"\x7a\x02s2",
    "compatibility": b"\x80\x01\x01",
    "proxy network": b"\x88\x01\x01",
}


@pytest.mark.parametrize("octets", SINGULAR.values(), ids=SINGULAR)
def test_a_singular_field_sent_twice_is_refused(octets: bytes) -> None:
    read(solve(ref="") + octets)

    with pytest.raises(WireError, match="is sent twice"):
        read(solve(ref="") + octets + octets)


def test_an_attribute_sent_twice_is_refused() -> None:
    attribute = solve(ref="", frontend_attrs={"local-sessionid:context": "s1"})

    with pytest.raises(WireError):
        read(solve() + attribute + attribute.replace(b"s1", b"s2"))


def test_a_field_of_another_type_is_refused() -> None:
    with pytest.raises(WireError):
        read(solve() + b"\x28\x01")


def test_a_field_of_a_newer_daemon_is_known_as_such_and_passes_if_it_may() -> None:
    newer = solve() + b"\x92\x01\x01a"

    with pytest.raises(UnknownField) as caught:
        read(newer)

    assert caught.value.number == 18
    assert BuildRequest(newer, is_bridge=False, takes_unknown=True).encode() == newer
