"""Client certificates that kilngate itself issued, beside those of other authorities in one block."""

import datetime as dt
from collections.abc import Collection
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.caller import Caller, Kind, Role
from proxy.errors import Refused
from proxy.identity.credentials import ChainFault, Credentials, PresentedCertificate
from proxy.identity.issued import LiveRevocations, Name, Trust
from proxy.identity.methods.mtls import Config, Mtls
from proxy.reasons import Reason
from proxy.units import SECOND_NS
from tests.helpers.certificates import DAY, Authority, Issued, now, uri
from tests.helpers.issuing import ALICE, DOMAIN, issued_by

ROOT = Authority.create("Farm CA")
ISSUER = ROOT.intermediate("Issuer")
COLLEAGUE = ROOT.intermediate("Somebody else's authority below the same root")
NOW_NS = int(now().timestamp()) * SECOND_NS
TENANTS = {"payments": "default", "platform": "default"}
RULES = [{"match": {"uri": f"spiffe://{DOMAIN}/**"}, "tenant": "platform", "name": "all"}]


def door(revoked: Collection[int] = (), crl: bytes | None = None, **changes: Any) -> Mtls:
    revocations = LiveRevocations()
    revocations.take(frozenset(revoked))
    trust = Trust(DOMAIN, frozenset({ISSUER.der}), TENANTS, frozenset({"default"}), revocations)
    return Config.model_validate({"type": "mtls", "ca_file": "ca.pem", "issued": True, **changes}).build(
        ROOT.pem, crl, trust
    )


def presented(issued: Issued, *faults: ChainFault) -> PresentedCertificate:
    above = tuple(Authority(each, ROOT.key).der for each in issued.above)
    return PresentedCertificate((issued.der, *above, ROOT.der), faults)


def judge(method: Mtls, issued: Issued, *faults: ChainFault) -> Caller | None:
    return method.authenticate(Credentials(presented(issued, *faults)), now_wall_ns=NOW_NS)


def refusal(method: Mtls, issued: Issued, *faults: ChainFault) -> Refused:
    with pytest.raises(Refused) as caught:
        judge(method, issued, *faults)
    return caught.value


def test_an_issued_certificate_needs_no_rules() -> None:
    caller = judge(door(), issued_by(ISSUER))

    assert caller is not None
    assert (caller.tenant, caller.role, caller.kind) == ("payments", Role.BUILDER, Kind.PERSON)
    assert (caller.subject, caller.method, caller.rule) == ("alice@example.com", "mtls", "idp/rule-1")


def test_an_issued_certificate_is_not_asked_what_the_rules_say() -> None:
    caller = judge(door(rules=RULES), issued_by(ISSUER))

    assert caller is not None
    assert caller.tenant == "payments"


def test_whoever_has_another_authority_below_the_root_cannot_grant_anything() -> None:
    forged = issued_by(COLLEAGUE, Name("payments", Kind.PERSON, "root"))

    by_rules = judge(door(rules=RULES), forged)

    assert by_rules is not None
    assert (by_rules.tenant, by_rules.role, by_rules.rule) == ("platform", Role.BUILDER, "all")
    assert refusal(door(), forged).reason is Reason.NO_RULE_MATCHED


def test_the_root_itself_grants_nothing_either() -> None:
    assert refusal(door(), issued_by(ROOT)).reason is Reason.NO_RULE_MATCHED


def test_without_issued_true_rules_alone_judge() -> None:
    trust = Trust(DOMAIN, frozenset({ISSUER.der}), TENANTS, frozenset({"default"}), LiveRevocations())
    method = Config.model_validate({"type": "mtls", "ca_file": "ca.pem", "rules": RULES}).build(ROOT.pem, None, trust)

    caller = judge(method, issued_by(ISSUER))

    assert caller is not None
    assert caller.tenant == "platform"


def test_an_issued_certificate_that_says_nothing_of_ours_is_invalid() -> None:
    assert refusal(door(rules=RULES), issued_by(ISSUER, grant=None)).reason is Reason.CERTIFICATE_INVALID
    assert refusal(door(rules=RULES), ISSUER.issue(uri("spiffe://x.test/a"))).reason is Reason.CERTIFICATE_INVALID


def test_a_revoked_certificate_is_refused() -> None:
    leaf = issued_by(ISSUER)

    assert refusal(door({leaf.certificate.serial_number}), leaf).reason is Reason.CERTIFICATE_REVOKED
    assert judge(door({leaf.certificate.serial_number + 1}), leaf) is not None


def test_an_expired_certificate_is_told_that_it_expired() -> None:
    leaf = issued_by(ISSUER, ends=-dt.timedelta(hours=2))

    assert refusal(door(), leaf, ChainFault(10, 0, "expired")).reason is Reason.CERTIFICATE_EXPIRED


def test_the_deny_list_counts_for_issued_certificates_too() -> None:
    leaf = issued_by(ISSUER)
    method = door(deny={"serials": [f"{leaf.certificate.serial_number:x}"]})

    assert refusal(method, leaf).reason is Reason.CERTIFICATE_DENIED


def test_a_list_of_the_root_need_not_name_the_issuer_but_may_revoke_it() -> None:
    leaf = issued_by(ISSUER)

    assert judge(door(crl=ROOT.crl()), leaf) is not None
    revoked = refusal(door(crl=ROOT.crl(ISSUER.certificate.serial_number)), leaf)
    assert revoked.reason is Reason.CERTIFICATE_REVOKED
    assert "an authority above it" in revoked.detail


def test_a_block_that_is_bound_to_tenants_binds_issued_certificates_too() -> None:
    assert judge(door(tenants=["payments"]), issued_by(ISSUER)) is not None
    assert refusal(door(tenants=["platform"]), issued_by(ISSUER)).reason is Reason.NO_RULE_MATCHED


def test_what_was_let_in_stays_until_it_is_taken_back_and_not_until_it_ends() -> None:
    leaf = issued_by(ISSUER, ends=-dt.timedelta(hours=2))
    serial = leaf.certificate.serial_number

    door().check_withdrawn(presented(leaf))
    for method, reason in (
        (door({serial}), Reason.CERTIFICATE_REVOKED),
        (door(crl=ROOT.crl(ISSUER.certificate.serial_number)), Reason.CERTIFICATE_REVOKED),
        (door(deny={"serials": [f"{serial:x}"]}), Reason.CERTIFICATE_DENIED),
    ):
        with pytest.raises(Refused) as caught:
            method.check_withdrawn(presented(leaf))
        assert caught.value.reason is reason


def test_a_certificate_of_others_is_not_ours_to_take_back() -> None:
    other = Authority.create("Other CA")
    leaf = other.issue(uri("spiffe://x.test/a"))

    door({leaf.certificate.serial_number}).check_withdrawn(PresentedCertificate((leaf.der, other.der)))


def test_explain_says_that_rules_are_not_asked() -> None:
    assert door().explain(Credentials(presented(issued_by(ISSUER)))) == [
        "issued by this farm: the certificate itself says tenant and role"
    ]


@pytest.mark.parametrize("odd", [{"issued": False}, {"issued": False, "rules": []}, {"issued": "yes"}, {"rules": []}])
def test_a_block_that_lets_nobody_in_is_a_mistake(odd: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"type": "mtls", "ca_file": "ca.pem", **odd})


def test_names_of_rules_stay_bound_beside_issued_certificates() -> None:
    assert judge(door(rules=RULES), issued_by(ISSUER, ALICE, ends=DAY)) is not None
