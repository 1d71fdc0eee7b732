import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from proxy.identity.chain import Revocations, is_authority, read_certificate, read_lists
from tests.helpers.certificates import (
    CLIENT_AUTH,
    DAY,
    SERVER_AUTH,
    Authority,
    dns,
    email,
    look_alike,
    now,
    rsa_key,
    uri,
)

ROOT = Authority.create()
SECOND_NS = 10**9


def with_raw_names(*names: x509.GeneralName, common_name: str = "leaf") -> bytes:
    return ROOT.issue(*names, common_name=common_name).der


def test_names_are_read_by_kind_and_in_order() -> None:
    found = read_certificate(
        with_raw_names(uri("spiffe://a/b"), dns("one.test"), dns("two.test"), email("a@b.test"), common_name="Älice")
    )

    assert found.names == {
        "uri": ("spiffe://a/b",),
        "dns": ("one.test", "two.test"),
        "email": ("a@b.test",),
        "cn": ("Älice",),
    }


def test_a_certificate_without_names_has_none() -> None:
    found = read_certificate(ROOT.issue(common_name=None).der)

    assert found.names == {"uri": (), "dns": (), "email": (), "cn": ()}
    assert found.subject == f"serial {found.serial:x}"


@pytest.mark.parametrize(
    ("names", "subject"),
    [
        ([dns("d.test"), email("e@e.test"), uri("u://u")], "u://u"),
        ([dns("d.test"), email("e@e.test")], "e@e.test"),
        ([dns("d.test")], "d.test"),
        ([], "leaf"),
    ],
)
def test_the_name_for_people_is_the_one_that_tells_most(names: list[x509.GeneralName], subject: str) -> None:
    assert read_certificate(with_raw_names(*names)).subject == subject


def test_the_rest_is_read_as_it_stands() -> None:
    issued = ROOT.issue(serial=0xABCDEF)
    found = read_certificate(issued.der)

    assert found.serial == 0xABCDEF
    assert found.not_before_ns == int(issued.certificate.not_valid_before_utc.timestamp()) * SECOND_NS
    assert found.not_after_ns == int(issued.certificate.not_valid_after_utc.timestamp()) * SECOND_NS
    assert found.issuer == ROOT.certificate.subject.public_bytes()
    assert found.spki_sha256 == read_certificate(ROOT.issue(key=issued.key).der).spki_sha256
    assert len(found.spki_sha256) == 64


@pytest.mark.parametrize(
    ("purposes", "is_for_clients"),
    [
        ([CLIENT_AUTH], True),
        ([SERVER_AUTH, CLIENT_AUTH], True),
        ([SERVER_AUTH], False),
        ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], False),
        (None, False),
    ],
)
def test_only_a_certificate_that_says_so_is_for_clients(
    purposes: list[x509.ObjectIdentifier] | None, is_for_clients: bool
) -> None:
    assert read_certificate(ROOT.issue(purposes=purposes).der).is_for_clients is is_for_clients


@pytest.mark.parametrize(
    ("key", "weakness"),
    [
        (rsa_key(2048), ""),
        (rsa_key(1024), "its RSA key has 1024 bits, fewer than 2048"),
        (ec.generate_private_key(ec.SECP384R1()), ""),
        (ec.generate_private_key(ec.SECP192R1()), "its elliptic curve is too small"),
        (ed25519.Ed25519PrivateKey.generate(), ""),
        (dsa.generate_private_key(2048), "its key is of an unknown kind"),
    ],
    ids=["rsa-2048", "rsa-1024", "p-384", "p-192", "ed25519", "dsa"],
)
def test_weak_and_unknown_keys_are_told(key: ec.EllipticCurvePrivateKey, weakness: str) -> None:
    assert read_certificate(ROOT.issue(key=key).der).weakness == weakness


@pytest.mark.parametrize(
    "name",
    [
        uri("spiffe://a/b c"),
        uri("spiffe://a/b\x00c"),
        uri("spiffe://a/b\r\nx: y"),
        uri("http://a\x7f"),
        dns("evil\x00.good.test"),
        dns("two names.test"),
        dns(""),
        dns("a" * 2049),
        email("a@b\x00.test"),
    ],
)
def test_names_that_two_readers_could_take_for_two_things_are_refused(name: x509.GeneralName) -> None:
    with pytest.raises(ValueError, match="a name in it"):
        read_certificate(with_raw_names(name))


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "a\x1b[31mb", "a\u202eb"])
def test_common_names_that_would_play_with_a_terminal_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name in it"):
        read_certificate(with_raw_names(common_name=name))


@pytest.mark.parametrize(
    "name",
    [
        "spiffe://",
        "spiffe:///a",
        "spiffe:a/b",
        "SPIFFE://farm.test/a",
        "spiffe://Farm.test/a",
        "spiffe://farm.test/",
        "spiffe://farm.test//a",
        "spiffe://farm.test/a/",
        "spiffe://farm.test/./a",
        "spiffe://farm.test/a/../b",
        "spiffe://farm.test/%61",
        "spiffe://farm.test/a?b",
        "spiffe://farm.test/a#b",
        "spiffe://user@farm.test/a",
    ],
)
def test_spiffe_ids_have_one_spelling_only(name: str) -> None:
    with pytest.raises(ValueError, match="SPIFFE"):
        read_certificate(with_raw_names(uri(name)))


@pytest.mark.parametrize("name", ["spiffe://farm.test", "spiffe://farm.test/a/b-c/d.e_f", "https://farm.test/%61?x"])
def test_well_formed_uris_are_read(name: str) -> None:
    assert read_certificate(with_raw_names(uri(name))).names["uri"] == (name,)


def test_what_is_not_understood_is_refused_and_not_a_fault_of_ours() -> None:
    odd = [
        x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x0c\x01a"),
        x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    ]

    assert read_certificate(with_raw_names(*odd)).names["uri"] == ()
    with pytest.raises(ValueError, match="not understood"):
        read_certificate(_with_two_of_one_extension())


def _with_two_of_one_extension() -> bytes:
    """Swap the OID of one extension for that of another: both are three octets long."""
    der = ROOT.issue(uri("spiffe://a/b")).der
    return der.replace(b"\x06\x03\x55\x1d\x25", b"\x06\x03\x55\x1d\x11")


@given(st.binary(max_size=300))
def test_octets_that_are_no_certificate_are_refused(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_certificate(octets)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(st.integers(0, 1 << 20), st.integers(1, 255))
def test_a_certificate_with_a_changed_octet_is_read_or_refused(at: int, flip: int) -> None:
    der = bytearray(GOOD)
    der[at % len(der)] ^= flip

    try:
        found = read_certificate(bytes(der))
    except ValueError:
        return

    assert set(found.names) == {"uri", "dns", "email", "cn"}


GOOD = ROOT.issue(uri("spiffe://farm.test/tenant/a/b"), dns("a.test")).der


# --- revocation lists -----------------------------------------------------------------------


def revocations(*pems: bytes, authorities: tuple[Authority, ...] = (ROOT,)) -> Revocations:
    return Revocations([each.certificate for each in authorities], read_lists(b"".join(pems)))


def test_a_revoked_serial_is_revoked_and_another_is_not() -> None:
    gone, here = ROOT.issue(), ROOT.issue()
    lists = revocations(ROOT.crl(gone.certificate.serial_number, 17))

    assert lists.is_revoked(read_certificate(gone.der))
    assert not lists.is_revoked(read_certificate(here.der))


def test_a_list_speaks_for_its_own_issuer_only() -> None:
    other = Authority.create("Other")
    theirs = other.issue(serial=4711)

    lists = revocations(ROOT.crl(4711), authorities=(ROOT, other))

    assert not lists.is_revoked(read_certificate(theirs.der))
    assert lists.until_ns(read_certificate(theirs.der)) is None


def test_the_newest_of_several_lists_counts_whatever_their_order() -> None:
    gone, back = ROOT.issue(), ROOT.issue()
    old = ROOT.crl(back.certificate.serial_number, began=-2 * DAY)
    new = ROOT.crl(gone.certificate.serial_number, ends=2 * DAY, number=2)

    for pems in ((old, new), (new, old)):
        lists = revocations(*pems)
        assert lists.is_revoked(read_certificate(gone.der))
        assert not lists.is_revoked(read_certificate(back.der))
        assert (lists.until_ns(read_certificate(gone.der)) or 0) > (now() + DAY).timestamp() * SECOND_NS


def test_a_list_in_der_is_read() -> None:
    der = x509.load_pem_x509_crl(ROOT.crl(4711)).public_bytes(Encoding.DER)

    assert revocations(der).is_revoked(read_certificate(ROOT.issue(serial=4711).der))


@pytest.mark.parametrize("stranger", [Authority.create("Other"), look_alike(ROOT)], ids=["other", "look-alike"])
def test_a_list_that_none_of_ours_signed_is_refused(stranger: Authority) -> None:
    with pytest.raises(ValueError, match="not signed"):
        revocations(stranger.crl())


def test_a_list_signed_by_what_is_no_authority_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now()).not_valid_after(now() + DAY)
    leaf = Authority(builder.sign(key, hashes.SHA256()), key)

    assert not is_authority(leaf.certificate)
    with pytest.raises(ValueError, match="not signed"):
        revocations(leaf.crl(), authorities=(leaf,))


@pytest.mark.parametrize(
    ("extension", "critical"),
    [
        (x509.DeltaCRLIndicator(1), True),
        (x509.DeltaCRLIndicator(1), False),
        (x509.IssuingDistributionPoint(None, None, False, False, None, True, False), True),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),
    ],
)
def test_a_list_that_is_not_a_whole_one_is_refused(extension: x509.ExtensionType, critical: bool) -> None:
    with pytest.raises(ValueError, match="delta"):
        revocations(ROOT.crl(extra=[(extension, critical)]))


@pytest.mark.parametrize("octets", [b"", b"text", b"-----BEGIN X509 CRL-----\nAA\n-----END X509 CRL-----\n"])
def test_a_file_without_a_list_is_refused(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_lists(octets)


def test_an_authority_is_one_that_may_issue() -> None:
    assert is_authority(ROOT.certificate)
    assert is_authority(ROOT.intermediate().certificate)
    assert not is_authority(ROOT.issue().certificate)


def test_the_end_of_a_list_is_known() -> None:
    lists = revocations(ROOT.crl(ends=dt.timedelta(hours=3)))
    until = lists.until_ns(read_certificate(ROOT.issue().der))

    assert until is not None
    assert abs(until / SECOND_NS - (now() + dt.timedelta(hours=3)).timestamp()) < 60
