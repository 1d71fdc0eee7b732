"""Making certificates: P-256 keys, names in the subject alternative name, one purpose each.

Source: RFC 5280 section 4.2 for the extensions; SPIFFE X509-SVID for the URI of clients.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# The clocks of a farm and its callers differ a little.
BACKDATED = timedelta(minutes=5)
Key = ec.EllipticCurvePrivateKey


def new_key() -> Key:
    """Return a new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def authority(name: str, key: Key, *, life: timedelta) -> x509.Certificate:
    """Return a self-signed authority that may sign leaves, revocation lists, and authorities that sign leaves."""
    builder = _builder(name, key, _named(f"{name} CA"), key, life)
    return _may_sign(builder, path_length=1).sign(key, SHA256())


def issuer(
    name: str, domain: str, key: Key, signer: x509.Certificate, signing: Key, *, life: timedelta
) -> x509.Certificate:
    """Return an authority below another, for client certificates with a URI of `domain` and for nothing else."""
    builder = _may_sign(_builder(name, key, signer.subject, signing, life), path_length=0)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    only = x509.NameConstraints([x509.UniformResourceIdentifier(domain)], [x509.DNSName("")])
    return builder.add_extension(only, critical=True).sign(signing, SHA256())


def server(
    names: Sequence[str], key: Key, signer: x509.Certificate, signing: Key, *, life: timedelta
) -> x509.Certificate:
    """Return a server certificate for DNS names and IP addresses."""
    listed = [_host(name) for name in names]
    return _leaf(names[0], listed, ExtendedKeyUsageOID.SERVER_AUTH, key, signer, signing, life)


def client(uri: str, key: Key, signer: x509.Certificate, signing: Key, *, life: timedelta) -> x509.Certificate:
    """Return a client certificate that says who its owner is by a URI."""
    listed = [x509.UniformResourceIdentifier(uri)]
    return _leaf(uri.rpartition("/")[2], listed, ExtendedKeyUsageOID.CLIENT_AUTH, key, signer, signing, life)


def revocation_list(
    serials: Sequence[tuple[int, datetime]], signer: x509.Certificate, signing: Key, *, number: int, life: timedelta
) -> x509.CertificateRevocationList:
    """Return a CRL of (serial, when it was revoked), valid for `life`."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.subject)
        .last_update(now)
        .next_update(now + life)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_key(signer), critical=False)
    )
    for serial, at in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(signing, SHA256())


def _leaf(
    name: str,
    listed: Sequence[x509.GeneralName],
    purpose: x509.ObjectIdentifier,
    key: Key,
    signer: x509.Certificate,
    signing: Key,
    life: timedelta,
) -> x509.Certificate:
    builder = _builder(name, key, signer.subject, signing, life)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName(listed), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.add_extension(_usage(digital_signature=True), critical=True).sign(signing, SHA256())


def _may_sign(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)


def _builder(name: str, key: Key, issuer: x509.Name, signing: Key, life: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    public = signing.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(issuer if key is signing else _named(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )


def _named(name: str) -> x509.Name:
    # RFC 5280 allows 64 characters; who the owner is stands in the alternative name.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _authority_key(signer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())  # type: ignore[arg-type]


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
