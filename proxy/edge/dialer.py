"""Opens connections to the daemon for callers, and waits a little while it is away."""

import asyncio

from proxy.buildkit.address import UpstreamAddress
from proxy.edge.host import Caller
from proxy.edge.upstream import open_upstream
from proxy.edge.upstream_link import UpstreamLink
from proxy.units import SECOND_NS

FIRST_RETRY_S = 0.05
LONGEST_RETRY_S = 1.0


class Dialer:
    """Dials in a task group of its own, so that no attempt outlives the process's end.

    `address` and `wait_ns` (how long a call waits for a daemon that is away) may be
    changed by a reload.
    """

    def __init__(self, address: UpstreamAddress, *, wait_ns: int) -> None:
        self.address = address
        self.wait_ns = wait_ns
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
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + self.wait_ns / SECOND_NS
        retry_s = FIRST_RETRY_S
        while True:
            try:
                sock, early = await open_upstream(self.address)
            except OSError as error:
                if loop.time() + retry_s > give_up_s:
                    caller.daemon_failed(str(error))
                    return
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, LONGEST_RETRY_S)
            else:
                caller.daemon_opened(UpstreamLink(sock), early)
                return
