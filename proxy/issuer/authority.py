"""An authority that signs what this farm issues, and the list of what it revoked.

Source: RFC 5280 sections 4.1, 4.2 and 5; SPIFFE X509-SVID sections 3 and 4.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from proxy.identity.issued import Grant, write_grant
from proxy.issuer.records import LISTED_AFTER_END_NS, Revoked
from proxy.issuer.requests import PublicKey
from proxy.units import SECOND_NS

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
# The clocks of a farm and its callers differ a little.
BACKDATED_NS = 60 * SECOND_NS
LIST_LIFE_NS = 24 * 3600 * SECOND_NS
_LONGEST_COMMON_NAME = 64


@dataclass(frozen=True, slots=True)
class Order:
    """What a certificate is to say, and for how long."""

    key: PublicKey
    uri: str
    common_name: str
    grant: Grant
    begins_ns: int
    ends_ns: int


class Authority:
    """One authority: its certificate, those above it that came in the same file, and its key."""

    def __init__(self, chain: Sequence[x509.Certificate], key: PrivateKey) -> None:
        self.certificate = chain[0]
        self.key_id = _key_identifier(chain[0]).digest.hex()
        self.ends_ns = min(_wall_ns(each.not_valid_after_utc) for each in chain)
        self._begins_ns = _wall_ns(chain[0].not_valid_before_utc)
        # Whoever verifies has the root, or nothing that was sent would help.
        self._sent = b"".join(each.public_bytes(Encoding.PEM) for each in chain if each.subject != each.issuer)
        self._key = key

    @classmethod
    def read(cls, chain_pem: bytes, key_pem: bytes) -> "Authority":
        """Return the authority of a certificate file and its key file.

        Raises:
            ValueError: it may not sign what it must; the sentence goes on from the name of the certificate's file.
        """
        chain, key = x509.load_pem_x509_certificates(chain_pem), load_pem_private_key(key_pem, None)
        if fault := _fault(chain[0]):
            raise ValueError(fault)
        if not isinstance(key, PrivateKey):
            raise ValueError("has a key that cannot sign here; use P-256, P-384, Ed25519 or RSA")
        return cls(chain, key)

    @property
    def der(self) -> bytes:
        """Its certificate."""
        return self.certificate.public_bytes(Encoding.DER)

    def sign(self, order: Order, *, serial: int) -> bytes:
        """Return the certificate and what leads to the root, as PEM.

        `serial` is random, of 128 bits. It never ends after the authority.
        """
        begins_ns = max(order.begins_ns - BACKDATED_NS, self._begins_ns)
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([_common_name(order.common_name), write_grant(order.grant)]))
            .issuer_name(self.certificate.subject)
            .public_key(order.key)
            .serial_number(serial)
            .not_valid_before(_moment(begins_ns))
            .not_valid_after(_moment(min(order.ends_ns, self.ends_ns)))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(order.uri)]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(order.key), critical=False)
            .add_extension(self._identifier, critical=False)
        )
        return builder.sign(self._key, self._digest).public_bytes(Encoding.PEM) + self._sent

    def revocation_list(self, revoked: Iterable[Revoked], *, now_ns: int) -> x509.CertificateRevocationList:
        """Return its list, good for a day. The number is the time: it rises without anybody counting."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(_moment(now_ns))
            .next_update(_moment(now_ns + LIST_LIFE_NS))
            .add_extension(x509.CRLNumber(now_ns // 1_000_000), critical=False)
            .add_extension(self._identifier, critical=False)
        )
        for each in revoked:
            if each.authority == self.key_id and each.not_after_ns + LISTED_AFTER_END_NS > now_ns:
                entry = x509.RevokedCertificateBuilder(each.serial, _moment(each.at_ns)).build()
                builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, self._digest)

    @property
    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_key_identifier(self.certificate))

    @property
    def _digest(self) -> SHA256 | SHA384 | None:
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return None
        return SHA384() if isinstance(self._key, ec.EllipticCurvePrivateKey) and self._key.key_size > 256 else SHA256()


def _fault(certificate: x509.Certificate) -> str:
    """Return why a certificate cannot issue others and revoke them; empty if it can."""
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    if constraints is None or not constraints.ca:
        return "is not an authority: its basic constraints do not say CA:TRUE"
    if usage is None or not (usage.key_cert_sign and usage.crl_sign):
        return "may not issue: its key usage must name both certificate sign and CRL sign"
    allowed = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if purposes is not None and not any(purpose in purposes for purpose in allowed):
        return "may issue no client certificates: its extended key usage does not name clientAuth"
    return ""


Extension = TypeVar("Extension", bound=x509.ExtensionType)


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _key_identifier(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    found = _extension(certificate, x509.SubjectKeyIdentifier)
    return found or x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())


def _common_name(name: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_COMMON_NAME])


def _moment(wall_ns: int) -> datetime:
    return datetime.fromtimestamp(wall_ns // SECOND_NS, UTC)


def _wall_ns(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * SECOND_NS
