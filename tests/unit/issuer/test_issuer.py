"""What is signed for whom, for how long, and what is remembered of it."""

import datetime as dt
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from proxy.caller import Caller, Kind, Role
from proxy.edge.tls_offline import present
from proxy.errors import Refused
from proxy.identity.issued import Grant, Name, read_grant, read_uri
from proxy.identity.tokens.compact import read_compact
from proxy.issuer.authority import Authority
from proxy.issuer.issuer import Issuer, read_exchange
from proxy.issuer.records import LISTED_AFTER_END_NS, Revoked
from proxy.issuer.settings import Lifetimes
from proxy.reasons import Reason
from proxy.units import SECOND_NS
from tests.helpers import certificates
from tests.helpers.certificates import CLIENT_AUTH, DAY, SERVER_AUTH, Key, now
from tests.helpers.issuing import DOMAIN, new_request
from tests.helpers.signing import claims, new_key

ROOT = certificates.Authority.create("Root")
# One moment for all: the tests may begin minutes after they were read.
NOW = now()
NOW_NS = int(NOW.timestamp()) * SECOND_NS
HOUR_NS = 3600 * SECOND_NS
SERIAL = 2**127 + 12345


def authority(
    signer: certificates.Authority | None = None, *, ends: dt.timedelta = 365 * DAY, key: Key | None = None
) -> Authority:
    """Return an authority below ROOT that lasts a year, or as said."""
    issuing = signer or issuing_ca(ends=ends, key=key)
    return Authority.read(b"".join(pem_of(one) for one in issuing.above), key_pem(issuing))


def issuing_ca(
    *,
    ends: dt.timedelta = 365 * DAY,
    key: Key | None = None,
    is_ca: bool = True,
    usage: Sequence[str] = ("key_cert_sign", "crl_sign"),
    purposes: Sequence[x509.ObjectIdentifier] | None = None,
) -> certificates.Authority:
    made = key or ec.generate_private_key(ec.SECP256R1())
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    flags = {name: name in usage for name in (*names, "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")}
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuing")]))
        .issuer_name(ROOT.certificate.subject)
        .public_key(made.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + ends)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(made.public_key()), critical=False)
    )
    if usage:
        builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    certificate = builder.sign(ROOT.key, certificates.hashes.SHA256())
    return certificates.Authority(certificate, made, (certificate,))


def pem_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(certificates.Encoding.PEM)


def key_pem(issuing: certificates.Authority) -> bytes:
    return certificates.Issued(issuing.certificate, issuing.key).key_pem


def issuer(*authorities: Authority, lifetimes: Lifetimes | None = None) -> Issuer:
    return Issuer(DOMAIN, authorities or (authority(),), lifetimes or Lifetimes(), {"payments": "strict"})


def caller(kind: Kind | None = Kind.CI, subject: str = "acme/app@refs/heads/main", policy: str = "strict") -> Caller:
    return Caller("payments", Role.MAINTAINER, subject, "github", "main", policy=policy, kind=kind)


def certified(
    by: Issuer, who: Caller | None = None, request: bytes | None = None
) -> tuple[x509.Certificate, list[x509.Certificate]]:
    _, chain = by.certify(who or caller(), request or new_request(), serial=SERIAL, now_ns=NOW_NS)
    leaf, *above = x509.load_pem_x509_certificates(chain)
    return leaf, above


def uri_of(leaf: x509.Certificate) -> str:
    [name] = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert isinstance(name, x509.UniformResourceIdentifier)
    return name.value


# --- what a certificate says ----------------------------------------------------------------


def test_a_certificate_names_tenant_kind_and_subject_and_grants_what_the_rule_did() -> None:
    leaf, _ = certified(issuer())

    assert read_uri(DOMAIN, uri_of(leaf)) == Name("payments", Kind.CI, "acme/app@refs/heads/main")
    assert read_grant(leaf.public_bytes(certificates.Encoding.DER)) == Grant(
        role="maintainer", policy=None, method="github", rule="main"
    )
    assert leaf.serial_number == SERIAL


@pytest.mark.parametrize(("policy", "granted"), [("strict", None), ("untrusted", "untrusted"), ("default", "default")])
def test_a_policy_of_the_rule_is_written_down_and_the_tenant_s_own_is_not(policy: str, granted: str | None) -> None:
    leaf, _ = certified(issuer(), caller(policy=policy))

    assert read_grant(leaf.public_bytes(certificates.Encoding.DER)).policy == granted


def test_a_certificate_is_for_clients_and_for_nothing_else() -> None:
    leaf, _ = certified(issuer())
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)

    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [CLIENT_AUTH]
    assert usage.critical
    assert usage.value.digital_signature
    assert (usage.value.key_cert_sign, usage.value.crl_sign, usage.value.key_agreement) == (False, False, False)
    assert constraints.critical
    assert not constraints.value.ca


def test_nothing_is_taken_from_the_request_but_its_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    wish = x509.SubjectAlternativeName(
        [x509.DNSName("farm.test"), x509.UniformResourceIdentifier(f"spiffe://{DOMAIN}/tenant/platform/person/root")]
    )
    request = new_request(
        key,
        "root",
        wish,
        x509.BasicConstraints(ca=True, path_length=None),
        x509.ExtendedKeyUsage([SERVER_AUTH]),
    )

    leaf, _ = certified(issuer(), request=request)
    plain, _ = certified(issuer(), request=new_request(key))

    assert leaf.public_key() == key.public_key()
    assert leaf.subject == plain.subject
    assert [each.value for each in leaf.extensions if each.oid != x509.AuthorityKeyIdentifier.oid] == [
        each.value for each in plain.extensions if each.oid != x509.AuthorityKeyIdentifier.oid
    ]


def test_a_common_name_is_short_printable_and_for_people_only() -> None:
    leaf, _ = certified(issuer(), caller(subject="x" * 100 + "\n\0"))
    [name] = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)

    assert name.value == "x" * 64


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=lambda key: type(key).__name__,
)
def test_what_is_issued_is_accepted_by_openssl_below_the_root(key: Key) -> None:
    _, chain = issuer(authority(key=key)).certify(caller(), new_request(), serial=SERIAL, now_ns=NOW_NS)

    shown = present(chain, [ROOT.pem])

    assert shown.faults == ()
    assert len(shown.chain) == 3


def test_the_root_is_not_sent_even_if_it_stands_in_the_file() -> None:
    issuing = issuing_ca()
    both = Authority.read(pem_of(issuing.certificate) + ROOT.pem, key_pem(issuing))

    _, above = certified(issuer(both))

    assert above == [issuing.certificate]


def test_the_first_authority_signs() -> None:
    new, old = authority(), authority()

    issued, _ = issuer(new, old).certify(caller(), new_request(), serial=SERIAL, now_ns=NOW_NS)

    assert issued.authority == new.key_id != old.key_id


# --- how long -------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "hours"), [(Kind.CI, 1), (Kind.PERSON, 12), (Kind.MACHINE, 1), (None, 1)], ids=str)
def test_a_certificate_lasts_by_what_its_owner_is(kind: Kind | None, hours: int) -> None:
    leaf, _ = certified(issuer(), caller(kind))

    assert leaf.not_valid_after_utc - now_at() == dt.timedelta(hours=hours)
    assert now_at() - leaf.not_valid_before_utc == dt.timedelta(minutes=1)


def now_at() -> dt.datetime:
    return dt.datetime.fromtimestamp(NOW_NS // SECOND_NS, dt.UTC)


def test_a_certificate_never_outlasts_its_authority() -> None:
    ends = dt.timedelta(minutes=30)
    issued, chain = issuer(authority(ends=ends)).certify(
        caller(Kind.PERSON), new_request(), serial=SERIAL, now_ns=NOW_NS
    )
    [leaf, signer] = x509.load_pem_x509_certificates(chain)

    assert leaf.not_valid_after_utc == signer.not_valid_after_utc
    assert issued.not_after_ns == int(signer.not_valid_after_utc.timestamp()) * SECOND_NS


def test_a_certificate_does_not_outlast_what_stands_above_its_authority() -> None:
    middle = ROOT.intermediate("Middle")
    short = certificates.Authority(
        issuing_ca(ends=dt.timedelta(hours=2)).certificate, middle.key, (middle.certificate,)
    )
    chained = Authority([middle.certificate, short.certificate], middle.key)  # type: ignore[arg-type]

    assert chained.ends_ns == int(short.certificate.not_valid_after_utc.timestamp()) * SECOND_NS


@pytest.mark.parametrize(("minutes", "said"), [(4, "ends in 4 min"), (-60 * 3, "ended 3 h ago")])
def test_an_authority_at_its_end_issues_nothing_and_says_so(minutes: int, said: str) -> None:
    ending = authority(ends=dt.timedelta(minutes=minutes))
    with pytest.raises(Refused) as caught:
        issuer(ending).certify(caller(), new_request(), serial=SERIAL, now_ns=NOW_NS)

    assert caught.value.reason is Reason.AUTHORITY_ENDS
    assert said in caught.value.sentence


def test_a_subject_that_no_certificate_can_name_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        issuer().certify(caller(subject="/" * 1000), new_request(), serial=SERIAL, now_ns=NOW_NS)

    assert caught.value.reason is Reason.SUBJECT_UNFIT


# --- what an authority must be --------------------------------------------------------------


@pytest.mark.parametrize(
    ("signer", "why"),
    [
        (issuing_ca(is_ca=False), "do not say CA:TRUE"),
        (issuing_ca(usage=()), "key usage must name both"),
        (issuing_ca(usage=("key_cert_sign",)), "key usage must name both"),
        (issuing_ca(usage=("crl_sign", "digital_signature")), "key usage must name both"),
        (issuing_ca(purposes=[SERVER_AUTH]), "does not name clientAuth"),
    ],
    ids=["leaf", "no-usage", "no-lists", "no-certificates", "servers-only"],
)
def test_what_may_not_issue_is_refused_with_the_reason(signer: certificates.Authority, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        authority(signer)


@pytest.mark.parametrize(
    "purposes", [[CLIENT_AUTH], [SERVER_AUTH, CLIENT_AUTH], [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]]
)
def test_an_authority_for_clients_may_issue(purposes: list[x509.ObjectIdentifier]) -> None:
    assert authority(issuing_ca(purposes=purposes)).key_id


def test_a_key_that_cannot_sign_here_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import ed448

    issuing = issuing_ca()
    odd = ed448.Ed448PrivateKey.generate().private_bytes(
        certificates.Encoding.PEM, certificates.PrivateFormat.PKCS8, certificates.NoEncryption()
    )
    with pytest.raises(ValueError, match="cannot sign here"):
        Authority.read(pem_of(issuing.certificate), odd)


def test_an_ed25519_authority_signs_too() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateBuilder().subject_name(ROOT.certificate.subject).issuer_name(ROOT.certificate.subject)
    builder = builder.public_key(key.public_key()).serial_number(1).not_valid_before(NOW - DAY)
    root = builder.not_valid_after(NOW + DAY).sign(key, None)

    leaf, above = certified(issuer(Authority([root], key)))

    leaf.verify_directly_issued_by(root)
    assert above == []


# --- lists ----------------------------------------------------------------------------------


def test_a_list_names_the_revoked_certificates_of_its_own_authority_for_an_hour_after_their_end() -> None:
    ours = authority()
    revoked = [
        Revoked(1, ours.key_id, NOW_NS, NOW_NS + HOUR_NS),
        Revoked(SERIAL, ours.key_id, NOW_NS - HOUR_NS, NOW_NS - LISTED_AFTER_END_NS + 1),
        Revoked(3, ours.key_id, NOW_NS - HOUR_NS, NOW_NS - LISTED_AFTER_END_NS),
        Revoked(4, "another", NOW_NS, NOW_NS + HOUR_NS),
    ]

    made = ours.revocation_list(revoked, now_ns=NOW_NS)

    assert [each.serial_number for each in made] == [1, SERIAL]
    assert made.is_signature_valid(ours.certificate.public_key())  # type: ignore[arg-type]
    assert made.issuer == ours.certificate.subject
    assert made.next_update_utc is not None
    assert made.next_update_utc - made.last_update_utc == dt.timedelta(days=1)


def test_a_later_list_has_a_higher_number() -> None:
    ours = authority()
    numbers = [
        ours.revocation_list([], now_ns=at).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        for at in (NOW_NS, NOW_NS + SECOND_NS, NOW_NS + HOUR_NS)
    ]

    assert numbers == sorted(set(numbers))


# --- tokens that are exchanged --------------------------------------------------------------


KEY = new_key()


def test_a_job_s_token_is_known_by_issuer_and_id() -> None:
    one, again, other, elsewhere = (
        read_exchange(read_compact(KEY.sign(claims(iss, jti=jti, iat=at)).encode()), Kind.CI).token_id
        for iss, jti, at in (
            ("https://a.test", "x", 1_800_000_000),
            ("https://a.test", "x", 1_800_000_001),
            ("https://a.test", "y", 1_800_000_000),
            ("https://b.test", "x", 1_800_000_000),
        )
    )

    assert one == again
    assert len({one, other, elsewhere}) == 3


def test_a_job_s_token_without_an_id_is_known_by_what_was_signed_and_not_by_the_signature() -> None:
    text = KEY.sign(claims("https://a.test"))
    signed, _, signature = text.rpartition(".")
    twin = f"{signed}.{'A' * len(signature)}"

    first, second, third = (
        read_exchange(read_compact(one.encode()), Kind.CI).token_id
        for one in (text, twin, KEY.sign(claims("https://a.test", sub="other")))
    )

    assert first == second != third


@pytest.mark.parametrize("jti", ["", 7, None, ["x"]])
def test_an_id_that_is_none_does_not_make_tokens_one(jti: object) -> None:
    one, other = (
        read_exchange(read_compact(KEY.sign(claims("https://a.test", jti=jti, sub=sub)).encode()), Kind.CI).token_id
        for sub in ("a", "b")
    )

    assert one != other


@pytest.mark.parametrize("kind", [Kind.PERSON, Kind.MACHINE, None])
def test_other_tokens_may_be_exchanged_again(kind: Kind | None) -> None:
    assert read_exchange(read_compact(KEY.sign(claims("https://a.test", jti="x")).encode()), kind).token_id is None


def test_a_token_is_remembered_for_as_long_as_it_can_be_shown() -> None:
    token = read_compact(KEY.sign(claims("https://a.test", iat=1_800_000_000, exp=1_800_000_300)).encode())

    exchange = read_exchange(token, Kind.CI)

    assert exchange.issued_at_ns == 1_800_000_000 * SECOND_NS
    assert exchange.until_ns == (1_800_000_300 + 300) * SECOND_NS
