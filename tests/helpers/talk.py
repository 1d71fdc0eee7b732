"""Calls without a network: a world of real rooms, whose clock, keys and connections are the test's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy.buildkit.address import UpstreamAddress
from proxy.buildkit.isolation import Isolation
from proxy.buildkit.methods import BRIDGE, BRIDGE_SOLVE, METHODS, SOLVE, STATUS, Method
from proxy.buildkit.namespace import Namespace, RememberedNames
from proxy.call.conversation import Conversation
from proxy.call.heads import BUILD_ID
from proxy.call.machine import Call
from proxy.call.world import Generation, World
from proxy.caller import Caller, Role
from proxy.errors import KeysNeeded, Refused
from proxy.events import BuildFacts, CallId, Event
from proxy.grpc.framing import frame
from proxy.http2.calls import Verdict
from proxy.identity.authenticator import Authenticator
from proxy.identity.credentials import Credentials, PresentedCertificate
from proxy.limits.tenant import Limits, TenantLimits
from proxy.policy.engine import Policy
from proxy.policy.settings import PolicySettings
from proxy.reasons import Code, Reason
from proxy.routing.routes import Routes, Standing
from tests.helpers.buildkit_proto import message_class
from tests.helpers.h2client import call_fields

ONE_DAEMON = Routes(Standing(UpstreamAddress("unix", "/run/buildkitd.sock"), 0, "0.12.5"), {})
PEER = "192.0.2.7:40000"
SECOND = 1_000_000_000
KEY = b"k" * 32
Fields = tuple[tuple[bytes, bytes], ...]


def head_of(method: Method, *more: tuple[bytes, bytes]) -> Fields:
    """Return the head of a well-formed call of `method`."""
    return tuple(call_fields(method.path.encode(), *more))


def head_of_bridge(ref: str, method: Method = BRIDGE_SOLVE) -> Fields:
    """Return the head of a call that names a build."""
    return head_of(method, (BUILD_ID, ref.encode()))


def bridge(name: str) -> Method:
    """Return the row of another method of the bridge."""
    return METHODS[f"/{BRIDGE}/{name}".encode()]


def message(name: str, **values: Any) -> bytes:
    """Return a message of BuildKit as the protobuf runtime writes it."""
    octets: bytes = message_class(name)(**values).SerializeToString()
    return octets


def solve(ref: str, **values: Any) -> bytes:
    """Return a SolveRequest."""
    return message("SolveRequest", ref=ref, **values)


def steps_told(*digests: str, cached: bool = False, warnings: int = 0) -> bytes:
    """Return a framed StatusResponse that tells of completed steps."""
    vertex = message_class("Vertex")
    timestamp = message_class("Timestamp")
    warning = message_class("VertexWarning")
    told = message_class("StatusResponse")(
        vertexes=[vertex(digest=digest, cached=cached, completed=timestamp(seconds=1)) for digest in digests],
        warnings=[warning(vertex="w") for _ in range(warnings)],
    )
    return frame(told.SerializeToString())


def somebody(tenant: str = "payments", role: Role = Role.BUILDER, until_ns: int = 1 << 62) -> Caller:
    """Return a proven caller."""
    return Caller(tenant, role, f"ci@{tenant}", "fake", "rule", until_ns)


class Badges:
    """A way to prove an identity: the authorization value names who it is. Keys may have to be fetched first."""

    name = "badges"

    def __init__(self, **callers: Caller) -> None:
        self.callers = callers
        self.asked = 0
        self.lacks_keys = False

    def authenticate(self, shown: Credentials, *, now_wall_ns: int) -> Caller | None:
        """Judge a badge."""
        if not shown.authorization:
            return None
        self.asked += 1
        if self.lacks_keys:
            raise KeysNeeded("https://issuer.example")
        caller = self.callers.get(shown.authorization[0].decode())
        if caller is None:
            raise Refused(Reason.TOKEN_BAD_SIGNATURE)
        if now_wall_ns >= caller.judged_until_ns:
            raise Refused(Reason.TOKEN_EXPIRED)
        return caller

    def check_withdrawn(self, presented: PresentedCertificate) -> None:
        """Let every certificate pass."""

    def explain(self, shown: Credentials) -> list[str]:  # noqa: ARG002
        """Say nothing."""
        return []


def a_stranger(_presented: PresentedCertificate) -> Refused:
    """Word the refusal of a certificate."""
    return Refused(Reason.CERTIFICATE_UNKNOWN_CA, subject="nobody")


class CountedLimits(TenantLimits):
    """The real limits, which also tell what is in use."""

    @property
    def in_use(self) -> dict[str, tuple[int, int, int]]:
        """Builds, connections and streams in use, of each tenant that uses any."""
        counted = {
            name: (use.builds.in_use, use.connections.in_use, use.streams.in_use) for name, use in self._uses.items()
        }
        return {name: numbers for name, numbers in counted.items() if numbers != (0, 0, 0)}


BADGES = {
    "builder": somebody(),
    "viewer": somebody(role=Role.VIEWER),
    "admin": somebody("platform", Role.ADMIN),
    "rival": somebody("rival"),
    "rival-viewer": somebody("rival", Role.VIEWER),
}


@dataclass
class Farm:
    """The process as calls see it; what happens in it is in `said`."""

    limits: Limits = field(default_factory=Limits)
    badges: Badges = field(default_factory=lambda: Badges(**BADGES))
    said: list[Event] = field(default_factory=list)
    fetches: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    bugs: list[Exception] = field(default_factory=list)
    wall_ns: int = 1000
    isolation: Isolation = field(default_factory=Isolation)
    policies: dict[str, PolicySettings] = field(default_factory=lambda: {"default": PolicySettings()})
    is_audited: bool = True
    is_healthy: bool = True
    routes: Routes = ONE_DAEMON

    def __post_init__(self) -> None:
        self.counted = CountedLimits(self.limits)
        self.world = World(
            generation=self.generation(1),
            namespace_key=KEY,
            limits=self.counted,
            emit=self.said.append,
            need_keys=lambda issuer, ready: self.fetches.append((issuer, ready)),
            wall_ns=lambda: self.wall_ns,
            is_audited=lambda: self.is_audited,
            is_upstream_healthy=lambda: self.is_healthy,
            report_bug=self.bugs.append,
        )
        self._connections = 0

    def generation(self, number: int) -> Generation:
        """Return a generation of the settings as they are now."""
        policies = {name: Policy(name, settings) for name, settings in self.policies.items()}
        return Generation(number, self.authenticator(), self.isolation, self.routes, policies)

    def names(self, tenant: str = "payments") -> Namespace:
        """Return the names of a tenant."""
        return Namespace(tenant, KEY)

    def authenticator(self) -> Authenticator:
        """Return a new generation's authenticator."""
        return Authenticator([self.badges], stranger=a_stranger)

    def connect(self, badge: str | None = "builder", certificate: PresentedCertificate | None = None) -> "Line":
        """Return a new connection of whoever wears `badge`."""
        self._connections += 1
        return Line(self, self._connections, badge, certificate)

    def heard(self, *kinds: type) -> list[Any]:
        """Return the events of these kinds, in order."""
        return [event for event in self.said if isinstance(event, kinds)]

    def fetched(self) -> None:
        """Say that the keys asked for so far were fetched, or not."""
        fetches, self.fetches = self.fetches, []
        for _, ready in fetches:
            ready()


class Line:
    """One connection, with as much of the relay as the conversation can tell: it also is its own waker."""

    def __init__(self, farm: Farm, number: int, badge: str | None, certificate: PresentedCertificate | None) -> None:
        self.farm = farm
        self.number = number
        self.badge = badge
        self.now_ns = 0
        self.is_broken = False
        self.retried: list[int] = []
        self.gone: list[int] = []
        self.calls: dict[int, Call] = {}
        self.verdicts: dict[int, Verdict] = {}
        self.answered: list[int] = []
        self.told: dict[int, tuple[Code, str]] = {}
        self.reasons: dict[int, Reason] = {}
        self._next = 1
        self.conversation = Conversation(farm.world, connection=number, peer=PEER, certificate=certificate, waker=self)

    # --- what the conversation asks ---------------------------------------------------------

    def retry(self, stream: int) -> None:
        """Decide again."""
        self.retried.append(stream)

    def let_go(self, stream: int) -> None:
        """Note that a call's octets may pass, unless the connection turns out to be broken."""
        self.gone.append(stream)
        if self.is_broken:
            self.hang_up()

    def answer(self, stream: int) -> None:
        """Answer a call as the relay does."""
        self.answered.append(stream)
        self.end(stream)

    def end_call(self, stream: int, refused: Refused) -> None:
        """End a call as the relay does."""
        self._refused(stream, self.calls.get(stream), refused)

    # --- what the caller does ---------------------------------------------------------------

    def begin(self, fields: Sequence[tuple[bytes, bytes]], badge: str | None = None) -> int:
        """Begin a call and return its stream."""
        stream, self._next = self._next, self._next + 2
        self.ask(stream, fields, badge)
        return stream

    def ask(self, stream: int, fields: Sequence[tuple[bytes, bytes]], badge: str | None = None) -> None:
        """Ask about a call, or ask again."""
        worn = badge or self.badge
        shown = ((b"authorization", worn.encode()),) if worn else ()
        try:
            call = self.conversation.begin(stream, (*fields, *shown), self.now_ns)
        except Refused as refused:
            self._refused(stream, None, refused)
        else:
            if call is not None:
                self.calls[stream] = call

    def message(self, stream: int, octets: bytes) -> None:
        """Send the message of a call that is read."""
        try:
            self.verdicts[stream] = self.conversation.judge(self.calls[stream], octets, self.now_ns)
        except Refused as refused:
            self._refused(stream, self.calls[stream], refused)

    def call(self, method: Method, octets: bytes | None = None, badge: str | None = None) -> int:
        """Begin a call and, if it has one and was not refused, send its message."""
        stream = self.begin(head_of(method), badge)
        if octets is not None and stream in self.calls:
            self.message(stream, octets)
        return stream

    def solve(self, ref: str, badge: str | None = None, **values: Any) -> int:
        """Ask for a build."""
        return self.call(SOLVE, solve(ref, **values), badge)

    def work(self, ref: str, octets: bytes = b"", badge: str | None = None) -> int:
        """Bring a build its work, by LLBBridge/Solve."""
        stream = self.begin(head_of_bridge(ref), badge)
        if stream in self.calls:
            self.message(stream, octets)
        return stream

    def status(self, ref: str, badge: str | None = None) -> int:
        """Ask how a build goes."""
        return self.call(STATUS, message("StatusRequest", ref=ref), badge)

    def end(self, stream: int, code: Code = Code.OK, reason: Reason | None = None) -> None:
        """End a call that runs, as the daemon or the caller does."""
        self.conversation.ended(self.calls.pop(stream), code, reason, self.now_ns)

    def observe(self, stream: int, octets: bytes, piece_octets: int = 1 << 20) -> None:
        """Let the answer of a call pass, in pieces."""
        for at in range(0, len(octets), piece_octets):
            self.conversation.observe(self.calls[stream], memoryview(octets)[at : at + piece_octets])

    def hang_up(self) -> None:
        """Close the connection: every call is over."""
        for stream in list(self.calls):
            self.end(stream, Code.CANCELLED)
        self.conversation.close()

    def call_id(self, stream: int) -> CallId:
        """Return what events name a call."""
        return CallId(self.number, stream)

    def _refused(self, stream: int, call: Call | None, refused: Refused) -> None:
        self.calls.pop(stream, None)
        self.reasons[stream] = refused.reason
        self.told[stream] = self.conversation.refused(stream, call, refused, self.now_ns)


def a_call(method: Method, *, stream: int = 1, tenant: str = "payments", now_ns: int = 100) -> Call:
    """Return a call that nobody has judged."""
    names = RememberedNames(tenant, KEY)
    return Call(CallId(1, stream), somebody(tenant), method, (), now_ns, names=names)


def facts(ref: str, *, is_internal: bool = False) -> BuildFacts:
    """Return the facts of a Solve that says nothing but its ref."""
    return BuildFacts(ref, is_internal, "", (), ())
