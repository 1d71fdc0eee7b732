"""A CA, a server certificate and a client certificate for one run: P-256, valid for a day."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT_URI = "spiffe://bench.example/client"
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM; `server_both` holds certificate and key in one file, as HAProxy wants it."""

    ca: Path
    server: Path
    server_key: Path
    server_both: Path
    client: Path
    client_key: Path


def make_certificates(directory: Path) -> Certificates:
    """Write a new set into `directory`."""
    directory.mkdir(parents=True)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _issue("bench CA", ca_key.public_key(), by="bench CA", ca_key=ca_key, ca=True, names=None, usage=None)
    files = Certificates(
        ca=directory / "ca.pem",
        server=directory / "server.pem",
        server_key=directory / "server.key",
        server_both=directory / "server.both.pem",
        client=directory / "client.pem",
        client_key=directory / "client.key",
    )
    files.ca.write_bytes(_pem(ca))
    server_names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
    )
    client_names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(CLIENT_URI)])
    for certificate, key_file, names, usage in (
        (files.server, files.server_key, server_names, ExtendedKeyUsageOID.SERVER_AUTH),
        (files.client, files.client_key, client_names, ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        issued = _issue(
            certificate.stem, key.public_key(), by="bench CA", ca_key=ca_key, ca=False, names=names, usage=usage
        )
        certificate.write_bytes(_pem(issued))
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    files.server_both.touch(mode=0o600)
    files.server_both.write_bytes(files.server.read_bytes() + files.server_key.read_bytes())
    return files


def _issue(
    name: str,
    key: ec.EllipticCurvePublicKey,
    *,
    by: str,
    ca_key: ec.EllipticCurvePrivateKey,
    ca: bool,
    names: x509.SubjectAlternativeName | None,
    usage: x509.ObjectIdentifier | None,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    usages = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    draft = (
        x509.CertificateBuilder()
        .subject_name(_common_name(name))
        .issuer_name(_common_name(by))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usages), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    if names is not None:
        draft = draft.add_extension(names, critical=False)
    if usage is not None:
        draft = draft.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return draft.sign(ca_key, hashes.SHA256())


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
