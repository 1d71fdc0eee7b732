"""The limits of each tenant: calls a second, builds, connections and calls at once."""

from collections.abc import Mapping

from pydantic import Field, PositiveInt

from proxy.errors import Refused
from proxy.limits.limiters.token_bucket import TokenBucket
from proxy.limits.permits import NoPermit, Permit, Permits
from proxy.reasons import Reason
from proxy.record import Record
from proxy.units import said


class Limits(Record):
    """How much one tenant may do at once."""

    calls_per_second: float = Field(default=100.0, gt=0, le=1_000_000)
    """Calls a second in the long run. A build of buildx makes about 20 calls."""

    burst: PositiveInt = 400
    """Calls at once, after a quiet time."""

    concurrent_builds: PositiveInt = 10
    """Builds running at once. buildx's own probe before a build is none."""

    connections: PositiveInt = 64
    """Connections open at once. Each running buildx holds one."""

    streams: PositiveInt = 512
    """Calls open at once, over all connections. A running build holds about 4."""


class _Use:
    """What one tenant uses now."""

    __slots__ = ("builds", "calls", "connections", "limits", "streams")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.calls = TokenBucket(rate=limits.calls_per_second, burst=limits.burst)
        self.builds = Permits(limits.concurrent_builds)
        self.connections = Permits(limits.connections)
        self.streams = Permits(limits.streams)

    def change(self, limits: Limits) -> None:
        self.limits = limits
        self.calls.change(rate=limits.calls_per_second, burst=limits.burst)
        self.builds.limit = limits.concurrent_builds
        self.connections.limit = limits.connections
        self.streams.limit = limits.streams


class TenantLimits:
    """Counts what tenants use, and refuses what is too much.

    `defaults` are for every tenant that `own` does not name. Times are whole
    nanoseconds of a clock that never runs backwards.
    """

    def __init__(self, defaults: Limits, own: Mapping[str, Limits] | None = None) -> None:
        self._uses: dict[str, _Use] = {}
        self.reconfigure(defaults, own)

    def reconfigure(self, defaults: Limits, own: Mapping[str, Limits] | None = None) -> None:
        """Take new limits; what is in use stays counted, and nobody loses a permit."""
        self._defaults = defaults
        self._own = dict(own or {})
        for tenant, use in self._uses.items():
            use.change(self._own.get(tenant, defaults))

    def admit_call(self, tenant: str, *, now_ns: int) -> None:
        """Count a call.

        Raises:
            Refused: RATE_LIMITED; the same call succeeds after `retry_after_ns`.
        """
        use = self._use(tenant)
        wait_ns = use.calls.wait_ns(1, now_ns=now_ns)
        if wait_ns:
            limit = f"{use.limits.calls_per_second:g}"
            raise Refused(Reason.RATE_LIMITED, retry_after_ns=wait_ns, tenant=tenant, limit=limit, wait=said(wait_ns))
        use.calls.take(1, now_ns=now_ns)

    def start_build(self, tenant: str) -> Permit:
        """Return a permit for a build.

        Raises:
            Refused: BUILDS_LIMIT.
        """
        return _take(self._use(tenant).builds, Reason.BUILDS_LIMIT, tenant)

    def open_connection(self, tenant: str) -> Permit:
        """Return a permit for a connection.

        Raises:
            Refused: CONNECTIONS_LIMIT.
        """
        return _take(self._use(tenant).connections, Reason.CONNECTIONS_LIMIT, tenant)

    def open_stream(self, tenant: str) -> Permit:
        """Return a permit for a call.

        Raises:
            Refused: STREAMS_LIMIT.
        """
        return _take(self._use(tenant).streams, Reason.STREAMS_LIMIT, tenant)

    def _use(self, tenant: str) -> _Use:
        use = self._uses.get(tenant)
        if use is None:
            use = self._uses[tenant] = _Use(self._own.get(tenant, self._defaults))
        return use


def _take(permits: Permits, reason: Reason, tenant: str) -> Permit:
    try:
        return permits.take()
    except NoPermit:
        raise Refused(reason, tenant=tenant, value=permits.in_use, limit=permits.limit) from None
