"""What all calls of the process share, and what a reload replaces."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from proxy.buildkit.content import Readable
from proxy.buildkit.isolation import Isolation
from proxy.call.builds import Builds
from proxy.call.sessions import Sessions
from proxy.events import DaemonStarted, Event
from proxy.identity.authenticator import Authenticator
from proxy.limits.tenant import TenantLimits
from proxy.policy.engine import Policy
from proxy.routing.routes import Routes

Emit = Callable[[Event], None]
TakeStart = Callable[[], DaemonStarted | None]


def no_start() -> DaemonStarted | None:
    """Return nothing: there is no start of a daemon to be shown."""
    return None


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of settings, as far as calls are concerned: swapped as a whole."""

    number: int
    authenticator: Authenticator
    isolation: Isolation
    routes: Routes
    policies: Mapping[str, Policy]


@dataclass(slots=True)
class World:
    """The process as calls see it.

    `namespace_key` is the secret that all tenants' names are made with. `need_keys` fetches
    the keys of a token issuer and calls back when that is over; `wall_ns` reads the wall
    clock, which alone knows when certificates and tokens end.
    """

    generation: Generation
    namespace_key: bytes
    limits: TenantLimits
    emit: Emit
    need_keys: Callable[[str, Callable[[], None]], None]
    wall_ns: Callable[[], int]
    is_audited: Callable[[], bool]
    is_upstream_healthy: Callable[[], bool]
    report_bug: Callable[[Exception], None]
    builds: Builds = field(init=False)
    sessions: Sessions = field(default_factory=Sessions)
    is_draining: bool = False
    _readable: dict[str, Readable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.builds = Builds(self.emit)

    def readable(self, tenant: str) -> Readable:
        """Return the content that a tenant may read by now: what its history told it of, on any connection."""
        if tenant not in self._readable:
            self._readable[tenant] = Readable(tenant)
        return self._readable[tenant]
