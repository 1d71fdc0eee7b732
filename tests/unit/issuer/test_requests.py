"""Of a certificate request its key counts, and the proof that its sender holds it."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from proxy.errors import Refused
from proxy.issuer.requests import read_request
from proxy.reasons import Reason
from tests.helpers.issuing import RequestKey, new_request

P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


def why(octets: bytes) -> str:
    with pytest.raises(Refused) as caught:
        read_request(octets)
    assert caught.value.reason is Reason.CSR_UNFIT
    return str(caught.value.facts["why"])


@pytest.mark.parametrize(
    "key", [P256, ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()], ids=type
)
def test_the_key_of_a_request_is_taken(key: RequestKey) -> None:
    assert read_request(new_request(key)) == key.public_key()


def test_what_stands_around_a_request_is_no_matter() -> None:
    assert read_request(b"\r\n" + new_request(P256).replace(b"\n", b"\r\n") + b"\n\n") == P256.public_key()
    assert read_request(new_request(P256).replace(b"CERTIFICATE REQ", b"NEW CERTIFICATE REQ")) == P256.public_key()


@pytest.mark.parametrize(
    "key",
    [
        RSA,
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ec.generate_private_key(ec.BrainpoolP256R1()),
        ed448.Ed448PrivateKey.generate(),
        dsa.generate_private_key(2048),
    ],
    ids=type,
)
def test_a_key_of_another_kind_is_refused_with_those_that_are_accepted(key: RequestKey) -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.sign(key, None if isinstance(key, ed448.Ed448PrivateKey) else SHA256())

    assert "accepted are P-256, P-384 and Ed25519" in why(signed.public_bytes(Encoding.PEM))


def test_a_request_for_somebody_else_s_key_is_refused() -> None:
    theirs = x509.load_pem_x509_csr(new_request(P256)).public_bytes(Encoding.DER)
    broken = bytearray(theirs)
    broken[-1] ^= 1
    [pem] = [x509.load_der_x509_csr(bytes(broken)).public_bytes(Encoding.PEM)]

    assert why(pem) == "its signature is not by the key in it"


def test_a_private_key_sent_along_is_told_to_be_thrown_away() -> None:
    key = P256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    assert "private key" in why(new_request(P256) + key)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"hello",
        b"\0" * 1000,
        b"-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n",
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        new_request(P256)[:-40],
        new_request(P256) * 2,
    ],
)
def test_what_is_no_request_is_refused(octets: bytes) -> None:
    assert why(octets)
