"""How many connections may be open before anybody is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.edge.admission import Admission
from proxy.events import ConnectionFault


def entered(*addresses: str, most: int = 10, most_per_address: int = 2) -> Admission:
    admission = Admission(most=most, most_per_address=most_per_address)
    for address in addresses:
        admission.enter(address)
    return admission


def test_one_address_may_open_only_so_many() -> None:
    admission = entered("192.0.2.1", "192.0.2.1")

    assert admission.fault("192.0.2.1") is ConnectionFault.TOO_MANY_FROM_ADDRESS
    assert admission.fault("192.0.2.2") is None


def test_all_together_may_open_only_so_many() -> None:
    admission = entered("192.0.2.1", "192.0.2.2", most=2)

    assert admission.fault("192.0.2.3") is ConnectionFault.TOO_MANY


def test_whoever_leaves_makes_room() -> None:
    admission = entered("192.0.2.1", "192.0.2.1", most=2)
    admission.leave("192.0.2.1")

    assert admission.fault("192.0.2.1") is None
    assert admission.fault("192.0.2.2") is None


@pytest.mark.parametrize("neighbour", ["2001:db8:0:1::2", "2001:db8:0:1:ffff::", "2001:DB8:0:1::1%eth0"])
def test_a_network_of_64_bits_is_one_address(neighbour: str) -> None:
    admission = entered("2001:db8:0:1::1", neighbour)

    assert admission.fault("2001:db8:0:1::3") is ConnectionFault.TOO_MANY_FROM_ADDRESS
    assert admission.fault("2001:db8:0:2::1") is None


def test_limits_that_change_count_from_then_on() -> None:
    admission = entered("192.0.2.1", "192.0.2.1")
    admission.most_per_address = 3
    before = admission.fault("192.0.2.1")
    admission.most = 2

    assert before is None
    assert admission.fault("192.0.2.1") is ConnectionFault.TOO_MANY


def test_connections_of_a_balancer_count_for_all_and_for_no_address() -> None:
    admission = entered("192.0.2.1", "192.0.2.1", most=3)
    before = admission.fault(None)
    admission.enter("192.0.2.1")

    assert before is None
    assert admission.fault(None) is ConnectionFault.TOO_MANY


@given(st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"])))
def test_nothing_is_remembered_of_those_who_left(addresses: list[str]) -> None:
    admission = entered(*addresses)
    for address in addresses:
        admission.leave(address)

    assert dict(admission._open) == {}
