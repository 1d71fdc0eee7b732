"""Opens connections to daemons for callers; waits a little while one is away, or until one of ours has started."""

import asyncio
import socket

from proxy.buildkit.address import UpstreamAddress
from proxy.edge.daemon_life import NotStarted
from proxy.edge.daemons import Daemons
from proxy.edge.host import Caller
from proxy.edge.upstream import open_upstream
from proxy.edge.upstream_link import UpstreamLink
from proxy.errors import Refused, one_line
from proxy.reasons import Reason
from proxy.routing.routes import OnDemand, Standing
from proxy.units import SECOND_NS

FIRST_RETRY_S = 0.05
LONGEST_RETRY_S = 1.0


class Dialer:
    """Dials in a task group of its own, so that no attempt outlives the process's end."""

    def __init__(self, daemons: Daemons) -> None:
        self._daemons = daemons
        self._asked: asyncio.Queue[Caller] = asyncio.Queue()

    def open(self, caller: Caller) -> None:
        """Open a connection for `caller` and tell it."""
        self._asked.put_nowait(caller)

    async def run(self) -> None:
        """Serve callers until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._dial(await self._asked.get()))

    async def _dial(self, caller: Caller) -> None:
        upstream = caller.destination.upstream
        assert upstream is not None
        try:
            if isinstance(upstream, Standing):
                await self._dial_standing(caller, upstream)
            else:
                await self._dial_ours(caller, upstream)
        except NotStarted as error:
            tenant = caller.destination.tenant
            caller.daemon_failed(Refused(Reason.DAEMON_NOT_STARTED, detail=str(error), tenant=tenant))
        except OSError as error:
            caller.daemon_failed(Refused(Reason.UPSTREAM_AWAY, detail=one_line(error)))

    async def _dial_standing(self, caller: Caller, upstream: Standing) -> None:
        sock, early = await _open_patiently(upstream.address, upstream.wait_ns)
        caller.daemon_opened(UpstreamLink(sock), early)

    async def _dial_ours(self, caller: Caller, upstream: OnDemand) -> None:
        lease = await self._daemons.lease(upstream)
        try:
            sock, early = await open_upstream(lease.address)
        except BaseException:
            lease.give_back()
            raise
        caller.daemon_opened(UpstreamLink(sock, closed=lease.give_back), early, lease.take_start)


async def _open_patiently(address: UpstreamAddress, wait_ns: int) -> tuple[socket.socket, bytes]:
    """Open a connection, trying again for as long as `wait_ns`.

    Raises:
        OSError: the last attempt's.
    """
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + wait_ns / SECOND_NS
    retry_s = FIRST_RETRY_S
    while True:
        try:
            return await open_upstream(address)
        except OSError:
            if loop.time() + retry_s > give_up_s:
                raise
        await asyncio.sleep(retry_s)
        retry_s = min(2 * retry_s, LONGEST_RETRY_S)
