"""Names and grants of issued certificates: written in one way, read in that way only."""

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from proxy.caller import Kind, Role
from proxy.errors import Refused
from proxy.identity.chain import read_certificate
from proxy.identity.issued import (
    Grant,
    LiveRevocations,
    Name,
    Trust,
    escaped,
    read_grant,
    read_uri,
    write_uri,
)
from proxy.reasons import Reason
from tests.helpers.certificates import Authority, dns, email, uri
from tests.helpers.issuing import DOMAIN, issued_certificate

subjects = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60)
kinds = st.sampled_from(Kind)


@given(subjects, kinds)
def test_a_name_comes_back_as_it_was_written(subject: str, kind: Kind) -> None:
    name = Name("payments", kind, subject)

    assert read_uri(DOMAIN, write_uri(DOMAIN, name)) == name


@given(subjects, subjects)
def test_no_two_subjects_are_written_alike(one: str, other: str) -> None:
    assert (escaped(one) == escaped(other)) is (one == other)


@given(subjects)
def test_a_subject_stays_one_plain_segment_of_the_path(subject: str) -> None:
    written = escaped(subject)

    assert not set(written) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")
    assert written not in ("", ".", "..")


@pytest.mark.parametrize(
    ("subject", "written"),
    [
        ("alice@example.com", "alice_40example.com"),
        ("acme/payments@refs/heads/main", "acme_2fpayments_40refs_2fheads_2fmain"),
        ("../../platform/person/root", "_2e._2f.._2fplatform_2fperson_2froot"),
        ("a_2fb", "a_5f2fb"),
        ("..", "_2e."),
        ("M\u00fcller", "M_c3_bcller"),
        ("a\0b\nc d%", "a_00b_0ac_20d_25"),
    ],
)
def test_what_is_not_plain_is_escaped(subject: str, written: str) -> None:
    assert escaped(subject) == written


@pytest.mark.parametrize(
    "odd",
    [
        f"spiffe://{DOMAIN}/tenant/payments/person",
        f"spiffe://{DOMAIN}/tenant/payments/person/alice/bob",
        f"spiffe://{DOMAIN}/tenant/payments/person/alice/",
        f"spiffe://{DOMAIN}/tenant/payments/person/",
        f"spiffe://{DOMAIN}/tenant/payments/root/alice",
        f"spiffe://{DOMAIN}/tenants/payments/person/alice",
        "spiffe://elsewhere.test/tenant/payments/person/alice",
        f"spiffe://x.{DOMAIN}/tenant/payments/person/alice",
        f"https://{DOMAIN}/tenant/payments/person/alice",
        f"spiffe:////{DOMAIN}/tenant/payments/person/alice",
        f"spiffe://{DOMAIN}/tenant/payments/person/_61lice",
        f"spiffe://{DOMAIN}/tenant/payments/person/a_2Fb",
        f"spiffe://{DOMAIN}/tenant/payments/person/a_",
        f"spiffe://{DOMAIN}/tenant/payments/person/a_zz",
        f"spiffe://{DOMAIN}/tenant/payments/person/_ff",
        f"spiffe://{DOMAIN}/tenant/payments/person/a%2Fb",
        f"spiffe://{DOMAIN}/tenant/payments/person/.a",
    ],
)
def test_what_is_not_spelled_as_ours_is_no_name(odd: str) -> None:
    with pytest.raises(ValueError, match="not one that this farm writes"):
        read_uri(DOMAIN, odd)


@pytest.mark.parametrize(("subject", "why"), [("", "empty"), ("x" * 2048, "too long"), ("/" * 700, "too long")])
def test_a_subject_that_cannot_stand_in_a_certificate_is_refused(subject: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        write_uri(DOMAIN, Name("payments", Kind.CI, subject))


def test_a_subject_that_is_not_text_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        write_uri(DOMAIN, Name("payments", Kind.CI, "a\ud800"))


# --- grants ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["r", "r" * 63, 'a "quoted" M\u00fcller'])
def test_a_grant_comes_back_as_it_was_written(rule: str) -> None:
    grant = Grant(role="maintainer", policy="untrusted", method="github", rule=rule)

    assert read_grant(issued_certificate(grant=grant)) == grant


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "builder",
        '{"role":"root","policy":null,"method":"m","rule":"r"}',
        '{"role":"admin","method":"m","rule":"r"}',
        '{"role":"admin","policy":null,"method":"m","rule":"r"} ',
        '{"policy":null,"role":"admin","method":"m","rule":"r"}',
        '{"role":"admin","policy":null,"method":"m","rule":"r","x":"y"}',
        '{"role":"viewer","role":"admin","policy":null,"method":"m","rule":"r"}',
        '[{"role":"admin","policy":null,"method":"m","rule":"r"}]',
    ],
)
def test_a_grant_that_is_not_written_as_ours_grants_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="what it grants"):
        read_grant(issued_certificate(grant=text))


def test_a_certificate_without_a_grant_grants_nothing() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_grant(Authority.create().issue(uri("spiffe://farm.test/a")).der)


# --- trust ----------------------------------------------------------------------------------


def trust(*revoked: int, is_known: bool = True) -> Trust:
    revocations = LiveRevocations()
    if is_known:
        revocations.take(frozenset(revoked))
    return Trust(DOMAIN, frozenset(), {"payments": "strict"}, frozenset({"strict", "untrusted"}), revocations)


def refusal(der: bytes, judged_by: Trust) -> Refused:
    with pytest.raises(Refused) as caught:
        judged_by.caller(der, read_certificate(der), method="issued")
    return caught.value


def test_an_issued_certificate_says_itself_who_its_owner_is() -> None:
    der = issued_certificate(
        Name("payments", Kind.CI, "acme/app@refs/heads/main"),
        Grant(role="viewer", policy=None, method="github", rule="main"),
    )

    caller = trust().caller(der, read_certificate(der), method="issued")

    assert (caller.tenant, caller.role, caller.kind) == ("payments", Role.VIEWER, Kind.CI)
    assert (caller.subject, caller.method, caller.rule) == ("acme/app@refs/heads/main", "issued", "github/main")
    assert caller.judged_until_ns == read_certificate(der).not_after_ns


def test_a_tenant_that_is_no_more_lets_nobody_in() -> None:
    refused = refusal(issued_certificate(Name("others", Kind.CI, "x")), trust())

    assert refused.reason is Reason.NO_RULE_MATCHED
    assert "tenant others" in refused.detail


@pytest.mark.parametrize(("granted", "policy"), [(None, "strict"), ("untrusted", "untrusted")])
def test_a_policy_of_the_rule_stays_and_the_tenant_s_own_is_that_of_now(granted: str | None, policy: str) -> None:
    der = issued_certificate(grant=Grant(role="builder", policy=granted, method="github", rule="forks"))

    assert trust().caller(der, read_certificate(der), method="issued").policy == policy


def test_a_policy_that_is_no_more_lets_nobody_in() -> None:
    grant = Grant(role="builder", policy="gone", method="github", rule="forks")
    refused = refusal(issued_certificate(grant=grant), trust())

    assert refused.reason is Reason.NO_RULE_MATCHED
    assert "policy gone" in refused.detail


def test_before_the_store_has_told_its_revocations_nobody_is_let_in() -> None:
    assert refusal(issued_certificate(), trust(is_known=False)).reason is Reason.REVOCATION_UNKNOWN


@pytest.mark.parametrize("other", [dns("a.test"), email("a@b.test"), uri(f"spiffe://{DOMAIN}/tenant/payments/ci/x")])
def test_a_second_name_makes_a_certificate_none_of_ours(other: x509.GeneralName) -> None:
    assert refusal(issued_certificate(names=[other]), trust()).reason is Reason.CERTIFICATE_INVALID


def test_live_revocations_are_those_that_were_told_last() -> None:
    revocations = LiveRevocations()
    before = (revocations.is_known, revocations.has(7))
    revocations.take(frozenset({7}))
    between = (revocations.is_known, revocations.has(7), revocations.has(8))
    revocations.take(frozenset())

    assert before == (False, False)
    assert between == (True, True, False)
    assert (revocations.is_known, revocations.has(7)) == (True, False)
