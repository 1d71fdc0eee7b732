"""Is this a certificate, a key, a revocation list? And is it of use today?"""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from proxy.identity.chain import read_lists
from proxy.identity.tokens.keys import KeyPolicy, KeysUnusable, read_key_set
from proxy.settings.references import Kind
from proxy.units import SECOND_NS, said

SOON_NS = 14 * 86400 * SECOND_NS


class Unfit(Exception):
    """The file does not hold what its key says; the text goes on from the file's name."""


def look(kind: Kind, octets: bytes, *, now_wall_ns: int) -> list[str]:
    """Read `octets` as a file of `kind`, and return warnings that go on from its name.

    Raises:
        Unfit: they are not one.
    """
    if not octets.strip():
        raise Unfit("is empty")
    if kind in (Kind.CERTIFICATE, Kind.AUTHORITIES):
        return _age_warnings(_certificates(octets), now_wall_ns)
    if kind is Kind.REVOCATIONS:
        return _list_warnings(octets, now_wall_ns)
    if kind in (Kind.PRIVATE_KEY, Kind.SIGNING_KEY):
        _public_half(octets)
    return []


def look_at_token_keys(octets: bytes, policy: KeyPolicy) -> None:
    """Read `octets` as the key set of a token issuer.

    Raises:
        Unfit: they are not one, or none of the keys may be used.
    """
    try:
        read_key_set(octets, policy)
    except KeysUnusable as error:
        raise Unfit(f"is no key set: {error}") from None


def fault_of_pair(certificate: bytes, key: bytes) -> str:
    """Return what is wrong if `key` does not belong to the first of `certificate`; empty if it does."""
    if _spki(_certificates(certificate)[0].public_key()) == _spki(_public_half(key)):
        return ""
    return "is not the key of the certificate beside it"


def _certificates(octets: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(octets)
    except ValueError:
        hint = "; it holds a private key" if b"PRIVATE KEY" in octets else ""
        raise Unfit(f"holds no certificate in PEM form{hint}") from None


def _public_half(octets: bytes) -> PublicKeyTypes:
    try:
        return load_pem_private_key(octets, None).public_key()
    except TypeError:
        raise Unfit("is encrypted; expected a private key without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        hint = "; it holds a certificate" if b"BEGIN CERTIFICATE" in octets else ""
        raise Unfit(f"holds no private key in PEM form{hint}") from None


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _age_warnings(certificates: list[x509.Certificate], now_wall_ns: int) -> list[str]:
    warnings = []
    for certificate in certificates:
        name = certificate.subject.rfc4514_string() or "a certificate without a name"
        starts_in_ns = _wall_ns(certificate.not_valid_before_utc) - now_wall_ns
        ends_in_ns = _wall_ns(certificate.not_valid_after_utc) - now_wall_ns
        if starts_in_ns > 0:
            warnings.append(f"({name}) is valid only in {said(starts_in_ns)}")
        if ends_in_ns < SOON_NS:
            end = f"expires in {said(ends_in_ns)}" if ends_in_ns > 0 else f"expired {said(-ends_in_ns)} ago"
            warnings.append(f"({name}) {end}")
    return warnings


def _list_warnings(octets: bytes, now_wall_ns: int) -> list[str]:
    warnings = []
    for each in _revocation_lists(octets):
        due = each.next_update_utc
        late_ns = now_wall_ns - _wall_ns(due) if due else 0
        if late_ns > 0:
            name = each.issuer.rfc4514_string()
            warnings.append(f"({name}) is out of date: its next issue was due {said(late_ns)} ago")
    return warnings


def _revocation_lists(octets: bytes) -> list[x509.CertificateRevocationList]:
    try:
        return read_lists(octets)
    except ValueError:
        raise Unfit("holds no revocation list") from None


def _wall_ns(moment: datetime) -> int:
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * SECOND_NS
