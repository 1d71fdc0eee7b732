"""The demo's certificates: an authority, the server's certificate, and Alice's."""

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ALICE_URI = "spiffe://kilngate.demo/payments/alice"
LIFE = dt.timedelta(days=30)
RENEWED_BEFORE_END = dt.timedelta(days=1)
Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Pair:
    """Files of a certificate and its key, PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Identities:
    """The authority's certificate, and the two that it signed."""

    ca: Path
    server: Pair
    alice: Pair


def issue(directory: Path) -> Identities:
    """Return the identities in `directory`, made anew if they are not there or end within a day."""
    named = {name: Pair(directory / f"{name}.pem", directory / f"{name}.key") for name in ("server", "alice")}
    identities = Identities(directory / "ca.pem", named["server"], named["alice"])
    if not is_good(identities.ca):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        make(identities)
    return identities


def is_good(certificate: Path) -> bool:
    """Say whether a certificate is there and lasts another day."""
    if not certificate.exists():
        return False
    ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    return ends - dt.datetime.now(dt.UTC) > RENEWED_BEFORE_END


def make(identities: Identities) -> None:
    """Make all of them; the authority's key is forgotten, its certificate is written last."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = certificate("kilngate demo CA", ca_key, ca_key, None, x509.BasicConstraints(ca=True, path_length=0))
    server_names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaves: tuple[tuple[str, Pair, list[x509.GeneralName], x509.ObjectIdentifier], ...] = (
        ("localhost", identities.server, server_names, ExtendedKeyUsageOID.SERVER_AUTH),
        ("alice", identities.alice, [x509.UniformResourceIdentifier(ALICE_URI)], ExtendedKeyUsageOID.CLIENT_AUTH),
    )
    for name, pair, names, purpose in leaves:
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = (x509.SubjectAlternativeName(names), x509.ExtendedKeyUsage([purpose]))
        leaf = certificate(name, key, ca_key, ca, *extensions)
        write_private(pair.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        pair.certificate.write_bytes(leaf.public_bytes(Encoding.PEM))
    identities.ca.write_bytes(ca.public_bytes(Encoding.PEM))


def certificate(
    name: str, key: Key, signer: Key, issuer: x509.Certificate | None, *extensions: x509.ExtensionType
) -> x509.Certificate:
    """Return a certificate of `key` signed by `signer`; without an issuer it is its own."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(signer, SHA256())


def write_private(path: Path, octets: bytes) -> None:
    """Write a file that only its owner reads."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(octets)
