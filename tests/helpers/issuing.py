"""Certificates as our issuer writes them, and odd ones that somebody else could; requests for them."""

import datetime as dt
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from proxy.caller import Kind
from proxy.identity.issued import DESCRIPTION, Grant, Name, write_grant, write_uri
from tests.helpers.certificates import CLIENT_AUTH, DAY, Authority, Issued, now, uri

DOMAIN = "farm.test"
ALICE = Name("payments", Kind.PERSON, "alice@example.com")
BUILDER = Grant(role="builder", policy=None, method="idp", rule="rule-1")
_SIGNER = Authority.create("Issuer of tests")


def issued_by(
    signer: Authority,
    name: Name = ALICE,
    grant: Grant | str | None = BUILDER,
    *,
    names: Sequence[x509.GeneralName] = (),
    ends: dt.timedelta = DAY,
) -> Issued:
    """Return a certificate with the name and grant of one that our issuer would issue."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]
    if grant is not None:
        subject.append(write_grant(grant) if isinstance(grant, Grant) else x509.NameAttribute(DESCRIPTION, grant))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(signer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - DAY)
        .not_valid_after(now() + ends)
        .add_extension(x509.SubjectAlternativeName([uri(write_uri(DOMAIN, name)), *names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([CLIENT_AUTH]), critical=False)
    )
    return Issued(builder.sign(signer.key, hashes.SHA256()), key, signer.above)


def issued_certificate(
    name: Name = ALICE,
    grant: Grant | str | None = BUILDER,
    *,
    names: Sequence[x509.GeneralName] = (),
) -> bytes:
    """Return such a certificate in DER."""
    return issued_by(_SIGNER, name, grant, names=names).der


RequestKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def new_request(key: RequestKey | None = None, common_name: str = "me", *extensions: x509.ExtensionType) -> bytes:
    """Return a certificate request in PEM."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.PEM)
