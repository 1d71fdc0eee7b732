"""Session ids: of each tenant one live session at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.call.sessions import Sessions
from proxy.errors import Refused
from proxy.reasons import Reason


def test_an_open_session_is_not_opened_again() -> None:
    sessions = Sessions()
    sessions.open("s", "payments")

    with pytest.raises(Refused) as caught:
        sessions.open("s", "payments")

    assert caught.value.reason is Reason.SESSION_LIVE


def test_a_session_that_was_closed_may_be_opened_again() -> None:
    sessions = Sessions()
    sessions.open("s", "payments")()

    sessions.open("s", "payments")


def test_an_id_of_another_tenant_is_another_session() -> None:
    sessions = Sessions()
    sessions.open("s", "payments")

    sessions.open("s", "rival")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"))))
def test_an_id_is_taken_exactly_while_its_tenant_has_it_open(story: list[tuple[str, str]]) -> None:
    sessions = Sessions()
    taken = {}
    for name in story:
        if name in taken:
            with pytest.raises(Refused):
                sessions.open(*name)
            taken.pop(name)()
        else:
            taken[name] = sessions.open(*name)
