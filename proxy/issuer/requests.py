"""A certificate request: its key and the proof that its sender holds it. Nothing else in it is believed, or even read.

Source: RFC 2986 (PKCS #10), RFC 7468 section 7.
"""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from proxy.errors import Refused
from proxy.reasons import Reason

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
_ACCEPTED = "accepted are P-256, P-384 and Ed25519"


def read_request(octets: bytes) -> PublicKey:
    """Return the key of a request in PEM, whose sender proved to hold it.

    Raises:
        Refused: CSR_UNFIT, with a sentence that says why.
    """
    if b"PRIVATE KEY-----" in octets:
        raise _unfit("it holds a private key. Keep that to yourself, make another one, and send the request alone")
    if octets.count(b"-----BEGIN") != 1:
        raise _unfit("it is not one PEM block, such as openssl req -new writes")
    try:
        request = x509.load_pem_x509_csr(octets)
        key, is_proven = request.public_key(), request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        raise _unfit(f"it is no certificate request, or its key is of an unknown kind; {_ACCEPTED}") from None
    if isinstance(key, ec.EllipticCurvePublicKey):
        is_accepted = isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
    else:
        is_accepted = isinstance(key, ed25519.Ed25519PublicKey)
    if not is_accepted:
        raise _unfit(f"its key is of a kind that is not signed here; {_ACCEPTED}")
    if not is_proven:
        raise _unfit("its signature is not by the key in it")
    assert isinstance(key, PublicKey)
    return key


def _unfit(why: str) -> Refused:
    return Refused(Reason.CSR_UNFIT, detail=why, why=why)
