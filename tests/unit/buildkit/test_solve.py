"""What a Solve request names and asks for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.solve import SolveRequest, read_solve
from proxy.errors import Refused
from proxy.events import BuildFacts
from proxy.reasons import Reason
from tests.helpers.buildkit_proto import message_class


def solve(**fields: Any) -> bytes:
    octets: bytes = message_class("SolveRequest")(**{"ref": "r1", **fields}).SerializeToString()
    return octets


def test_a_request_of_buildx_names_its_ref_and_session() -> None:
    message = solve(
        ref="abc123",
        session="s1",
        frontend_attrs={"attest:provenance": "mode=min,inline-only=true", "filename": "Dockerfile"},
        exporter_deprecated="local",
        exporters=[message_class("Exporter")(type="local", attrs={"dest": "/secret/path"})],
    )

    assert read_solve(message) == SolveRequest(
        sessions=("s1",),
        facts=BuildFacts(ref="abc123", is_internal=False, frontend="", exporters=("local",), entitlements=()),
        has_work=False,
    )


@pytest.mark.parametrize("fields", [{"frontend": "gateway.v0"}, {"definition": {"def": [b"op"]}}], ids=str)
def test_a_request_that_brings_its_own_work_says_so(fields: dict[str, Any]) -> None:
    assert read_solve(solve(**fields)).has_work


def test_an_empty_definition_is_no_work() -> None:
    assert not read_solve(solve(definition={})).has_work


def test_every_session_named_beside_the_definition_is_told_once() -> None:
    message = solve(
        session="s1",
        source_policy_session="s2",
        frontend_attrs={"local-sessionid:context": "s3", "local-sessionid:dockerfile": "s1", "local-sessionid": "no"},
    )

    assert read_solve(message).sessions == ("s1", "s2", "s3")


def test_a_build_without_sessions_is_possible() -> None:
    assert read_solve(solve()).sessions == ()


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
    facts = read_solve(message).facts

    assert facts == BuildFacts(
        ref="r1",
        is_internal=True,
        frontend="gateway.v0",
        exporters=("image", "oci", "docker"),
        entitlements=("network.host", "device"),
    )
    assert "canary" not in repr(facts)


def test_words_for_the_log_are_short_and_printable_and_few() -> None:
    facts = read_solve(solve(frontend="a b\n\x1b[31m" + "x" * 100, entitlements=[f"e{n}" for n in range(100)])).facts

    assert facts.frontend == "a?b??[31m" + "x" * 55
    assert facts.entitlements == tuple(f"e{n}" for n in range(16))


@given(st.binary(max_size=60))
def test_no_octets_do_more_than_refuse(octets: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_solve(octets + b"\x0a\x01:")

    assert refused.value.reason is Reason.MESSAGE_UNREADABLE


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
    with pytest.raises(Refused) as refused:
        read_solve(solve(**fields))

    assert refused.value.reason is Reason.MESSAGE_UNREADABLE
    assert "Control/Solve cannot be read: " in refused.value.public_text("1-1")


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
    read_solve(solve(ref="") + (octets if octets[0] == 0x0A else b"\x0a\x02r1" + octets))

    with pytest.raises(Refused) as refused:
        read_solve(solve(ref="") + (b"" if octets[0] == 0x0A else b"\x0a\x02r1") + octets + octets)
    assert refused.value.facts["why"].endswith("is sent twice")  # type: ignore[attr-defined]


def test_an_attribute_sent_twice_is_refused() -> None:
    attribute = solve(ref="", frontend_attrs={"local-sessionid:context": "s1"})

    with pytest.raises(Refused):
        read_solve(solve() + attribute + attribute.replace(b"s1", b"s2"))


def test_a_field_of_another_type_is_refused() -> None:
    with pytest.raises(Refused):
        read_solve(solve() + b"\x28\x01")


def test_fields_of_a_newer_daemon_pass() -> None:
    assert read_solve(solve() + b"\x92\x01\x01a").facts.ref == "r1"
