"""Which daemon each tenant has, and which one a caller's connection leads to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxy.buildkit.address import UpstreamAddress
from proxy.errors import Refused
from proxy.reasons import Reason
from proxy.routing.template import Home, Template, home_of


@dataclass(frozen=True, slots=True)
class Standing:
    """A daemon that somebody else runs; a call waits `wait_ns` for it while it is away."""

    address: UpstreamAddress
    wait_ns: int
    minimum_version: str


@dataclass(frozen=True, slots=True)
class OnDemand:
    """A daemon that kilngate runs while it is needed; `tenant` is empty if it is the whole pool's."""

    pool: str
    tenant: str
    template: Template
    minimum_version: str

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from others, whatever a reload changes about it."""
        return self.pool, self.tenant

    @property
    def home(self) -> Home:
        """Where it lives."""
        return home_of(self.template.directory, self.pool, self.tenant)

    @property
    def address(self) -> UpstreamAddress:
        """Where it is reached while it runs."""
        return self.template.address(self.home)


@dataclass(frozen=True, slots=True)
class EachTenant:
    """A pool in which each tenant has a daemon of its own."""

    pool: str
    template: Template
    minimum_version: str


Upstream = Standing | OnDemand
Pool = Upstream | EachTenant


class Routes:
    """The daemons of all tenants; `pools` has those of the tenants that do not use the default."""

    def __init__(self, default: Standing, pools: Mapping[str, Pool]) -> None:
        self._default = default
        self._own: dict[str, Upstream] = {
            tenant: OnDemand(pool.pool, tenant, pool.template, pool.minimum_version)
            if isinstance(pool, EachTenant)
            else pool
            for tenant, pool in pools.items()
        }

    def of(self, tenant: str) -> Upstream:
        """Return the daemon of `tenant`."""
        return self._own.get(tenant, self._default)

    def used_by(self, tenants: Iterable[str]) -> "Used":
        """Return the daemons that these tenants have; the default if there are no tenants."""
        found = [self.of(tenant) for tenant in tenants] or [self._default]
        standing = {each.address: each for each in found if isinstance(each, Standing)}
        on_demand = {each.name: each for each in found if isinstance(each, OnDemand)}
        return Used(tuple(standing.values()), tuple(on_demand.values()))


@dataclass(frozen=True, slots=True)
class Used:
    """Daemons that are in use: those that others run, by their addresses, and our own."""

    standing: tuple[Standing, ...]
    on_demand: tuple[OnDemand, ...]


class Destination:
    """Where one caller's connection leads: to the daemon of the tenant that was first let through on it.

    Callers' windows and pings go from end to end, so a connection has one daemon for as
    long as it lasts.
    """

    def __init__(self) -> None:
        self.tenant = ""
        self.upstream: Upstream | None = None

    def choose(self, tenant: str, routes: Routes) -> None:
        """Let a call of `tenant` through.

        Raises:
            Refused: OTHER_DAEMON, the connection leads to a daemon that is not the tenant's.
        """
        if self.upstream is None:
            self.tenant, self.upstream = tenant, routes.of(tenant)
        elif tenant != self.tenant and routes.of(tenant).address != self.upstream.address:
            raise Refused(Reason.OTHER_DAEMON, tenant=tenant)
