"""The dialer: connections for callers, and patience with a daemon that is away or starts."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from proxy.buildkit.address import UpstreamAddress
from proxy.call.world import TakeStart, no_start
from proxy.edge.daemons import Daemons
from proxy.edge.dialer import Dialer
from proxy.edge.upstream_link import UpstreamLink
from proxy.errors import Refused
from proxy.events import DaemonStarted
from proxy.reasons import Reason
from proxy.routing.routes import Destination, Routes, Standing, Upstream
from proxy.units import SECOND_NS
from tests.helpers.daemons import speaking
from tests.helpers.own_daemons import is_gone, plan, process_of, wait_until

PATIENCE_S = 20.0


class Asker:
    """Whoever asks for a connection."""

    def __init__(self, upstream: Upstream) -> None:
        self.destination = Destination()
        self.destination.tenant, self.destination.upstream = "payments", upstream
        self.link: UpstreamLink | None = None
        self.early: bytes | None = None
        self.started: DaemonStarted | None = None
        self.refused: Refused | None = None
        self.told = asyncio.Event()

    def daemon_opened(self, link: UpstreamLink, early: bytes, take_start: TakeStart = no_start) -> None:
        self.link, self.early, self.started = link, early, take_start()
        self.told.set()

    def daemon_failed(self, refused: Refused) -> None:
        self.refused = refused
        self.told.set()


def standing(path: Path, wait_ns: int = 0) -> Standing:
    return Standing(UpstreamAddress("unix", str(path)), wait_ns, "0.12.5")


async def wait_end(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


def with_dialer(story: Callable[[Dialer], Awaitable[None]]) -> None:
    async def whole() -> None:
        daemons = Daemons(lambda _: None)
        dialer = Dialer(daemons)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(daemons.run()), group.create_task(dialer.run())]
            try:
                await asyncio.wait_for(story(dialer), PATIENCE_S)
            finally:
                for task in running:
                    task.cancel()

    asyncio.run(whole())


async def asked(dialer: Dialer, upstream: Upstream) -> Asker:
    asker = Asker(upstream)
    dialer.open(asker)
    await asker.told.wait()
    return asker


def closed(asker: Asker) -> Asker:
    assert asker.link is not None
    asker.link.close()
    return asker


def test_whoever_asks_gets_a_connection(tmp_path: Path) -> None:
    async def story(dialer: Dialer) -> None:
        async with speaking(tmp_path / "s", wait_end):
            askers = [closed(await asked(dialer, standing(tmp_path / "s"))) for _ in range(2)]

        assert [(asker.early, asker.started, asker.refused) for asker in askers] == [(b"", None, None)] * 2

    with_dialer(story)


def test_a_daemon_that_stays_away_is_told_with_the_reason(tmp_path: Path) -> None:
    async def story(dialer: Dialer) -> None:
        asker = await asked(dialer, standing(tmp_path / "none"))

        assert asker.link is None
        assert asker.refused is not None
        assert asker.refused.reason is Reason.UPSTREAM_AWAY
        assert "No such file" in asker.refused.detail

    with_dialer(story)


def test_a_daemon_that_comes_in_time_is_waited_for(tmp_path: Path) -> None:
    async def story(dialer: Dialer) -> None:
        asker = Asker(standing(tmp_path / "s", 15 * SECOND_NS))
        dialer.open(asker)
        # Long enough for the first attempts to fail, and for the wait between them to grow.
        with suppress(TimeoutError):
            await asyncio.wait_for(asker.told.wait(), 0.2)
        was_told = asker.told.is_set()
        async with speaking(tmp_path / "s", wait_end):
            await asker.told.wait()
            closed(asker)

        assert not was_told

    with_dialer(story)


def test_one_that_waits_holds_up_nobody(tmp_path: Path) -> None:
    async def story(dialer: Dialer) -> None:
        patient = Asker(standing(tmp_path / "none", 15 * SECOND_NS))
        dialer.open(patient)
        await asyncio.sleep(0)
        async with speaking(tmp_path / "there", wait_end):
            closed(await asked(dialer, standing(tmp_path / "there")))

        assert not patient.told.is_set()

    with_dialer(story)


def test_each_caller_is_led_to_its_own_daemon(tmp_path: Path) -> None:
    heard: list[str] = []
    accepted: asyncio.Queue[str] = asyncio.Queue()

    def named(name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.put_nowait(name)
            await wait_end(reader, writer)

        return speak

    async def story(dialer: Dialer) -> None:
        routes = Routes(standing(tmp_path / "a"), {"platform": standing(tmp_path / "b")})
        async with speaking(tmp_path / "a", named("a")), speaking(tmp_path / "b", named("b")):
            for tenant in ("platform", "payments", "platform"):
                asker = await asked(dialer, routes.of(tenant))
                heard.append(await accepted.get())
                closed(asker)

    with_dialer(story)

    assert heard == ["b", "a", "b"]


def test_a_daemon_of_ours_is_started_and_stays_for_as_long_as_a_connection_is_open(tmp_path: Path) -> None:
    own = plan(tmp_path)

    async def story(dialer: Dialer) -> None:
        # The settings name no such daemon: it goes with its last connection.
        first, second = await asked(dialer, own), await asked(dialer, own)
        process = process_of(own)

        assert first.started is not None
        assert second.started is None
        closed(first)
        await asyncio.sleep(0.1)
        assert not is_gone(process)
        closed(second)
        await wait_until(lambda: is_gone(process))

    with_dialer(story)


def test_a_daemon_of_ours_that_does_not_start_is_told_by_its_tenant(tmp_path: Path) -> None:
    async def story(dialer: Dialer) -> None:
        asker = await asked(dialer, plan(tmp_path, "fails"))

        assert asker.refused is not None
        assert asker.refused.reason is Reason.DAEMON_NOT_STARTED
        assert asker.refused.detail == "it ended with exit code 1: no such worker"
        assert "the build daemon for payments does not start" in asker.refused.public_text("1-1")

    with_dialer(story)


def test_a_daemon_of_ours_that_answers_and_takes_no_connection_is_given_back(tmp_path: Path) -> None:
    own = plan(tmp_path)

    async def story(dialer: Dialer) -> None:
        holder = await asked(dialer, own)
        process = process_of(own)
        os.unlink(own.home.socket)
        asker = await asked(dialer, own)

        assert asker.refused is not None
        assert asker.refused.reason is Reason.UPSTREAM_AWAY
        closed(holder)
        await wait_until(lambda: is_gone(process))

    with_dialer(story)
