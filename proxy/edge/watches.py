"""The daemons that others run, each of them watched. Those of our own are not: a look would keep them from sleep."""

import asyncio
from collections.abc import Callable, Iterable

from proxy.buildkit.address import UpstreamAddress
from proxy.edge.health import HealthWatch
from proxy.events import Event
from proxy.routing.routes import Standing

_Key = tuple[UpstreamAddress, str]


class HealthWatches:
    """One `HealthWatch` for each daemon that is in use."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._watches: dict[_Key, HealthWatch] = {}
        self._changed = asyncio.Event()

    @property
    def is_any_up(self) -> bool:
        """Whether one of the daemons was there at its last look."""
        return any(watch.is_up for watch in self._watches.values())

    @property
    def away(self) -> list[str]:
        """Each daemon that was not there at its last look, with the reason."""
        return [
            f"{watch.address} ({watch.seen.detail if watch.seen else 'not looked at yet'})"
            for watch in self._watches.values()
            if not watch.is_up
        ]

    def apply(self, standing: Iterable[Standing]) -> None:
        """Watch these daemons from now on; what is known of one that stays is kept."""
        known = self._watches
        self._watches = {
            (each.address, each.minimum_version): known.get((each.address, each.minimum_version))
            or HealthWatch(each.address, minimum_version=each.minimum_version, emit=self._emit)
            for each in standing
        }
        self._changed.set()

    async def run(self) -> None:
        """Look until cancelled."""
        looking: dict[_Key, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                for key in looking.keys() - self._watches.keys():
                    looking.pop(key).cancel()
                for key in self._watches.keys() - looking.keys():
                    looking[key] = group.create_task(self._watches[key].run())
                await self._changed.wait()
