from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.caller import Role
from proxy.errors import Refused
from proxy.identity.chain import read_certificate
from proxy.identity.credentials import ChainFault, Credentials, PresentedCertificate
from proxy.identity.methods.mtls import Config, Mtls, stranger
from proxy.reasons import Reason
from tests.helpers.certificates import (
    DAY,
    SERVER_AUTH,
    Authority,
    Issued,
    dns,
    email,
    now,
    rsa_key,
    uri,
)

ROOT = Authority.create("Farm CA")
OTHER = Authority.create("Other CA")
ALICE = "spiffe://farm.test/tenant/payments/alice"
RULES = [
    {"match": {"uri": "spiffe://farm.test/tenant/payments/*"}, "tenant": "payments", "name": "people"},
    {"match": {"dns": "*.platform.test"}, "tenant": "platform", "role": "admin"},
    {"match": {"email": "*@farm.test"}, "tenant": "mail"},
]
SECOND_NS = 10**9
NOW_NS = int(now().timestamp()) * SECOND_NS
DAY_NS = 24 * 3600 * SECOND_NS


def config(**changes: Any) -> Config:
    return Config.model_validate({"type": "mtls", "ca_file": "ca.pem", "rules": RULES, **changes})


def door(crl: bytes | None = None, **changes: Any) -> Mtls:
    return config(**changes).build(ROOT.pem, crl)


def shown(issued: Issued, *above: Authority, faults: Sequence[ChainFault] = (), root: Authority = ROOT) -> Credentials:
    chain = (issued.der, *(each.der for each in above), root.der)
    return Credentials(PresentedCertificate(chain, tuple(faults)))


def refusal(method: Mtls, credentials: Credentials, now_ns: int = NOW_NS) -> Refused:
    with pytest.raises(Refused) as refused:
        method.authenticate(credentials, now_wall_ns=now_ns)
    return refused.value


def test_a_good_certificate_is_who_its_rule_says() -> None:
    alice = ROOT.issue(uri(ALICE))

    caller = door().authenticate(shown(alice), now_wall_ns=NOW_NS)

    assert caller is not None
    assert (caller.tenant, caller.role, caller.subject) == ("payments", Role.BUILDER, ALICE)
    assert (caller.method, caller.rule) == ("mtls", "people")
    assert caller.judged_until_ns == read_certificate(alice.der).not_after_ns


@pytest.mark.parametrize(("written", "policy"), [({}, "default"), ({"policy": "untrusted"}, "untrusted")])
def test_a_rule_says_which_policy_judges_the_builds(written: dict[str, str], policy: str) -> None:
    caller = door(rules=[RULES[0] | written]).authenticate(shown(ROOT.issue(uri(ALICE))), now_wall_ns=NOW_NS)

    assert caller is not None
    assert caller.policy == policy


@pytest.mark.parametrize(
    ("name", "tenant", "role"),
    [
        (uri(ALICE), "payments", Role.BUILDER),
        (dns("ci.platform.test"), "platform", Role.ADMIN),
        (email("bob@farm.test"), "mail", Role.BUILDER),
    ],
)
def test_each_kind_of_name_can_be_an_identity(name: Any, tenant: str, role: Role) -> None:
    caller = door().authenticate(shown(ROOT.issue(name)), now_wall_ns=NOW_NS)

    assert caller is not None
    assert (caller.tenant, caller.role) == (tenant, role)


def test_a_common_name_counts_only_where_it_is_listed() -> None:
    rules = [{"match": {"cn": "alice"}, "tenant": "payments"}]
    alice = ROOT.issue(common_name="alice")

    caller = door(identity=["cn"], rules=rules).authenticate(shown(alice), now_wall_ns=NOW_NS)

    assert caller is not None
    assert caller.tenant == "payments"
    assert refusal(door(), shown(alice)).reason is Reason.NO_RULE_MATCHED
    with pytest.raises(ValidationError, match="not in identity"):
        config(rules=rules)


def test_only_kinds_that_are_listed_are_looked_at() -> None:
    only_uris = door(identity=["uri"], rules=RULES[:1])

    assert refusal(only_uris, shown(ROOT.issue(dns("ci.platform.test")))).reason is Reason.NO_RULE_MATCHED


def test_nothing_of_mine_is_no_verdict() -> None:
    theirs = OTHER.issue(uri(ALICE))

    assert door().authenticate(Credentials(), now_wall_ns=NOW_NS) is None
    assert door().authenticate(shown(theirs, root=OTHER), now_wall_ns=NOW_NS) is None
    assert door().authenticate(Credentials(PresentedCertificate((theirs.der,))), now_wall_ns=NOW_NS) is None


def test_an_authority_that_shows_itself_is_not_a_caller() -> None:
    alone = Credentials(PresentedCertificate((ROOT.der,)))

    assert not door().is_mine(PresentedCertificate((ROOT.der,)))
    assert door().authenticate(alone, now_wall_ns=NOW_NS) is None


def test_the_authority_at_the_end_of_the_chain_decides_whose_it_is() -> None:
    """Whoever trusts the authority between judges its callers: OpenSSL ends the chain at the first one trusted."""
    below = ROOT.intermediate()
    alice = below.issue(uri(ALICE))
    through = config().build(below.pem, None)

    assert door().is_mine(PresentedCertificate((alice.der, below.der, ROOT.der)))
    assert not door().is_mine(PresentedCertificate((alice.der, below.der)))
    assert through.is_mine(PresentedCertificate((alice.der, below.der)))
    assert not through.is_mine(PresentedCertificate((alice.der, below.der, ROOT.der)))


# --- what is wrong with a certificate -------------------------------------------------------


@pytest.mark.parametrize(
    ("issued", "faults", "reason"),
    [
        (ROOT.issue(uri(ALICE), ends=-timedelta(hours=2)), [(10, 0)], Reason.CERTIFICATE_EXPIRED),
        (ROOT.issue(uri(ALICE), begins=timedelta(hours=2)), [(9, 0)], Reason.CERTIFICATE_NOT_YET_VALID),
        (ROOT.issue(uri(ALICE), purposes=[SERVER_AUTH]), [(26, 0)], Reason.CERTIFICATE_WRONG_PURPOSE),
        (ROOT.issue(uri(ALICE), purposes=None), [], Reason.CERTIFICATE_WRONG_PURPOSE),
        (ROOT.issue(uri(ALICE)), [(20, 0)], Reason.CERTIFICATE_UNKNOWN_CA),
        (ROOT.issue(uri(ALICE)), [(21, 0)], Reason.CERTIFICATE_UNKNOWN_CA),
        (ROOT.issue(uri(ALICE)), [(7, 0)], Reason.CERTIFICATE_INVALID),
        (ROOT.issue(uri(ALICE)), [(79, 1)], Reason.CERTIFICATE_INVALID),
        (ROOT.issue(uri(ALICE)), [(10, 1)], Reason.CERTIFICATE_INVALID),
        (ROOT.issue(uri(ALICE)), [(9, 1)], Reason.CERTIFICATE_INVALID),
        (ROOT.issue(uri(ALICE), key=rsa_key(1024)), [], Reason.CERTIFICATE_INVALID),
        (ROOT.issue(dns("no\x00.platform.test")), [], Reason.CERTIFICATE_INVALID),
    ],
)
def test_each_fault_has_its_own_reason(issued: Issued, faults: list[tuple[int, int]], reason: Reason) -> None:
    written_down = [ChainFault(code, depth, "in OpenSSL's words") for code, depth in faults]

    assert refusal(door(), shown(issued, faults=written_down)).reason is reason


def test_every_fault_that_openssl_can_find_is_refused() -> None:
    """Whatever a later OpenSSL finds: a fault that nobody knows is still one. Dates of the leaf are judged by now."""
    alice = ROOT.issue(uri(ALICE))
    for code in set(range(1, 120)) - {9, 10}:
        for depth in (0, 1, 7):
            faults = [ChainFault(code, depth, "")]

            assert refusal(door(), shown(alice, faults=faults)).reason in {
                Reason.CERTIFICATE_INVALID,
                Reason.CERTIFICATE_UNKNOWN_CA,
                Reason.CERTIFICATE_WRONG_PURPOSE,
            }


def test_a_sentence_says_what_is_wrong() -> None:
    expired = ROOT.issue(uri(ALICE), ends=-timedelta(hours=5))
    odd = shown(ROOT.issue(uri(ALICE)), faults=[ChainFault(10, 1, "certificate has expired")])

    said = refusal(door(), shown(expired, faults=[ChainFault(10, 0, "")])).public_text("7f")
    why = refusal(door(), odd).public_text("7f")

    assert (
        said
        == f"[KG-102] the certificate of {ALICE} expired 5 h ago. Ask whoever runs this farm for a new one (ref 7f)"
    )
    assert "certificate has expired (OpenSSL 10, 1 above it in its chain)" in why


def test_dates_are_judged_at_each_call_and_not_by_the_handshake() -> None:
    alice = ROOT.issue(uri(ALICE))
    certificate = read_certificate(alice.der)
    late = shown(alice, faults=[ChainFault(10, 0, "a clock that was wrong then")])

    assert door().authenticate(late, now_wall_ns=NOW_NS) is not None
    assert door().authenticate(shown(alice), now_wall_ns=certificate.not_after_ns - 1) is not None
    assert refusal(door(), shown(alice), certificate.not_after_ns).reason is Reason.CERTIFICATE_EXPIRED
    assert door().authenticate(shown(alice), now_wall_ns=certificate.not_before_ns) is not None
    assert refusal(door(), shown(alice), certificate.not_before_ns - 1).reason is Reason.CERTIFICATE_NOT_YET_VALID


def test_a_stranger_is_told_who_they_are_and_that_nobody_here_knows_them() -> None:
    presented = PresentedCertificate((OTHER.issue(uri(ALICE)).der,), (ChainFault(20, 0, ""),))
    unreadable = PresentedCertificate((b"nonsense",), (ChainFault(20, 0, ""),))

    assert stranger(presented).reason is Reason.CERTIFICATE_UNKNOWN_CA
    assert ALICE in stranger(presented).public_text("1")
    assert stranger(unreadable).reason is Reason.CERTIFICATE_INVALID


# --- who may not come although all is well --------------------------------------------------


def test_a_denied_serial_is_turned_away_however_it_is_written() -> None:
    alice = ROOT.issue(uri(ALICE), serial=0x0ABCDEF1)

    for written in ("abcdef1", "0ABCDEF1", "0a:bc:de:f1"):
        assert refusal(door(deny={"serials": [written]}), shown(alice)).reason is Reason.CERTIFICATE_DENIED
    assert door(deny={"serials": ["abcdef2"]}).authenticate(shown(alice), now_wall_ns=NOW_NS)


def test_a_denied_key_is_turned_away_in_any_certificate() -> None:
    alice = ROOT.issue(uri(ALICE))
    again = ROOT.issue(uri(ALICE), key=alice.key)
    fingerprint = read_certificate(alice.der).spki_sha256

    for written in (fingerprint, fingerprint.upper(), ":".join(fingerprint[at : at + 2] for at in range(0, 64, 2))):
        assert refusal(door(deny={"spki_sha256": [written]}), shown(again)).reason is Reason.CERTIFICATE_DENIED


@pytest.mark.parametrize("deny", [{"serials": ["xyz"]}, {"serials": [""]}, {"spki_sha256": ["abcd"]}])
def test_a_deny_list_that_could_never_match_is_a_settings_error(deny: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(deny=deny)


def test_a_revoked_certificate_is_refused() -> None:
    alice = ROOT.issue(uri(ALICE))
    lists = ROOT.crl(alice.certificate.serial_number)

    for policy in ("hard", "soft"):
        method = door(lists, crl_policy=policy)
        assert refusal(method, shown(alice)).reason is Reason.CERTIFICATE_REVOKED


def test_a_certificate_below_a_revoked_authority_is_refused() -> None:
    below = ROOT.intermediate()
    alice = below.issue(uri(ALICE))
    method = door(ROOT.crl(below.certificate.serial_number), crl_policy="soft")

    assert refusal(method, shown(alice, below)).reason is Reason.CERTIFICATE_REVOKED


def test_a_list_holds_until_its_end_and_then_nobody_knows() -> None:
    alice = ROOT.issue(uri(ALICE), ends=9 * DAY)
    hard = door(ROOT.crl(ends=2 * DAY))
    soft = door(ROOT.crl(ends=2 * DAY), crl_policy="soft")

    caller = hard.authenticate(shown(alice), now_wall_ns=NOW_NS)

    assert caller is not None
    until_ns = caller.judged_until_ns
    # The list was made when the test ran, NOW_NS when the module was read: a long suite lies between.
    assert abs(until_ns - NOW_NS - 2 * DAY_NS) < DAY_NS
    assert hard.authenticate(shown(alice), now_wall_ns=until_ns - 1)
    assert refusal(hard, shown(alice), until_ns).reason is Reason.REVOCATION_UNKNOWN
    gentle = soft.authenticate(shown(alice), now_wall_ns=until_ns)
    assert gentle is not None
    assert gentle.judged_until_ns == read_certificate(alice.der).not_after_ns


def test_without_a_list_of_the_leafs_own_issuer_hard_refuses_and_soft_does_not() -> None:
    below = ROOT.intermediate()
    alice = shown(below.issue(uri(ALICE)), below)

    assert refusal(door(ROOT.crl()), alice).reason is Reason.REVOCATION_UNKNOWN
    assert door(ROOT.crl(), crl_policy="soft").authenticate(alice, now_wall_ns=NOW_NS)


def test_a_certificate_ends_before_a_longer_list() -> None:
    alice = ROOT.issue(uri(ALICE), ends=timedelta(hours=1))

    caller = door(ROOT.crl(ends=2 * DAY)).authenticate(shown(alice), now_wall_ns=NOW_NS)

    assert caller is not None
    assert caller.judged_until_ns == read_certificate(alice.der).not_after_ns


# --- who exactly ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        [uri(ALICE), dns("ci.platform.test")],
        [uri(ALICE), email("alice@farm.test")],
        [uri(ALICE), uri("spiffe://farm.test/tenant/payments/bob")],
        [uri(ALICE), uri("https://farm.test/alice")],
        [dns("ci.platform.test"), email("alice@farm.test"), dns("unknown.test")],
    ],
)
def test_names_of_two_identities_in_one_certificate_are_none(names: list[Any]) -> None:
    assert refusal(door(), shown(ROOT.issue(*names))).reason is Reason.AMBIGUOUS_IDENTITY


def test_several_names_of_one_tenant_are_fine() -> None:
    several = ROOT.issue(dns("a.platform.test"), dns("b.platform.test"), dns("unknown.test"))

    caller = door().authenticate(shown(several), now_wall_ns=NOW_NS)

    assert caller is not None
    assert caller.tenant == "platform"


def test_a_rule_about_two_names_together_does_not_hide_a_third() -> None:
    rules = [
        {"match": {"uri": ALICE, "dns": "a.test"}, "tenant": "payments"},
        {"match": {"dns": "b.test"}, "tenant": "platform"},
    ]
    method = door(rules=rules)

    assert method.authenticate(shown(ROOT.issue(uri(ALICE), dns("a.test"))), now_wall_ns=NOW_NS)
    both = ROOT.issue(uri(ALICE), dns("a.test"), dns("b.test"))
    assert refusal(method, shown(both)).reason is Reason.AMBIGUOUS_IDENTITY


def test_somebody_without_a_rule_is_told_so_and_the_operator_which_was_nearest() -> None:
    refused = refusal(door(), shown(ROOT.issue(uri("spiffe://farm.test/tenant/else/carol"))))

    assert refused.reason is Reason.NO_RULE_MATCHED
    assert "spiffe://farm.test/tenant/else/carol" in refused.public_text("1")
    assert refused.detail.startswith("mtls: nearest rule")


@pytest.mark.parametrize(
    "name",
    [
        "spiffe://farm.test/tenant/payments/a/b",
        "spiffe://evil.test/tenant/payments/alice",
        "spiffe://farm.test.evil.test/tenant/payments/alice",
        "spiffe://farm.test/tenant/Payments/alice",
        "http://farm.test/tenant/payments/alice",
    ],
)
def test_a_name_that_only_looks_right_matches_no_rule(name: str) -> None:
    assert refusal(door(), shown(ROOT.issue(uri(name)))).reason is Reason.NO_RULE_MATCHED


def test_how_the_rules_see_a_certificate_can_be_asked() -> None:
    alice = shown(ROOT.issue(uri(ALICE)))

    assert door().explain(alice)[0] == "rule people matches: tenant payments, role builder"
    assert door().explain(Credentials()) == []
    assert door().explain(shown(OTHER.issue(uri(ALICE)), root=OTHER)) == []


# --- settings -------------------------------------------------------------------------------


def test_a_rule_cannot_give_a_tenant_that_the_authority_may_not() -> None:
    assert config(tenants=["payments", "platform", "mail"]).tenants
    with pytest.raises(ValidationError, match="maps to mail, which is not in tenants"):
        config(tenants=["payments", "platform"])


def test_the_name_for_people_is_the_one_given() -> None:
    assert door(name="staff").name == "staff"
    assert door().name == "mtls"


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": []},
        {"identity": ["serial"]},
        {"crl_policy": "maybe"},
        {"rules": []},
        {"ca_file": ""},
        {"name": "two words"},
        {"unknown": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**changes)


@pytest.mark.parametrize(
    ("ca_pem", "crl"),
    [
        (b"", None),
        (b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n", None),
        (ROOT.issue().pem, None),
        (ROOT.pem + ROOT.issue().pem, None),
        (ROOT.pem, OTHER.crl()),
        (ROOT.pem, b"text"),
        (ROOT.pem, b""),
    ],
)
def test_files_that_cannot_be_trusted_are_refused_when_they_are_read(ca_pem: bytes, crl: bytes | None) -> None:
    with pytest.raises(ValueError, match=r"."):
        config().build(ca_pem, crl)
