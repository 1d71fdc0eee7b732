"""One TLS connection of the public listener: octets in and out of a non-blocking socket.

Nothing here waits or knows a loop: the owner watches the socket and calls again.
"""

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from enum import Enum

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from proxy.edge.greeting import instead_of_tls
from proxy.edge.tls_bindings import (
    ARRIVED_OCTETS,
    SEALED_OCTETS,
    Octets,
    Records,
    RecordsEnded,
    arrived,
    fault_text,
    records_of,
    said,
    sealed,
)
from proxy.events import ConnectionFault, HandshakeResult
from proxy.identity.credentials import ChainFault, PresentedCertificate

# The first octet of the record that carries a ClientHello (RFC 8446 5.1). Anything else is not TLS.
_HANDSHAKE_RECORD = 0x16

# The largest record with its header (RFC 8446 5.2); room for less is not worth a read.
_RECORD_OCTETS = 5 + 16 * 1024 + 256

# A segment of this size is sealed where it lies; smaller neighbours are joined first, as each call makes a record.
_LARGE_OCTETS = 16 * 1024

# Records without content (key updates, empty ones) cost work and are nobody's need. A large record that arrives in
# pieces gives nothing for 16 KiB at most.
_BARREN_OCTETS = 64 * 1024


class Want(Enum):
    """What a handshake waits for."""

    DONE = "done"
    READ = "read"
    WRITE = "write"


class NoCommonProtocol(Exception):
    """The caller offered application protocols, and HTTP is not among them."""


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
    Octets pass only after that.
    """

    __slots__ = (
        "_barren_octets",
        "_connection",
        "_faults",
        "_has_begun",
        "_records",
        "_sock",
        "_unsent",
        "alpn",
        "presented",
        "server_name",
        "version",
    )

    def __init__(self, sock: socket.socket, connection: SSL.Connection) -> None:
        self.presented: PresentedCertificate | None = None
        self.alpn = b""
        self.server_name: str | None = None
        self.version = ""
        self._sock = sock
        self._connection = connection
        self._records: Records | None = None
        self._faults: list[ChainFault] = []
        self._unsent = bytearray()
        self._has_begun = False
        self._barren_octets = 0
        connection.set_app_data(self._faults)
        connection.set_accept_state()

    # --- the handshake ----------------------------------------------------------------------

    def handshake(self) -> Want:
        """Go on with the handshake as far as the socket allows.

        Raises:
            TlsFailed: it cannot succeed; an alert was sent if TLS has one for the case.
        """
        try:
            want = self._shake()
        except NoCommonProtocol as error:
            self._send_alert()
            raise TlsFailed(HandshakeResult.FAILED, str(error), ConnectionFault.ALPN) from error
        except SSL.Error as error:
            self._send_alert()
            raise _failure(error, self._faults) from error
        except (OSError, PeerClosed) as error:
            raise TlsFailed(HandshakeResult.FAILED, str(error)) from error
        if want is Want.DONE:
            self._remember()
        return want

    def _shake(self) -> Want:
        while True:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                if not self._send_handshake():
                    return Want.WRITE
                if not self._receive_handshake():
                    return Want.READ
            else:
                self._send_handshake()
                return Want.DONE

    def _send_handshake(self) -> bool:
        with suppress(SSL.WantReadError):
            while True:
                self._unsent += self._connection.bio_read(_RECORD_OCTETS)
        return self.flush()

    def _receive_handshake(self) -> bool:
        try:
            octets = self._sock.recv(_RECORD_OCTETS)
        except BlockingIOError:
            return False
        if not octets:
            raise PeerClosed("closed in the handshake")
        if not self._has_begun and octets[0] != _HANDSHAKE_RECORD:
            raise TlsFailed(HandshakeResult.NOT_TLS, instead_of_tls(octets))
        self._has_begun = True
        self._connection.bio_write(octets)
        return True

    def _send_alert(self) -> None:
        with suppress(PeerClosed):
            self._send_handshake()

    def _remember(self) -> None:
        connection = self._connection
        self._records = records_of(connection)
        self.alpn = connection.get_alpn_proto_negotiated()
        name = connection.get_servername()
        self.server_name = name.decode("ascii", "replace") if name else None
        self.version = connection.get_protocol_version_name()
        leaf = connection.get_peer_certificate(as_cryptography=True)
        if leaf is None:
            return
        chain = connection.get_verified_chain(as_cryptography=True) or [leaf]
        ders = tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)
        faults = tuple(fault._replace(text=fault_text(fault.code)) for fault in self._faults)
        self.presented = PresentedCertificate(chain=ders, faults=faults)

    # --- octets -----------------------------------------------------------------------------

    @property
    def has_pending(self) -> bool:
        """Whether octets may wait inside that no event of the socket will announce."""
        return self._records is not None and self._records.has_more

    def receive_into(self, view: memoryview) -> int:
        """Decrypt what has arrived into `view`; return the octets, 0 if there is nothing now.

        Raises:
            PeerClosed: the caller closed the connection, or it broke.
        """
        records = self._ready()
        filled = 0
        try:
            if records.has_more:
                filled = records.open(0, view)
            while not records.has_more:
                asked = min(ARRIVED_OCTETS, max(len(view) - filled, _RECORD_OCTETS))
                count = self._read(asked, is_first=not filled)
                if not count:
                    break
                opened = records.open(count, view[filled:] if filled else view)
                filled += opened
                self._weigh(count, opened)
                if count < asked or len(view) - filled < _RECORD_OCTETS:
                    break
        except RecordsEnded as ended:
            if not filled:
                self._say_alert(records)
                raise PeerClosed(str(ended), is_clean=ended.is_clean) from ended
        return filled

    def send(self, segments: Sequence[Octets]) -> None:
        """Encrypt `segments` in order and write what the socket takes; the rest is kept for `flush`.

        Raises:
            PeerClosed: the connection broke.
        """
        records = self._ready()
        used = 0
        try:
            for piece in _pieces(segments):
                used = records.seal(piece, used)
                if used >= SEALED_OCTETS:
                    used = self._write(used)
        except RecordsEnded as ended:
            raise PeerClosed(str(ended)) from ended
        if used:
            self._write(used)

    @property
    def unsent_octets(self) -> int:
        """Encrypted octets that the socket has not taken yet."""
        return len(self._unsent)

    def flush(self) -> bool:
        """Write what is kept; return whether all is out.

        Raises:
            PeerClosed: the connection broke.
        """
        try:
            while self._unsent:
                sent = self._sock.send(self._unsent)
                del self._unsent[:sent]
        except BlockingIOError:
            return False
        except OSError as error:
            raise PeerClosed(str(error)) from error
        return True

    def shed(self) -> None:
        """Give back the memory that only a busy connection needs; for one that has been quiet for a while."""
        if self._records is not None:
            self._records.shed()
        if not self._unsent:
            self._unsent = bytearray()

    def say_goodbye(self) -> None:
        """Say close_notify after all that was sent: the caller then knows that nothing was cut off. Then only `flush`.

        Raises:
            PeerClosed: the connection broke.
        """
        if self._records is None:
            return
        try:
            self._connection.shutdown()
        except SSL.Error as error:
            raise PeerClosed(said(error)) from error
        self._say_alert(self._records)

    def close(self) -> None:
        """Close the socket, with close_notify if it can be said at once."""
        with suppress(PeerClosed):
            self.say_goodbye()
        self._sock.close()

    # --- what they are made of --------------------------------------------------------------

    def _ready(self) -> Records:
        if self._records is None:
            raise RuntimeError("the handshake is not done")
        return self._records

    def _read(self, asked: int, *, is_first: bool) -> int:
        """Read the socket into `arrived`; 0 if there is nothing now.

        The end is told only by the first read of a turn, else what this turn received would be lost with it.
        """
        try:
            count = self._sock.recv_into(arrived, asked)
        except BlockingIOError:
            return 0
        except OSError as error:
            if is_first:
                raise PeerClosed(str(error)) from error
            return 0
        if not count and is_first:
            raise PeerClosed("closed without close_notify")
        return count

    def _weigh(self, count: int, opened: int) -> None:
        self._barren_octets = 0 if opened else self._barren_octets + count
        if self._barren_octets > _BARREN_OCTETS:
            raise PeerClosed("records without content")

    def _write(self, count: int) -> int:
        """Write the first `count` octets of `sealed` after what is kept; return 0, what `sealed` holds then."""
        if self._unsent:
            self._unsent += sealed[:count]
            self.flush()
            return 0
        try:
            sent = self._sock.send(sealed[:count])
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise PeerClosed(str(error)) from error
        if sent < count:
            self._unsent += sealed[sent:count]
        return 0

    def _say_alert(self, records: Records) -> None:
        """Write what TLS itself has to say."""
        with suppress(PeerClosed, RecordsEnded):
            self._write(records.seal(b"", 0))


def _pieces(segments: Sequence[Octets]) -> Iterable[Octets]:
    """Return what to seal at a time, in order, none longer than SEALED_OCTETS: each sealing makes a record or more."""
    if len(segments) == 1 and len(segments[0]) <= SEALED_OCTETS:
        return segments
    if sum(map(len, segments)) <= _LARGE_OCTETS:
        return (b"".join(segments),)
    return _joined(segments)


def _joined(segments: Sequence[Octets]) -> Iterator[Octets]:
    """Join small neighbours, leave large segments where they lie, and cut what is too large for one sealing."""
    small: list[Octets] = []
    for segment in segments:
        if len(segment) < _LARGE_OCTETS:
            small.append(segment)
            continue
        yield from _cut(b"".join(small))
        small.clear()
        yield from _cut(segment)
    yield from _cut(b"".join(small))


def _cut(octets: Octets) -> Iterator[Octets]:
    if len(octets) <= SEALED_OCTETS:
        if octets:
            yield octets
        return
    view = memoryview(octets)
    for at in range(0, len(view), SEALED_OCTETS):
        yield view[at : at + SEALED_OCTETS]


def _failure(error: SSL.Error, faults: Sequence[ChainFault]) -> TlsFailed:
    detail = said(error)
    if "peer did not return a certificate" in detail:
        return TlsFailed(HandshakeResult.NO_CERTIFICATE, detail)
    if "certificate verify failed" in detail:
        words = [text for fault in faults if (text := fault_text(fault.code))]
        return TlsFailed(HandshakeResult.BAD_CERTIFICATE, ": ".join([detail, *words]))
    return TlsFailed(HandshakeResult.FAILED, detail)
