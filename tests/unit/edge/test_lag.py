import asyncio

from proxy.edge.lag import LagTicker
from proxy.events import Event, LoopLagged

MS_NS = 1_000_000


def ticked(readings_ms: list[int], *, tick_ms: int) -> list[Event]:
    """Let the ticker read these times, one before and one after each sleep; return what it said."""
    readings = iter(readings_ms)
    heard: list[Event] = []

    async def run() -> None:
        ticker = LagTicker(heard.append, now_ns=lambda: next(readings) * MS_NS, tick_seconds=tick_ms / 1000)
        try:
            await ticker.run()
        except RuntimeError:
            return

    asyncio.run(run())
    return heard


def test_lag_is_what_a_sleep_took_too_long() -> None:
    assert ticked([0, 1, 1, 8, 8, 9], tick_ms=1) == [LoopLagged(0), LoopLagged(6 * MS_NS), LoopLagged(0)]


def test_waking_early_is_no_lag() -> None:
    assert ticked([0, 0], tick_ms=1) == [LoopLagged(0)]
