"""TLS of the public listener: one immutable context for each generation of settings.

A caller's certificate is asked for but never demanded, and OpenSSL's verdict on
it is written down instead of ending the handshake: `identity` judges it later
and refuses in gRPC, with a sentence that the caller's tool prints. A refused
handshake would be twenty seconds of silence there. `strict` brings the refusal
in the handshake back, of revoked certificates too.

Nothing is resumed (no tickets, no cache): each connection proves its identity anew.
"""

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cryptography import x509
from OpenSSL import SSL, crypto

from proxy.edge.tls_bindings import said
from proxy.edge.tls_records import NoCommonProtocol, TlsConnection
from proxy.identity.chain import read_lists
from proxy.identity.credentials import ChainFault

MinVersion = Literal["1.2", "1.3"]

_VERSIONS: dict[MinVersion, int] = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}

# AES-128 first: it is what Go clients prefer too, and costs a fifth less a GiB than AES-256.
_CIPHERS_1_3 = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
_CIPHERS_1_2 = b"ECDHE+AESGCM+AES128:ECDHE+AESGCM+AES256:ECDHE+CHACHA20"

# A caller without AES in hardware puts ChaCha20 first and then gets it (openssl/ssl.h; pyOpenSSL has no name for it).
_OP_PRIORITIZE_CHACHA = 1 << 21

# SSL_MODE_RELEASE_BUFFERS (openssl/ssl.h).
_RELEASE_BUFFERS = 0x10

_OPTIONS = (
    SSL.OP_NO_TICKET
    | SSL.OP_NO_COMPRESSION
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_CIPHER_SERVER_PREFERENCE
    | _OP_PRIORITIZE_CHACHA
)

# The callback is called for every fault of every certificate sent; a list of a thousand tells no more than these.
_MOST_FAULTS = 16

# openssl/x509_vfy.h: no revocation list of an issuer, one that is not valid yet, one that is out of date. Whether that
# matters is for `identity` to say (`crl_policy`), in a sentence.
_LISTS_TELL_NOTHING = frozenset({3, 11, 12})

# X509_V_FLAG_PARTIAL_CHAIN: an intermediate in a `ca_file` is trusted as it stands there, without its root.
_PARTIAL_CHAIN = crypto.X509StoreFlags.PARTIAL_CHAIN
_REVOCATION = crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL


class ServerTls:
    """One generation of the server's TLS: certificate, key, trusted authorities.

    Never changed once built; a reload builds a new one, and connections keep the one they began with.

    Args:
        certificate_file: PEM, the server's certificate and its intermediates.
        key_file: PEM, its private key, not encrypted.
        cas: PEM bundles of the authorities whose client certificates are trusted; empty: no certificate is asked for.
        min_version: the oldest TLS version spoken.
        strict: refuse a missing or bad client certificate in the handshake.
        crls: files of revocation lists of the authorities; looked at only if `strict`.

    Raises:
        ValueError: a file or bundle cannot be used; the text says which and why.
    """

    def __init__(
        self,
        certificate_file: str | Path,
        key_file: str | Path,
        cas: Sequence[bytes] = (),
        min_version: MinVersion = "1.3",
        strict: bool = False,
        crls: Sequence[bytes] = (),
    ) -> None:
        self._context = context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(_VERSIONS[min_version])
        context.set_options(_OPTIONS)
        # Idle connections hold no record buffers, 34 KiB each.
        context.set_mode(_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_cipher_list(_CIPHERS_1_2)
        context.set_tls13_ciphersuites(_CIPHERS_1_3)
        context.set_alpn_select_callback(_choose_protocol)
        _load_identity(context, certificate_file, key_file)
        if cas:
            _trust(context, cas, strict=strict)
        if strict and crls:
            _look_at_lists(context, crls)

    def wrap(self, sock: socket.socket) -> TlsConnection:
        """Return the server's side of TLS on a connected, non-blocking socket."""
        return TlsConnection(sock, SSL.Connection(self._context))


def _load_identity(context: SSL.Context, certificate_file: str | Path, key_file: str | Path) -> None:
    for load, name in ((context.use_certificate_chain_file, certificate_file), (context.use_privatekey_file, key_file)):
        try:
            load(str(name))
        except SSL.Error as error:
            raise ValueError(f"{name}: {said(error)}") from error
    try:
        context.check_privatekey()
    except SSL.Error as error:
        raise ValueError(f"{key_file} is not the key of {certificate_file}") from error


def _trust(context: SSL.Context, cas: Sequence[bytes], *, strict: bool) -> None:
    store = context.get_cert_store()
    if store is None:
        raise ValueError("this OpenSSL offers no certificate store")
    for bundle in cas:
        for authority in x509.load_pem_x509_certificates(bundle):
            store.add_cert(crypto.X509.from_cryptography(authority))
    store.set_flags(_PARTIAL_CHAIN)
    # The names of the authorities are not announced: a Go client would then withhold a certificate of any other
    # authority, and could only be told that it showed none.
    if strict:
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _demand)
    else:
        context.set_verify(SSL.VERIFY_PEER, _write_down)


def _look_at_lists(context: SSL.Context, crls: Sequence[bytes]) -> None:
    store = context.get_cert_store()
    assert store is not None
    for octets in crls:
        for each in read_lists(octets):
            store.add_crl(each)
    store.set_flags(_PARTIAL_CHAIN | _REVOCATION)


def _write_down(connection: SSL.Connection, _cert: crypto.X509, code: int, depth: int, ok: int) -> bool:
    if not ok:
        faults: list[ChainFault] = connection.get_app_data()
        if len(faults) < _MOST_FAULTS:
            faults.append(ChainFault(code, depth, ""))
    return True


def _demand(connection: SSL.Connection, cert: crypto.X509, code: int, depth: int, ok: int) -> bool:
    return bool(ok) or code in _LISTS_TELL_NOTHING or not _write_down(connection, cert, code, depth, ok)


def _choose_protocol(_connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """Choose HTTP/1.1 for who speaks it, such as curl, which offers both; gRPC's clients offer HTTP/2 alone.

    Not called when nothing is offered, which stock buildx does.
    """
    for protocol in (b"http/1.1", b"h2"):
        if protocol in offered:
            return protocol
    raise NoCommonProtocol(f"offered {', '.join(repr(name)[1:] for name in offered[:4])}")
