"""A certificate as identity sees it: the names in it, and the facts that decide whether it may be shown.

Source: RFC 5280 sections 4.1 and 4.2; SPIFFE X509-SVID section 2 for URI names.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from proxy.units import SECOND_NS

# A certificate is parsed at each new connection and a person has many: a few hundred kilobytes at most.
REMEMBERED = 512
LEAST_RSA_BITS = 2048
LEAST_EC_BITS = 224
# What `cryptography` raises, beside ValueError, on certificates that are odd but well formed.
_UNREADABLE = (
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
# Deltas and lists by or for others need more than a look-up; taken for whole ones they would let revoked callers in.
_ODD_LISTS = (x509.DeltaCRLIndicator, x509.IssuingDistributionPoint)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a client certificate says. Times are wall-clock nanoseconds.

    `names` maps `uri`, `dns`, `email` and `cn` to what the certificate lists, in order.
    `weakness` says what is wrong with its key, "" if nothing is.
    """

    names: dict[str, tuple[str, ...]]
    serial: int
    spki_sha256: str
    issuer: bytes
    not_before_ns: int
    not_after_ns: int
    is_for_clients: bool
    weakness: str

    @property
    def subject(self) -> str:
        """The name for people: the first one that tells most."""
        for kind in ("uri", "email", "dns", "cn"):
            if self.names[kind]:
                return self.names[kind][0]
        return f"serial {self.serial:x}"


@lru_cache(maxsize=REMEMBERED)
def read_certificate(der: bytes) -> Certificate:
    """Return what a certificate in DER says.

    Raises:
        ValueError: it cannot be read, or a name in it has characters that no name may have.
    """
    try:
        return _facts(x509.load_der_x509_certificate(der))
    except _UNREADABLE:
        raise ValueError("something in it is not understood") from None


def _facts(parsed: x509.Certificate) -> Certificate:
    key = parsed.public_key()
    return Certificate(
        names=_names(parsed),
        serial=parsed.serial_number,
        spki_sha256=sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest(),
        issuer=parsed.issuer.public_bytes(),
        not_before_ns=int(parsed.not_valid_before_utc.timestamp()) * SECOND_NS,
        not_after_ns=int(parsed.not_valid_after_utc.timestamp()) * SECOND_NS,
        is_for_clients=_is_for_clients(parsed),
        weakness=_weakness(key),
    )


def _names(parsed: x509.Certificate) -> dict[str, tuple[str, ...]]:
    try:
        listed = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        listed = x509.SubjectAlternativeName([])
    common = [str(name.value) for name in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    names = {
        "uri": listed.get_values_for_type(x509.UniformResourceIdentifier),
        "dns": listed.get_values_for_type(x509.DNSName),
        "email": listed.get_values_for_type(x509.RFC822Name),
        "cn": common,
    }
    return {kind: tuple(_checked(kind, name) for name in found) for kind, found in names.items()}


def _checked(kind: str, name: str) -> str:
    """Refuse names that two readers could take for two things."""
    if not name or not name.isprintable() or len(name) > 2048:
        raise ValueError("a name in it is empty, too long or has control characters")
    if kind != "cn" and (not name.isascii() or " " in name):
        raise ValueError("a name in it has characters that no such name may have")
    if kind == "uri" and name.lower().startswith("spiffe:"):
        _check_spiffe(name)
    return name


def _check_spiffe(name: str) -> None:
    """SPIFFE X509-SVID and SPIFFE-ID 2.2, 2.3: no escapes, no dot segments, one spelling only."""
    domain, slash, path = name.removeprefix("spiffe://").partition("/")
    has_odd_segment = bool(slash) and any(part in ("", ".", "..") for part in path.split("/"))
    if not name.startswith("spiffe://") or not domain or domain != domain.lower() or has_odd_segment:
        raise ValueError("its SPIFFE id is not well formed")
    if any(odd in name for odd in "%?#@"):
        raise ValueError("its SPIFFE id has characters that it may not have")


def _is_for_clients(parsed: x509.Certificate) -> bool:
    """A certificate without the extension may be used for anything; a client certificate must say what it is."""
    try:
        usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage


def _weakness(key: object) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return "" if key.key_size >= LEAST_RSA_BITS else f"its RSA key has {key.key_size} bits, fewer than 2048"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "" if key.key_size >= LEAST_EC_BITS else "its elliptic curve is too small"
    return "" if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) else "its key is of an unknown kind"


class Revocations:
    """Revoked serials of the authorities of one file, from lists that those authorities signed."""

    def __init__(
        self, authorities: Sequence[x509.Certificate], lists: Sequence[x509.CertificateRevocationList]
    ) -> None:
        """Take the newest list of each issuer.

        Raises:
            ValueError: a list was not signed by any of the authorities, or is of a kind that is not understood.
        """
        self._revoked: dict[bytes, frozenset[int]] = {}
        self._until_ns: dict[bytes, int] = {}
        for each in sorted(lists, key=lambda one: one.last_update_utc):
            _check_list(each, authorities)
            issuer = each.issuer.public_bytes()
            self._revoked[issuer] = frozenset(entry.serial_number for entry in each)
            until = each.next_update_utc
            self._until_ns[issuer] = int(until.timestamp()) * SECOND_NS if until else 0

    def is_revoked(self, certificate: Certificate) -> bool:
        """Tell whether its issuer revoked it."""
        return certificate.serial in self._revoked.get(certificate.issuer, frozenset())

    def until_ns(self, certificate: Certificate) -> int | None:
        """Return when the list of its issuer ends, None if there is no list."""
        return self._until_ns.get(certificate.issuer)


def _check_list(each: x509.CertificateRevocationList, authorities: Sequence[x509.Certificate]) -> None:
    if not any(_is_signed_by(each, authority) for authority in authorities):
        raise ValueError("a revocation list is not signed by an authority of the same block")
    for extension in each.extensions:
        if extension.critical or isinstance(extension.value, _ODD_LISTS):
            raise ValueError("a revocation list is a delta, covers a part only, or has a critical extension")


def read_lists(octets: bytes) -> list[x509.CertificateRevocationList]:
    """Return the CRLs in a file: any number in PEM, or one in DER.

    Raises:
        ValueError: it holds none.
    """
    load: Callable[[bytes], x509.CertificateRevocationList]
    if b"-----BEGIN" not in octets:
        load, parts = x509.load_der_x509_crl, [octets]
    else:
        end = b"-----END X509 CRL-----"
        load, parts = x509.load_pem_x509_crl, [part + end for part in octets.split(end) if part.strip()]
    return [load(part) for part in parts]


def _is_signed_by(each: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    if each.issuer != authority.subject or not is_authority(authority):
        return False
    return each.is_signature_valid(authority.public_key())  # type: ignore[arg-type]


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate may issue others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
