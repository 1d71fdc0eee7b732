"""Every RPC that a BuildKit daemon serves, and what kilngate does with it.

One row a method: its kind, the least role that may call it, and its treatment. What
is not here does not exist for a caller; server reflection is left out on purpose.

A daemon knows no users: whoever reaches it may read every build's log, files and
secrets, and delete every cache. So tenants get names of their own (`namespace`) and of
some answers only what is theirs; what cannot be parted is for `admin` alone, and what
a daemon refuses to everybody (to write its content store) is not here.

Source: moby/buildkit cmd/buildkitd/main.go and control/control.go, `Register`;
checked with server reflection.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from proxy.caller import Role

MIB = 1 << 20
# A daemon takes and sends 16 MiB; a build definition may need that, no other request comes near 4.
DEFINITION_LIMIT_OCTETS = ANSWER_LIMIT_OCTETS = 16 * MIB
USUAL_LIMIT_OCTETS = 4 * MIB


class Kind(Enum):
    """Which side of a call sends one message and which may send many."""

    UNARY = "unary"
    SERVER_STREAM = "server-stream"
    CLIENT_STREAM = "client-stream"
    BIDI = "bidi"


class Treatment(Enum):
    """What happens to an admitted call."""

    RELAY = "relay"
    """Octets pass unread."""
    INSPECT = "inspect"
    """The request message is held and read before the daemon gets it."""
    ANSWER = "answer"
    """kilngate answers; the daemon never hears of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """A method of the table; each is one object, and compared as such.

    `path` is the whole `:path`. `message_limit_octets` bounds each request message (0:
    no bound). `answer_limit_octets` is set where callers below `admin` do not get the
    daemon's answer as it is: it bounds each of its messages. What others put into the
    daemon must not break it, so it is what a daemon may send at all.
    """

    service: str
    name: str
    kind: Kind
    least_role: Role
    treatment: Treatment = Treatment.RELAY
    message_limit_octets: int = USUAL_LIMIT_OCTETS
    answer_limit_octets: int = 0

    @property
    def path(self) -> str:
        """The full method, as events and messages name it."""
        return f"/{self.service}/{self.name}"

    @property
    def short(self) -> str:
        """The method for people: `Control/Solve`."""
        return f"{self.service.rpartition('.')[2]}/{self.name}"


CONTROL = "moby.buildkit.v1.Control"
BRIDGE = "moby.buildkit.v1.frontend.LLBBridge"
CONTENT = "containerd.services.content.v1.Content"
TRACE = "opentelemetry.proto.collector.trace.v1.TraceService"
HEALTH = "grpc.health.v1.Health"

SOLVE = Method(CONTROL, "Solve", Kind.UNARY, Role.BUILDER, Treatment.INSPECT, DEFINITION_LIMIT_OCTETS)
STATUS = Method(CONTROL, "Status", Kind.SERVER_STREAM, Role.VIEWER, Treatment.INSPECT)
SESSION = Method(CONTROL, "Session", Kind.BIDI, Role.BUILDER, message_limit_octets=0)
LISTEN_BUILD_HISTORY = Method(
    CONTROL,
    "ListenBuildHistory",
    Kind.SERVER_STREAM,
    Role.VIEWER,
    Treatment.INSPECT,
    answer_limit_octets=ANSWER_LIMIT_OCTETS,
)
# To pin a record needs more (`history_request.role_to_update`).
UPDATE_BUILD_HISTORY = Method(CONTROL, "UpdateBuildHistory", Kind.UNARY, Role.BUILDER, Treatment.INSPECT)
DISK_USAGE = Method(
    CONTROL, "DiskUsage", Kind.UNARY, Role.VIEWER, Treatment.INSPECT, answer_limit_octets=ANSWER_LIMIT_OCTETS
)

_CONTROL = (
    SOLVE,
    STATUS,
    SESSION,
    LISTEN_BUILD_HISTORY,
    UPDATE_BUILD_HISTORY,
    Method(CONTROL, "ListWorkers", Kind.UNARY, Role.VIEWER),
    Method(CONTROL, "Info", Kind.UNARY, Role.VIEWER),
    DISK_USAGE,
    Method(CONTROL, "Prune", Kind.SERVER_STREAM, Role.ADMIN),
)

BRIDGE_SOLVE = Method(BRIDGE, "Solve", Kind.UNARY, Role.BUILDER, Treatment.INSPECT, DEFINITION_LIMIT_OCTETS)
# The answer of Solve holds the whole definition, and Return sends it back.
BRIDGE_RETURN = Method(BRIDGE, "Return", Kind.UNARY, Role.BUILDER, message_limit_octets=DEFINITION_LIMIT_OCTETS)

RESOLVE_IMAGE_CONFIG = Method(BRIDGE, "ResolveImageConfig", Kind.UNARY, Role.BUILDER, Treatment.INSPECT)
RESOLVE_SOURCE_META = Method(BRIDGE, "ResolveSourceMeta", Kind.UNARY, Role.BUILDER, Treatment.INSPECT)
EXEC_PROCESS = Method(BRIDGE, "ExecProcess", Kind.BIDI, Role.BUILDER)
NEW_CONTAINER = Method(BRIDGE, "NewContainer", Kind.UNARY, Role.BUILDER, Treatment.INSPECT)

_BRIDGE_UNARY = (
    "ReadFile",
    "ReadDir",
    "StatFile",
    "Evaluate",
    "Ping",
    "Inputs",
    "ReleaseContainer",
    "ReadFileContainer",
    "ReadDirContainer",
    "StatFileContainer",
    "Warn",
)

# A client's own spans. They carry what its environment put into `tracestate`, and reach other tenants' traces:
# so they are thanked for and dropped. Nothing of a build depends on them.
EXPORT = Method(TRACE, "Export", Kind.UNARY, Role.BUILDER, Treatment.ANSWER)

CONTENT_INFO = Method(
    CONTENT, "Info", Kind.UNARY, Role.VIEWER, Treatment.INSPECT, answer_limit_octets=ANSWER_LIMIT_OCTETS
)
CONTENT_READ = Method(
    CONTENT, "Read", Kind.SERVER_STREAM, Role.VIEWER, Treatment.INSPECT, answer_limit_octets=ANSWER_LIMIT_OCTETS
)
_CONTENT = (
    CONTENT_INFO,
    CONTENT_READ,
    Method(CONTENT, "List", Kind.SERVER_STREAM, Role.ADMIN),
    Method(CONTENT, "Status", Kind.UNARY, Role.ADMIN),
    Method(CONTENT, "ListStatuses", Kind.UNARY, Role.ADMIN),
)

_HEALTH = {"Check": Kind.UNARY, "List": Kind.UNARY, "Watch": Kind.SERVER_STREAM}


def _rows() -> Iterator[Method]:
    yield from _CONTROL
    yield from (BRIDGE_SOLVE, BRIDGE_RETURN, RESOLVE_IMAGE_CONFIG, RESOLVE_SOURCE_META, NEW_CONTAINER, EXEC_PROCESS)
    for name in _BRIDGE_UNARY:
        yield Method(BRIDGE, name, Kind.UNARY, Role.BUILDER)
    yield from _CONTENT
    yield EXPORT
    for name, kind in _HEALTH.items():
        yield Method(HEALTH, name, kind, Role.VIEWER, Treatment.ANSWER)


METHODS: dict[bytes, Method] = {method.path.encode(): method for method in _rows()}
"""By the exact octets of `:path`: no spelling of a path but its own is known."""
