"""A client certificate from a file, as the public listener would have written it down after a handshake.

For `kilngate explain`. OpenSSL is asked with the same authorities and the same leniency; it tells
its first fault only, where a handshake tells all.
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto

from proxy.identity.credentials import ChainFault, PresentedCertificate

# OpenSSL's own limit on the length of a chain is of this order; a file is not a flood.
_MOST_CERTIFICATES = 16


def present(pem: bytes, cas: Sequence[bytes]) -> PresentedCertificate:
    """Return what a caller shows whose certificate file is `pem`: its own certificate first, then those above it.

    Raises:
        ValueError: `pem` holds no certificate, or too many.
    """
    sent = x509.load_pem_x509_certificates(pem)
    if len(sent) > _MOST_CERTIFICATES:
        raise ValueError(f"it holds {len(sent)} certificates")
    trusted = [authority for bundle in cas for authority in x509.load_pem_x509_certificates(bundle)]
    chain = tuple(each.public_bytes(Encoding.DER) for each in _chain(sent, trusted))
    return PresentedCertificate(chain=chain, faults=_faults(sent, trusted))


def _chain(sent: list[x509.Certificate], trusted: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return the way from the leaf up to the first trusted authority, or as far as it goes."""
    chain = [sent[0]]
    while chain[-1] not in trusted and len(chain) <= _MOST_CERTIFICATES:
        issuer = next((each for each in (*trusted, *sent[1:]) if _has_issued(each, chain[-1])), None)
        if issuer is None or issuer in chain:
            break
        chain.append(issuer)
    return chain


def _has_issued(issuer: x509.Certificate, issued: x509.Certificate) -> bool:
    try:
        issued.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _faults(sent: list[x509.Certificate], trusted: list[x509.Certificate]) -> tuple[ChainFault, ...]:
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    leaf, *above = (crypto.X509.from_cryptography(each) for each in sent)
    for authority in trusted:
        store.add_cert(crypto.X509.from_cryptography(authority))
    try:
        crypto.X509StoreContext(store, leaf, above).verify_certificate()
    except crypto.X509StoreContextError as error:
        code, depth, text = error.errors
        return (ChainFault(code, depth, text),)
    return ()
