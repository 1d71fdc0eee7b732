"""The dialer: connections for callers, and patience with a daemon that is away."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from proxy.buildkit.address import UpstreamAddress
from proxy.edge.dialer import Dialer
from proxy.edge.upstream_link import UpstreamLink
from proxy.units import SECOND_NS
from tests.helpers.daemons import speaking

PATIENCE_S = 20.0


class Asker:
    """Whoever asks for a connection."""

    def __init__(self) -> None:
        self.link: UpstreamLink | None = None
        self.early: bytes | None = None
        self.detail = ""
        self.told = asyncio.Event()

    def daemon_opened(self, link: UpstreamLink, early: bytes) -> None:
        self.link, self.early = link, early
        self.told.set()

    def daemon_failed(self, detail: str) -> None:
        self.detail = detail
        self.told.set()


async def wait_end(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


def with_dialer(path: Path, wait_ns: int, story: Callable[[Dialer], Awaitable[None]]) -> None:
    async def whole() -> None:
        dialer = Dialer(UpstreamAddress("unix", str(path)), wait_ns=wait_ns)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(dialer.run())
            try:
                await asyncio.wait_for(story(dialer), PATIENCE_S)
            finally:
                running.cancel()

    asyncio.run(whole())


async def asked(dialer: Dialer) -> Asker:
    asker = Asker()
    dialer.open(asker)
    await asker.told.wait()
    if asker.link is not None:
        asker.link.close()
    return asker


def test_whoever_asks_gets_a_connection(tmp_path: Path) -> None:
    async def story(dialer: Dialer) -> None:
        async with speaking(tmp_path / "s", wait_end):
            askers = [await asked(dialer), await asked(dialer)]

        assert all(asker.link is not None and asker.early == b"" for asker in askers)

    with_dialer(tmp_path / "s", 0, story)


def test_a_daemon_that_stays_away_is_told_with_the_reason(tmp_path: Path) -> None:
    async def story(dialer: Dialer) -> None:
        asker = await asked(dialer)

        assert asker.link is None
        assert "No such file" in asker.detail

    with_dialer(tmp_path / "none", 0, story)


def test_a_daemon_that_comes_in_time_is_waited_for(tmp_path: Path) -> None:
    async def story(dialer: Dialer) -> None:
        asker = Asker()
        dialer.open(asker)
        # Long enough for the first attempts to fail, and for the wait between them to grow.
        with suppress(TimeoutError):
            await asyncio.wait_for(asker.told.wait(), 0.2)
        was_told = asker.told.is_set()
        async with speaking(tmp_path / "s", wait_end):
            await asker.told.wait()
            assert asker.link is not None
            asker.link.close()

        assert not was_told

    with_dialer(tmp_path / "s", 15 * SECOND_NS, story)


def test_one_that_waits_holds_up_nobody(tmp_path: Path) -> None:
    async def story(dialer: Dialer) -> None:
        patient = Asker()
        dialer.open(patient)
        await asyncio.sleep(0)
        async with speaking(tmp_path / "there", wait_end):
            dialer.wait_ns = 0
            failed = await asked(dialer)

        assert failed.detail
        assert not patient.told.is_set()

    with_dialer(tmp_path / "none", 15 * SECOND_NS, story)


def test_an_address_that_a_reload_changed_is_dialled_from_then_on(tmp_path: Path) -> None:
    async def story(dialer: Dialer) -> None:
        before = await asked(dialer)
        async with speaking(tmp_path / "there", wait_end):
            dialer.address = UpstreamAddress("unix", str(tmp_path / "there"))
            after = await asked(dialer)

        assert (before.link is None, after.link is None) == (True, False)

    with_dialer(tmp_path / "none", 0, story)
