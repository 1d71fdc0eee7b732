"""One TLS connection of the public listener: octets in and out of a non-blocking socket.

Nothing here waits or knows a loop: the owner watches the socket and calls again.
"""

import socket
from collections.abc import Sequence
from enum import Enum

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from proxy.events import ConnectionFault, HandshakeResult
from proxy.identity.credentials import ChainFault, PresentedCertificate

Octets = bytes | bytearray | memoryview

# The first octet of the record that carries a ClientHello (RFC 8446 5.1). Anything else is not TLS.
_HANDSHAKE_RECORD = 0x16

_TURN_OCTETS = 256 * 1024


class Want(Enum):
    """What a handshake waits for."""

    DONE = "done"
    READ = "read"
    WRITE = "write"


class NoCommonProtocol(Exception):
    """The caller offered application protocols, and HTTP/2 is not among them."""


class TlsFailed(Exception):
    """A handshake failed. `detail` is for the operator: OpenSSL's own words."""

    def __init__(
        self, result: HandshakeResult, detail: str, fault: ConnectionFault = ConnectionFault.HANDSHAKE
    ) -> None:
        super().__init__(result.value, detail)
        self.result = result
        self.detail = detail
        self.fault = fault


class PeerClosed(Exception):
    """The caller ended the connection; `is_clean` if it said so (close_notify) before it went."""

    def __init__(self, detail: str, *, is_clean: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.is_clean = is_clean


class TlsConnection:
    """The server's side of one TLS connection.

    `presented`, `alpn`, `server_name` and `version` are known once `handshake` has returned DONE.
    """

    def __init__(self, sock: socket.socket, records: SSL.Connection) -> None:
        self.presented: PresentedCertificate | None = None
        self.alpn = b""
        self.server_name: str | None = None
        self.version = ""
        self._sock = sock
        self._records = records
        self._faults: list[ChainFault] = []
        self._unsent = bytearray()
        self._has_begun = False
        records.set_app_data(self._faults)
        records.set_accept_state()

    def handshake(self) -> Want:
        """Go on with the handshake as far as the socket allows.

        Raises:
            TlsFailed: it cannot succeed; an alert was sent if TLS has one for the case.
        """
        try:
            while True:
                try:
                    self._records.do_handshake()
                except SSL.WantReadError:
                    if not self.flush():
                        return Want.WRITE
                    if not self._receive():
                        return Want.READ
                else:
                    break
        except NoCommonProtocol as error:
            self._flush_alert()
            raise TlsFailed(HandshakeResult.FAILED, str(error), ConnectionFault.ALPN) from error
        except SSL.Error as error:
            self._flush_alert()
            raise _failure(error) from error
        except (OSError, PeerClosed) as error:
            raise TlsFailed(HandshakeResult.FAILED, str(error)) from error
        self.flush()
        self._remember()
        return Want.DONE

    def receive_into(self, view: memoryview) -> int:
        """Decrypt what has arrived into `view`; return the octets, 0 if there is nothing now.

        Raises:
            PeerClosed: the caller closed the connection, or it broke.
        """
        filled = 0
        try:
            while filled < len(view):
                try:
                    filled += self._records.recv_into(view[filled:])
                except SSL.WantReadError:
                    if not self._receive():
                        break
        except PeerClosed:
            if not filled:
                raise
        except SSL.ZeroReturnError as error:
            if not filled:
                raise PeerClosed("closed", is_clean=True) from error
        except (SSL.Error, OSError) as error:
            if not filled:
                raise PeerClosed(said(error)) from error
        return filled

    @property
    def has_pending(self) -> bool:
        """Whether decrypted octets wait that no event of the socket will announce."""
        return self._records.pending() > 0

    def send(self, segments: Sequence[Octets]) -> None:
        """Encrypt `segments` in order and write what the socket takes; the rest is kept for `flush`.

        Raises:
            PeerClosed: the connection broke.
        """
        octets = segments[0] if len(segments) == 1 else b"".join(segments)
        if octets:
            try:
                self._records.sendall(octets)
            except SSL.Error as error:
                raise PeerClosed(said(error)) from error
            self.flush()

    @property
    def unsent_octets(self) -> int:
        """Encrypted octets that the socket has not taken yet."""
        return len(self._unsent)

    def flush(self) -> bool:
        """Write what is kept; return whether all is out.

        Raises:
            PeerClosed: the connection broke.
        """
        self._collect()
        try:
            while self._unsent:
                sent = self._sock.send(self._unsent)
                del self._unsent[:sent]
        except BlockingIOError:
            return False
        except OSError as error:
            raise PeerClosed(str(error)) from error
        return True

    def close(self) -> None:
        """Say close_notify if it can be said at once, and close the socket."""
        try:
            self._records.shutdown()
            self.flush()
        except (SSL.Error, OSError, PeerClosed):
            pass
        self._sock.close()

    def _collect(self) -> None:
        try:
            while True:
                self._unsent += self._records.bio_read(_TURN_OCTETS)
        except SSL.WantReadError:
            return

    def _receive(self) -> bool:
        try:
            octets = self._sock.recv(_TURN_OCTETS)
        except BlockingIOError:
            return False
        if not octets:
            raise PeerClosed("closed without close_notify")
        if not self._has_begun and octets[0] != _HANDSHAKE_RECORD:
            raise TlsFailed(HandshakeResult.NOT_TLS, f"the first octets are {octets[:8]!r}")
        self._has_begun = True
        self._records.bio_write(octets)
        return True

    def _flush_alert(self) -> None:
        try:
            self.flush()
        except PeerClosed:
            return

    def _remember(self) -> None:
        records = self._records
        self.alpn = records.get_alpn_proto_negotiated()
        name = records.get_servername()
        self.server_name = name.decode("ascii", "replace") if name else None
        self.version = records.get_protocol_version_name()
        leaf = records.get_peer_certificate(as_cryptography=True)
        if leaf is None:
            return
        chain = records.get_verified_chain(as_cryptography=True) or [leaf]
        ders = tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)
        self.presented = PresentedCertificate(chain=ders, faults=tuple(self._faults))


def said(error: Exception) -> str:
    """Return OpenSSL's own words for a failure, without its codes."""
    if isinstance(error, SSL.SysCallError):
        return "closed without close_notify"
    rows = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(row[-1]) for row in rows) or str(error) or "failed"


def _failure(error: SSL.Error) -> TlsFailed:
    detail = said(error)
    if "peer did not return a certificate" in detail:
        return TlsFailed(HandshakeResult.NO_CERTIFICATE, detail)
    if "certificate verify failed" in detail:
        return TlsFailed(HandshakeResult.BAD_CERTIFICATE, detail)
    return TlsFailed(HandshakeResult.FAILED, detail)
