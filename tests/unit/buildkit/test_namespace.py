"""The names of a tenant: its own, always the same, and spelled by nobody else."""

import re

from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.buildkit.names import is_identifier
from proxy.buildkit.namespace import Namespace, RememberedNames

KEY = b"k" * 32
tenants = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)
identifiers = st.from_regex(r"[A-Za-z0-9_.-]{1,128}", fullmatch=True)
PAYMENTS, PLATFORM = Namespace("payments", KEY), Namespace("platform", KEY)


@given(tenants, identifiers)
def test_a_ref_comes_back_as_its_tenant_gave_it(tenant: str, ref: str) -> None:
    names = Namespace(tenant, KEY)

    assert names.own_ref(names.ref(ref)) == ref


@given(tenants, tenants, identifiers)
def test_a_ref_is_of_one_tenant_only(tenant: str, other: str, ref: str) -> None:
    assume(tenant != other)

    assert Namespace(other, KEY).own_ref(Namespace(tenant, KEY).ref(ref)) is None


@given(tenants, identifiers, tenants, identifiers)
def test_two_tenants_never_name_the_same(tenant: str, mine: str, other: str, theirs: str) -> None:
    assume(tenant != other)
    names, others = Namespace(tenant, KEY), Namespace(other, KEY)

    assert names.ref(mine) != others.ref(theirs)
    assert names.session(mine) != others.session(theirs)
    assert names.shared_key(mine) != others.shared_key(theirs)


@given(tenants, identifiers)
def test_a_session_is_renamed_once(tenant: str, session: str) -> None:
    names = Namespace(tenant, KEY)
    name = names.session(session)

    assert name != session
    assert names.session(name) == name
    assert Namespace(tenant, KEY).session(session) == name


@given(tenants, identifiers)
def test_another_tenants_session_is_not_taken_for_ones_own(tenant: str, session: str) -> None:
    foreign = Namespace(tenant + "x" if len(tenant) < 63 else "y", KEY).session(session)

    assert Namespace(tenant, KEY).session(foreign) != foreign


@given(identifiers)
def test_who_does_not_have_the_key_cannot_make_a_session_name(session: str) -> None:
    guessed = Namespace("payments", b"g" * 32).session(session)

    assert PAYMENTS.session(guessed) != guessed


@given(identifiers, st.integers(0, 31), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567ABZ018=.-"))
def test_a_changed_session_name_is_none_of_ours(session: str, place: int, letter: str) -> None:
    name = PAYMENTS.session(session)
    at = len("payments.") + place
    changed = name[:at] + letter + name[at + 1 :]
    assume(changed != name)

    assert PAYMENTS.session(changed) != changed


def spelled_large(name: str) -> str:
    return "payments." + name.removeprefix("payments.").upper()


def test_a_name_that_is_longer_or_shorter_or_spelled_otherwise_is_none_of_ours() -> None:
    name = PAYMENTS.session("s")

    others = (name + "a", name[:-1], name.removeprefix("payments."), "payments.", "payments", spelled_large(name))
    for changed in others:
        assert PAYMENTS.session(changed) != changed


@given(tenants, identifiers)
def test_names_are_identifiers_that_tell_the_tenant_and_not_the_session(tenant: str, session: str) -> None:
    name = Namespace(tenant, KEY).session(session)

    assert is_identifier(name)
    assert re.fullmatch(rf"{tenant}\.[a-z2-7]{{32}}", name)


def test_sessions_and_shared_keys_of_one_name_have_nothing_in_common() -> None:
    session, shared_key = PAYMENTS.session("same"), PAYMENTS.shared_key("same")

    assert session[: len("payments.") + 8] != shared_key[: len("payments.") + 8]


@given(st.text(max_size=10), st.text(max_size=10))
def test_shared_keys_are_told_apart_the_empty_one_too(one: str, other: str) -> None:
    assert (PAYMENTS.shared_key(one) == PAYMENTS.shared_key(other)) == (one == other)
    assert PAYMENTS.shared_key("").startswith("payments.")
    assert PAYMENTS.shared_key("") != PLATFORM.shared_key("")


def test_octets_of_a_header_that_are_no_text_make_a_name_too() -> None:
    assert PAYMENTS.shared_key(b"\xff".decode("utf-8", "surrogateescape")) != PAYMENTS.shared_key("")


@given(st.text("0123456789abcdef", min_size=32, max_size=32))
def test_a_trace_is_one_tenants_and_has_the_form_of_one(trace_id: str) -> None:
    names = RememberedNames("payments", KEY)

    assert re.fullmatch(r"[0-9a-f]{32}", names.trace(trace_id))
    assert names.trace(trace_id) == names.trace(trace_id) == PAYMENTS.trace(trace_id)
    assert names.trace(trace_id) != PLATFORM.trace(trace_id)


def test_names_that_were_used_can_be_told_back() -> None:
    names = RememberedNames("payments", KEY)

    assert names.clients == {}
    assert {names.ref("abc"): "abc", names.session("s1"): "s1"} == names.clients


def test_only_so_many_names_are_remembered() -> None:
    names = RememberedNames("payments", KEY)
    for number in range(5000):
        names.ref(f"r{number}")

    assert len(names.clients) <= 1024
    assert names.clients["payments.r4999"] == "r4999"
