"""A TLS caller for tests: OpenSSL as the standard library binds it, at one end of a socket pair.

Both ends are driven step by step by one thread: no sleeps, no races.
"""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from proxy.edge.tls import ServerTls
from proxy.edge.tls_records import TlsConnection, Want
from tests.helpers.certificates import Authority, Issued

# No test needs more turns than this; a loop that does hangs, and says so.
MOST_TURNS = 200_000


_opened: list[socket.socket] = []


def pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a new non-blocking connection; `close_all` closes them."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    _opened.extend(ends)
    return ends


def close_all() -> None:
    """Close everything that a test opened here."""
    while _opened:
        _opened.pop().close()


class Client:
    """The caller's end. `failure` is what its handshake ended with."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        self.failure: ssl.SSLError | None = None
        self.is_done = False
        self.tls = context.wrap_socket(
            sock, server_hostname="localhost", do_handshake_on_connect=False, session=session
        )
        _opened.append(self.tls)

    def step(self) -> None:
        """Go on with the handshake as far as the socket allows."""
        if self.is_done or self.failure:
            return
        try:
            self.tls.do_handshake()
            self.is_done = True
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except ssl.SSLError as error:
            self.failure = error

    def receive(self, most: int = 1 << 16) -> bytes:
        """Return what has arrived; empty if nothing has."""
        try:
            return self.tls.recv(most)
        except ssl.SSLWantReadError:
            return b""

    def send(self, octets: bytes | memoryview) -> int:
        """Send what the socket takes; return the octets."""
        try:
            return self.tls.send(octets)
        except ssl.SSLWantWriteError:
            return 0


def client_context(
    authority: Authority, shown: tuple[Path, Path] | None = None, *, alpn: list[str] | None = None
) -> ssl.SSLContext:
    """Return what a caller knows: the server's authority, and its own certificate if it has one."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    # A certificate that nobody should accept must be shown first.
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    if alpn:
        context.set_alpn_protocols(alpn)
    if shown:
        context.load_cert_chain(*shown)
    return context


class Place:
    """A server's certificate in a directory, and the authority of everybody."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority.create()
        self.certificate, self.key = self.authority.server("localhost").write(directory, "server")

    def server(self, **options: object) -> ServerTls:
        """Return one generation of the server."""
        options.setdefault("cas", [self.authority.pem])
        return ServerTls(self.certificate, self.key, **options)  # type: ignore[arg-type]

    def context(self, shown: Issued | None = None, *, alpn: list[str] | None = None) -> ssl.SSLContext:
        """Return what a caller with `shown` knows."""
        files = shown.write(self.directory, "client") if shown else None
        return client_context(self.authority, files, alpn=alpn)


def connect(
    server: ServerTls, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[TlsConnection, Client]:
    """Return both ends of a connection before its handshake."""
    ours, theirs = pair()
    return server.wrap(ours), Client(theirs, context, session)


def shake(connection: TlsConnection, client: Client) -> None:
    """Finish the handshake on both ends.

    Raises:
        TlsFailed: the server refused.
    """
    want = Want.READ
    for _ in range(MOST_TURNS):
        client.step()
        if want is not Want.DONE:
            want = connection.handshake()
        if want is Want.DONE and (client.is_done or client.failure):
            return
    raise AssertionError("the handshake does not end")


def until(is_done: Callable[[], bool], turn: Callable[[], object]) -> None:
    """Take turns until `is_done`."""
    for _ in range(MOST_TURNS):
        if is_done():
            return
        turn()
    raise AssertionError("it does not end")
