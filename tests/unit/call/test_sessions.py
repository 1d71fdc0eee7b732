"""Session ids: one tenant, one live session."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.call.sessions import Sessions
from proxy.errors import Refused
from proxy.reasons import Reason


def refusal(act: Callable[[], object]) -> Reason:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value.reason


def test_an_open_session_is_not_opened_again() -> None:
    sessions = Sessions()
    sessions.open("s", "payments")

    assert refusal(lambda: sessions.open("s", "payments")) is Reason.SESSION_LIVE


def test_a_session_that_was_closed_may_be_opened_again_by_anybody() -> None:
    sessions = Sessions()
    sessions.open("s", "payments")()

    sessions.open("s", "rival")()


def test_another_tenants_session_can_be_neither_opened_nor_named() -> None:
    sessions = Sessions()
    sessions.open("s", "payments")

    assert refusal(lambda: sessions.open("s", "rival")) is Reason.FOREIGN_SESSION
    assert refusal(lambda: sessions.name(["s"], "rival")) is Reason.FOREIGN_SESSION


def test_an_id_that_a_build_names_belongs_to_its_tenant_before_its_session_is_opened() -> None:
    sessions = Sessions()
    (give_back,) = sessions.name(["s"], "payments")

    assert refusal(lambda: sessions.open("s", "rival")) is Reason.FOREIGN_SESSION

    give_back()
    sessions.open("s", "rival")


def test_an_id_stays_its_tenants_as_long_as_a_build_names_it() -> None:
    sessions = Sessions()
    close = sessions.open("s", "payments")
    (give_back,) = sessions.name(["s"], "payments")
    close()

    assert refusal(lambda: sessions.open("s", "rival")) is Reason.FOREIGN_SESSION

    sessions.open("s", "payments")()
    give_back()
    sessions.open("s", "rival")


def test_none_of_several_ids_is_taken_if_one_is_foreign() -> None:
    sessions = Sessions()
    sessions.open("theirs", "rival")

    assert refusal(lambda: sessions.name(["ours", "theirs"], "payments")) is Reason.FOREIGN_SESSION

    sessions.open("ours", "rival")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from(["open", "name", "close"]))))
def test_ids_have_one_tenant_at_a_time_and_are_free_when_nobody_uses_them(story: list[tuple[str, str, str]]) -> None:
    sessions = Sessions()
    used: list[tuple[str, str, Callable[[], None]]] = []
    reasons: list[tuple[Reason, Reason]] = []
    for session, tenant, act in story:
        if act == "close" and used:
            used.pop(0)[2]()
            continue
        try:
            taken = [sessions.open(session, tenant)] if act == "open" else sessions.name([session], tenant)
        except Refused as refused:
            is_foreign = any(other == session and owner != tenant for other, owner, _ in used)
            reasons.append((refused.reason, Reason.FOREIGN_SESSION if is_foreign else Reason.SESSION_LIVE))
        else:
            used += [(session, tenant, give_back) for give_back in taken]

        assert all(len({owner for other, owner, _ in used if other == session}) <= 1 for session in "ab")

    assert all(said is meant for said, meant in reasons)
    for _, _, give_back in used:
        give_back()
    for session in "ab":
        sessions.open(session, "newcomer")
