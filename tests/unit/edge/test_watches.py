"""Several daemons, each of them watched."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from proxy.buildkit.address import UpstreamAddress
from proxy.edge import health
from proxy.edge.watches import HealthWatches
from proxy.events import Event, UpstreamChanged
from proxy.routing.routes import Standing
from tests.helpers.daemons import buildkitd


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(health, "UP_INTERVAL_S", 0.02)


def standing(path: Path, minimum_version: str = "0.12.5") -> Standing:
    return Standing(UpstreamAddress("unix", str(path)), 0, minimum_version)


def watching(story: Callable[[HealthWatches, list[Event]], Awaitable[None]]) -> list[Event]:
    said: list[Event] = []

    async def whole() -> None:
        watches = HealthWatches(said.append)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(watches.run())
            try:
                async with asyncio.timeout(20):
                    await story(watches, said)
            finally:
                running.cancel()

    asyncio.run(whole())
    return said


async def wait_until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


def test_one_daemon_that_is_there_is_enough_and_the_others_are_told(tmp_path: Path) -> None:
    async def story(watches: HealthWatches, said: list[Event]) -> None:
        watches.apply([standing(tmp_path / "there"), standing(tmp_path / "away")])
        assert not watches.is_any_up
        assert len(watches.away) == 2
        async with buildkitd(tmp_path / "there"):
            await wait_until(lambda: watches.is_any_up and len(said) >= 2)

            assert watches.away == [f"unix://{tmp_path / 'away'} (No such file or directory)"]

    watching(story)


def test_what_a_reload_takes_away_is_looked_at_no_more_and_what_stays_is_known(tmp_path: Path) -> None:
    async def story(watches: HealthWatches, said: list[Event]) -> None:
        async with buildkitd(tmp_path / "a"):
            watches.apply([standing(tmp_path / "a"), standing(tmp_path / "b")])
            await wait_until(lambda: len(said) >= 2)
            watches.apply([standing(tmp_path / "a"), standing(tmp_path / "c")])
            assert watches.is_any_up
            async with buildkitd(tmp_path / "b"), buildkitd(tmp_path / "c"):
                await wait_until(lambda: not watches.away)

    said = watching(story)

    ups = [event.upstream for event in said if isinstance(event, UpstreamChanged) and event.is_up]
    assert ups == [f"unix://{tmp_path / 'a'}", f"unix://{tmp_path / 'c'}"]


def test_another_demand_is_a_new_look(tmp_path: Path) -> None:
    async def story(watches: HealthWatches, _said: list[Event]) -> None:
        async with buildkitd(tmp_path / "a"):
            for version in ("0.12.5", "9.0"):
                watches.apply([standing(tmp_path / "a", version)])
                await wait_until(lambda: watches.is_any_up)

    said = watching(story)

    assert [type(event).__name__ for event in said] == ["UpstreamChanged", "UpstreamChanged", "Warned"]


def test_without_daemons_of_others_none_is_up_and_none_is_away() -> None:
    watches = HealthWatches(lambda _: None)

    assert (watches.is_any_up, watches.away) == (False, [])
