"""A test PKI: good certificates, and every odd one that a hostile or tired operator could make.

Independent of `proxy.ca`, so that the two can check each other.
"""

import datetime as dt
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
DAY = dt.timedelta(days=1)


def now() -> dt.datetime:
    """Return the present second, in UTC."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def uri(value: str) -> x509.GeneralName:
    """Return a URI name for a SAN."""
    return x509.UniformResourceIdentifier(value)


def dns(value: str) -> x509.GeneralName:
    """Return a DNS name for a SAN."""
    return x509.DNSName(value)


def email(value: str) -> x509.GeneralName:
    """Return an e-mail name for a SAN."""
    return x509.RFC822Name(value)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key and the certificates that lead to its root (root excluded)."""

    certificate: x509.Certificate
    key: Key
    above: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        """The certificate alone, DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate and what leads to its root, PEM."""
        return b"".join(c.public_bytes(Encoding.PEM) for c in (self.certificate, *self.above))

    @property
    def key_pem(self) -> bytes:
        """The private key, PEM, PKCS #8, not encrypted."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write NAME.pem and NAME.key into `directory`; return both paths."""
        certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
        certificate.write_bytes(self.pem)
        key.touch(mode=0o600)
        key.write_bytes(self.key_pem)
        return certificate, key


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that issues whatever it is asked to."""

    certificate: x509.Certificate
    key: Key
    above: tuple[x509.Certificate, ...] = ()

    @classmethod
    def create(cls, name: str = "Test CA", *, key: Key | None = None, serial: int | None = None) -> "Authority":
        """Return a self-signed root."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _ca_builder(subject, subject, key, serial or x509.random_serial_number(), None)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @property
    def pem(self) -> bytes:
        """The authority's own certificate, PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The authority's own certificate, DER."""
        return self.certificate.public_bytes(Encoding.DER)

    def intermediate(
        self, name: str = "Test Issuing CA", *, path_length: int | None = None, permitted_dns: Sequence[str] = ()
    ) -> "Authority":
        """Return an authority below this one."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        serial = x509.random_serial_number()
        builder = _ca_builder(subject, self.certificate.subject, key, serial, path_length)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        if permitted_dns:
            constraints = x509.NameConstraints([x509.DNSName(name) for name in permitted_dns], None)
            builder = builder.add_extension(constraints, critical=True)
        certificate = builder.sign(self.key, hashes.SHA256())
        return Authority(certificate, key, (certificate, *self.above))

    def issue(
        self,
        *names: x509.GeneralName,
        common_name: str | None = "leaf",
        purposes: Iterable[x509.ObjectIdentifier] | None = (CLIENT_AUTH,),
        begins: dt.timedelta = -DAY,
        ends: dt.timedelta = DAY,
        key: Key | None = None,
        serial: int | None = None,
        digest: hashes.HashAlgorithm | None = None,
    ) -> Issued:
        """Return a leaf. `begins` and `ends` count from now; `purposes` None leaves the EKU extension out."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name is not None else [])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(now() + begins)
            .not_valid_after(now() + ends)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not subject)
        if purposes is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(purposes)), critical=False)
        return Issued(builder.sign(self.key, digest or hashes.SHA256()), key, self.above)

    def server(self, *names: str) -> Issued:
        """Return a server certificate for DNS names and addresses."""
        return self.issue(*(_server_name(name) for name in names), common_name=names[0], purposes=(SERVER_AUTH,))

    def crl(
        self,
        *serials: int,
        began: dt.timedelta = -DAY,
        ends: dt.timedelta | None = DAY,
        number: int = 1,
        extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> bytes:
        """Return a revocation list of this authority, PEM."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now() + began)
            .next_update(now() + (ends or DAY))
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical)
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now() + began).build()
            builder = builder.add_revoked_certificate(revoked)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def as_authority(leaf: Issued) -> Authority:
    """Return a leaf abused as an authority: what it issues must be refused."""
    return Authority(leaf.certificate, leaf.key, (leaf.certificate, *leaf.above))


def look_alike(authority: Authority) -> Authority:
    """Return another root of the same name, serial and dates, with its own key."""
    name = authority.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return Authority.create(str(name), serial=authority.certificate.serial_number)


def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """Return an RSA key, also of a length that nobody should accept."""
    return rsa.generate_private_key(65537, bits)


def _ca_builder(
    subject: x509.Name, issuer: x509.Name, key: Key, serial: int, path_length: int | None
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now() - 2 * DAY)
        .not_valid_after(now() + 30 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _server_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
