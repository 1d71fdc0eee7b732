"""How late the event loop is: what every call waits, whoever causes it."""

import asyncio
from collections.abc import Callable

from proxy.edge.clock import now_ns
from proxy.events import Event, LoopLagged

SECOND_NS = 1_000_000_000
TICK_SECONDS = 0.5


class LagTicker:
    """Sleeps, and says at each tick by how much it was woken too late."""

    def __init__(
        self,
        emit: Callable[[Event], None],
        *,
        now_ns: Callable[[], int] = now_ns,
        tick_seconds: float = TICK_SECONDS,
    ) -> None:
        self._emit = emit
        self._now_ns = now_ns
        self._tick_seconds = tick_seconds

    async def run(self) -> None:
        """Tick until cancelled."""
        tick_ns = round(self._tick_seconds * SECOND_NS)
        while True:
            asleep_ns = self._now_ns()
            await asyncio.sleep(self._tick_seconds)
            self._emit(LoopLagged(max(0, self._now_ns() - asleep_ns - tick_ns)))
