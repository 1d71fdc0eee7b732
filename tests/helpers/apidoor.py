"""The HTTPS API in one process: a real public port, real issuer and identity, in a thread of its own."""

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from proxy.edge.api.application import Api
from proxy.edge.api.facts import Facts
from proxy.edge.host import Host
from proxy.edge.issuing import Desk
from proxy.edge.listener import Listener, listen
from proxy.edge.tls import ServerTls
from proxy.edge.watch import Poller
from proxy.events import ConnectionClosed, Event
from proxy.identity.authenticator import Authenticator
from proxy.identity.issued import LiveRevocations, Trust
from proxy.identity.keyset import KeySets
from proxy.identity.methods import jwt, mtls
from proxy.issuer.authority import Authority as IssuingAuthority
from proxy.issuer.issuer import Issuer
from proxy.issuer.settings import Lifetimes
from proxy.limits.tenant import Limits
from proxy.settings.listen import Listen
from proxy.store.interface import Store
from proxy.store.memory import MemoryStore
from tests.helpers.certificates import Authority, Issued
from tests.helpers.issuing import DOMAIN
from tests.helpers.signing import AUDIENCE, SigningKey, claims, key_set, new_key
from tests.helpers.talk import Farm

PATIENCE_S = 20.0
ISSUER = "https://id.test"
JOBS = "https://jobs.test"
SERVER_NAME = "farm.test"
TENANTS = {"payments": "default", "platform": "default"}
Answer = TypeVar("Answer")
Kinds = TypeVar("Kinds", bound=Event)


@dataclass(frozen=True)
class Response:
    """What came back, with the header's names in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, str]:
        """The refusal in the body."""
        found: dict[str, str] = json.loads(self.body)["error"]
        return found


def read_response(octets: bytes) -> Response:
    """Read one response that ends with its connection; what follows its length is a mistake."""
    head, _, body = octets.partition(b"\r\n\r\n")
    line, *fields = head.decode("ascii").split("\r\n")
    version, status, _ = line.split(" ", 2)
    assert version.startswith("HTTP/")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in fields)}
    assert len(body) == int(headers["content-length"])
    return Response(int(status), headers, body)


@dataclass
class ApiDoor:
    """A public port whose only use is the API. `said` is what happened."""

    directory: Path
    listen: Listen = field(default_factory=Listen)
    limits: Limits = field(default_factory=Limits)
    store: Store = field(default_factory=MemoryStore)
    is_issuing: bool = True
    port: int = 0

    def __post_init__(self) -> None:
        self.root = Authority.create("Farm CA")
        self.issuing = self.root.intermediate("Issuer")
        self.server = self.root.server(SERVER_NAME, "127.0.0.1").write(self.directory, "server")
        self.ca = self.directory / "ca.pem"
        self.ca.write_bytes(self.root.pem)
        self.key: SigningKey = new_key()
        self.farm = Farm(self.limits)
        self.farm.wall_ns = time.time_ns()
        self.said = self.farm.said

    # --- what callers do --------------------------------------------------------------------

    def connect(self, shown: Issued | None = None) -> ssl.SSLSocket:
        """Return a connection whose handshake is done."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if shown is not None:
            context.load_cert_chain(*shown.write(self.directory, "shown"))
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        return context.wrap_socket(raw, server_hostname=SERVER_NAME, suppress_ragged_eofs=False)

    def ask(self, octets: bytes, shown: Issued | None = None) -> Response:
        """Send a request and read its answer, until the farm says goodbye."""
        with self.connect(shown) as connection:
            connection.sendall(octets)
            return read_response(hear_all(connection))

    def get(self, path: str, *fields: str, shown: Issued | None = None) -> Response:
        """GET a path."""
        return self.ask(request("GET", path, *fields), shown)

    def post(self, body: bytes, *fields: str, token: str | None = None, shown: Issued | None = None) -> Response:
        """Ask for a certificate."""
        shown_token = (f"Authorization: Bearer {token}",) if token else ()
        return self.ask(request("POST", "/v1/certificates", *shown_token, *fields, body=body), shown)

    def token(self, issuer: str = ISSUER, **changes: object) -> str:
        """Return a good token of a person, or of a job if `issuer` is JOBS."""
        return self.key.sign(claims(issuer, int(time.time()), **{"sub": "alice@example.com", **changes}))

    def heard(self, kind: type[Kinds]) -> list[Kinds]:
        """Return the events of a kind."""
        return [event for event in list(self.said) if isinstance(event, kind)]

    def wait(self, kind: type[Kinds], count: int = 1) -> list[Kinds]:
        """Wait until so many events of a kind were told."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.heard(kind)) < count:
            assert time.monotonic() < deadline, f"{kind.__name__} was not told {count} times: {self.said}"
            time.sleep(0.01)
        return self.heard(kind)

    def wait_closed(self, port: int) -> ConnectionClosed:
        """Wait for the end of the connection that a caller opened from a port, and return how it was told."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            ended = [event for event in self.heard(ConnectionClosed) if event.peer == f"127.0.0.1:{port}"]
            if ended:
                return ended[-1]
            assert time.monotonic() < deadline, "a connection stays open"
            time.sleep(0.01)

    def do(self, work: Callable[[], Any]) -> Any:
        """Do something on the port's own thread."""

        async def done() -> Any:
            found = work()
            return await found if asyncio.iscoroutine(found) else found

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(PATIENCE_S)

    # --- how it is made ---------------------------------------------------------------------

    async def serve(self, is_up: threading.Event, is_over: asyncio.Event) -> None:
        """Serve until `is_over`."""
        self._loop = asyncio.get_running_loop()
        self.revocations = LiveRevocations()
        self.desk = Desk(
            self.store,
            revocations=self.revocations,
            emit=self.said.append,
            wall_ns=time.time_ns,
            taken=self._revoked,
        )
        world = self.farm.world
        world.wall_ns = time.time_ns
        self.authenticator = self._authenticator()
        world.generation = replace(world.generation, number=1, authenticator=self.authenticator)
        self.api = Api(world, self.desk)
        self.api.facts = Facts(self.root.pem, (SERVER_NAME, "127.0.0.1"), {"server_names": [SERVER_NAME]})
        await self.api.start()
        sock = listen("127.0.0.1", 0)
        self.port = sock.getsockname()[1]
        poller = Poller(self._loop)
        self.listener = Listener(
            sock,
            listen=self.listen,
            tls=ServerTls(*self.server, [self.root.pem]),
            make_host=lambda listener: Host(
                world, self.listen, self._loop, poller, self._no_daemon, listener.closed, self.api.new_protocol
            ),
        )
        await self.desk.open()
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(work) for work in (self.listener.run(), self.desk.run())]
            is_up.set()
            await is_over.wait()
            for task in running:
                task.cancel()
        await self.api.stop()
        await self.desk.close()
        poller.close()

    def _no_daemon(self, _caller: object) -> None:
        """Nobody builds here."""

    def _revoked(self) -> int:
        self.authenticator.forget()
        self.farm.world.generation = replace(self.farm.world.generation, number=2)
        return self.listener.end_withdrawn(self.authenticator.withdrawn)

    def _authenticator(self) -> Authenticator:
        signed = Issued(self.issuing.certificate, self.issuing.key)
        trusted = frozenset({self.issuing.der})
        if self.is_issuing:
            authority = IssuingAuthority.read(self.issuing.pem, signed.key_pem)
            self.desk.issuer = Issuer(DOMAIN, (authority,), Lifetimes(), TENANTS)
        trust = Trust(DOMAIN, trusted, TENANTS, frozenset({"default"}), self.revocations)
        config = mtls.Config.model_validate({"type": "mtls", "name": "issued", "ca_file": "ca.pem", "issued": True})
        methods = [_tokens(ISSUER, "person", self.key), _tokens(JOBS, "ci", self.key)]
        keysets = KeySets(method.source for method in methods)
        return Authenticator(
            [config.build(self.root.pem, None, trust), *(method.build(keysets) for method in methods)],
            stranger=mtls.stranger,
        )


def _tokens(issuer: str, kind: str, key: SigningKey) -> jwt.Config:
    return jwt.Config.model_validate(
        {
            "type": "jwt",
            "name": kind,
            "preset": "generic",
            "issuer": issuer,
            "audiences": [AUDIENCE],
            "jwks": {"inline": key_set(key)},
            "rules": [{"match": {"sub": "**"}, "tenant": "payments", "kind": kind, "name": "all"}],
        }
    )


def request(method: str, path: str, *fields: str, body: bytes = b"", version: str = "HTTP/1.1") -> bytes:
    """Return a well-formed request; fields that are given replace nothing."""
    usual = [f"Host: {SERVER_NAME}"]
    if body:
        usual.append(f"Content-Length: {len(body)}")
    return "\r\n".join([f"{method} {path} {version}", *usual, *fields, "", ""]).encode("latin-1") + body


def hear_all(connection: ssl.SSLSocket) -> bytes:
    """Read until the farm says goodbye in good form; a connection that is only cut raises."""
    octets = b""
    while piece := connection.recv(1 << 16):
        octets += piece
    return octets


def hear_cut(connection: ssl.SSLSocket) -> bytes:
    """Read until the connection is over, in whatever form."""
    octets = b""
    with suppress(OSError):
        while piece := connection.recv(1 << 16):
            octets += piece
    return octets


@contextmanager
def api_door(directory: Path, **how: Any) -> Iterator[ApiDoor]:
    """Run the API beside a test."""
    door = ApiDoor(directory, **how)
    loop, is_up, is_over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(door.serve(is_up, is_over),))
    thread.start()
    try:
        assert is_up.wait(PATIENCE_S)
        yield door
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join(PATIENCE_S)
        loop.close()
