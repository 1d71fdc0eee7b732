"""A caller that may say anything: HTTP/2 over TLS, frame by frame, with a deadline for every answer."""

import hashlib
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import hpack

from proxy.http2 import frames
from proxy.http2.payloads import Goaway, Head, header_fragment, read_error_code, read_goaway, read_head
from tests.helpers.credentials import SERVER_NAME, Shown

PATIENCE_S = 15.0
READ_OCTETS = 65_536
INFO = b"/moby.buildkit.v1.Control/Info"
HEALTH = b"/grpc.health.v1.Health/Check"


class Silence(Exception):
    """Nothing came in time."""


def plain_block(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a header block of literals that touch no table: it means the same anywhere in a connection."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in fields)


def call_fields(path: bytes = INFO, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Return the head of a well-formed call."""
    return [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":path", path),
        (b":authority", SERVER_NAME.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *more,
    ]


def head(stream: int, path: bytes = INFO, *more: tuple[bytes, bytes], end_stream: bool = False) -> bytes:
    """Return the HEADERS of a well-formed call."""
    return frames.headers(stream, plain_block(call_fields(path, *more)), end_stream=end_stream)


def _string(text: bytes) -> bytes:
    length = len(text)
    if length < 0x7F:
        return bytes((length,)) + text
    said = bytearray((0x7F,))
    length -= 0x7F
    while length >= 0x80:
        said.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(said) + bytes((length,)) + text


def tls_context(ca: Path, shown: Shown | None, alpn: Sequence[str] = ("h2",)) -> ssl.SSLContext:
    """Return what a client needs that trusts `ca` and shows a certificate, or none."""
    context = ssl.create_default_context(cafile=str(ca))
    if shown is not None:
        context.load_cert_chain(shown.certificate, shown.key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def connect(address: str, source: str = "") -> socket.socket:
    """Return a TCP connection to HOST:PORT, from an address of this machine if `source` names one."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S, (source, 0) if source else None)


@dataclass
class Heard:
    """What a peer said until it stopped, or until what was waited for."""

    goaway: Goaway | None = None
    resets: dict[int, int] = field(default_factory=dict)
    heads: dict[int, list[tuple[bytes, bytes]]] = field(default_factory=dict)
    octets: dict[int, bytes] = field(default_factory=dict)
    pongs: list[bytes] = field(default_factory=list)

    def status(self, stream: int) -> str | None:
        """Return the gRPC status of a call that ended, else None."""
        return dict(self.heads.get(stream, [])).get(b"grpc-status", b"").decode() or None


class H2Client:
    """One connection. `hear_*` read until what they name has come, and fail after `PATIENCE_S`.

    `before_tls` is said first, from the address `source`, as a load balancer does.
    """

    def __init__(self, address: str, context: ssl.SSLContext, *, source: str = "", before_tls: bytes = b"") -> None:
        plain = connect(address, source)
        plain.sendall(before_tls)
        self.sock = context.wrap_socket(plain, server_hostname=SERVER_NAME)
        self.heard = Heard()
        self._kept = b""
        self._block = b""
        self._decoder = hpack.Decoder(max_header_list_size=1 << 20)

    def __enter__(self) -> "H2Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def say(self, octets: bytes) -> None:
        """Send octets; a peer that has hung up is no error here: what it said before can still be heard."""
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self.sock.sendall(octets)

    def greet(self) -> None:
        """Say preface and SETTINGS, wait for the SETTINGS of the other side, acknowledge them."""
        self.say(frames.PREFACE + frames.settings([]))
        for one, _ in self._frames(time.monotonic() + PATIENCE_S):
            if one.kind == frames.SETTINGS and not one.flags & frames.ACK:
                self.say(frames.SETTINGS_ACK)
                return
        raise Silence("closed instead of SETTINGS")

    def hear_end(self, patience_s: float = PATIENCE_S) -> Heard:
        """Read until the other side closes the connection, then close ours."""
        for one, payload in self._frames(time.monotonic() + patience_s):
            self._note(one, payload)
        self.sock.close()
        return self.heard

    def hear_stream(self, stream: int) -> Heard:
        """Read until a stream has ended, by trailers or by a reset."""
        for one, payload in self._frames(time.monotonic() + PATIENCE_S):
            self._note(one, payload)
            ends = one.kind == frames.RST_STREAM or (
                one.kind in (frames.DATA, frames.HEADERS) and one.flags & frames.END_STREAM
            )
            if one.stream == stream and ends:
                return self.heard
        raise Silence(f"closed before the end of stream {stream}: {self.heard}")

    def hear_bulk(self, stream: int) -> str:
        """Read until a stream has ended with its trailers; return the SHA-256 of its octets instead of keeping them."""
        digest = hashlib.sha256()
        for one, payload in self._frames(time.monotonic() + PATIENCE_S):
            if one.kind == frames.DATA and one.stream == stream:
                digest.update(payload)
            elif one.kind == frames.HEADERS and one.stream == stream and one.flags & frames.END_STREAM:
                return digest.hexdigest()
        raise Silence(f"closed before the end of stream {stream}")

    def hear_pong(self, opaque: bytes) -> Heard:
        """Ask for an answer to a PING and read until it comes."""
        self.say(frames.ping(opaque))
        for one, payload in self._frames(time.monotonic() + PATIENCE_S):
            self._note(one, payload)
            if opaque in self.heard.pongs:
                return self.heard
        raise Silence(f"closed instead of a PING's answer: {self.heard}")

    def call(self, stream: int, path: bytes, message: bytes = b"", *more: tuple[bytes, bytes]) -> Heard:
        """Make a unary call and read until it has ended."""
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        self.say(head(stream, path, *more) + frames.data(stream, framed, end_stream=True))
        return self.hear_stream(stream)

    def _frames(self, deadline_s: float) -> Iterator[tuple[Head, bytes]]:
        """Give frames until the other side closes.

        Raises:
            Silence: it did not close in time.
        """
        while True:
            while len(self._kept) >= frames.HEAD_OCTETS:
                one = read_head(self._kept)
                end = frames.HEAD_OCTETS + one.length
                if len(self._kept) < end:
                    break
                payload, self._kept = self._kept[frames.HEAD_OCTETS : end], self._kept[end:]
                yield one, payload
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise Silence(f"still open, and heard only {self.heard}")
            self.sock.settimeout(left_s)
            try:
                octets = self.sock.recv(READ_OCTETS)
            except TimeoutError:
                continue
            except OSError:
                return
            if not octets:
                return
            self._kept += octets

    def _note(self, one: Head, payload: bytes) -> None:
        heard = self.heard
        if one.kind == frames.GOAWAY:
            heard.goaway = read_goaway(payload)
        elif one.kind == frames.RST_STREAM:
            heard.resets[one.stream] = read_error_code(payload)
        elif one.kind == frames.PING and one.flags & frames.ACK:
            heard.pongs.append(payload)
        elif one.kind == frames.DATA:
            heard.octets[one.stream] = heard.octets.get(one.stream, b"") + payload
        elif one.kind in (frames.HEADERS, frames.CONTINUATION):
            self._block += header_fragment(one.flags, payload) if one.kind == frames.HEADERS else payload
            if one.flags & frames.END_HEADERS:
                said = self._decoder.decode(self._block, raw=True)
                heard.heads.setdefault(one.stream, []).extend((bytes(name), bytes(value)) for name, value in said)
                self._block = b""
