import pytest

from proxy.edge.tls_offline import present
from tests.helpers.certificates import DAY, Authority, as_authority, look_alike

ROOT = Authority.create()
BELOW = ROOT.intermediate()
LEAF = BELOW.issue()


def test_a_good_chain_is_shown_up_to_the_trusted_authority() -> None:
    shown = present(LEAF.pem, [Authority.create("Another").pem, ROOT.pem])

    assert shown.chain == (LEAF.der, BELOW.der, ROOT.der)
    assert shown.faults == ()


def test_a_chain_ends_at_the_first_authority_that_is_trusted() -> None:
    assert present(LEAF.pem, [BELOW.pem]).chain == (LEAF.der, BELOW.der)


@pytest.mark.parametrize("cas", [[], [Authority.create().pem], [look_alike(ROOT).pem]])
def test_a_chain_that_leads_nowhere_has_a_fault(cas: list[bytes]) -> None:
    shown = present(LEAF.pem, cas)

    assert shown.chain == (LEAF.der, BELOW.der)
    assert [fault.code for fault in shown.faults] == [20]


def test_a_self_signed_certificate_is_no_chain() -> None:
    shown = present(ROOT.pem, [])

    assert shown.chain == (ROOT.der,)
    assert [fault.code for fault in shown.faults] == [18]


def test_a_fault_of_a_chain_that_leads_home_is_told() -> None:
    by_a_leaf = as_authority(ROOT.issue()).issue(common_name="below a leaf")
    expired = ROOT.issue(begins=-2 * DAY, ends=-DAY)

    assert [fault.code for fault in present(by_a_leaf.pem, [ROOT.pem]).faults] == [79]
    assert [(fault.code, fault.depth) for fault in present(expired.pem, [ROOT.pem]).faults] == [(10, 0)]


@pytest.mark.parametrize("pem", [b"", b"text", LEAF.key_pem, LEAF.pem * 9])
def test_what_is_no_certificate_or_a_flood_of_them_is_refused(pem: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        present(pem, [ROOT.pem])
