"""The private socket in front of an upgraded connection."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from proxy.buildkit.address import UpstreamAddress
from proxy.buildkit.upgrade import UPGRADE_REQUEST
from proxy.edge.grpc_bridge import bridged
from tests.helpers.daemons import UPGRADED, Speak, speaking

Story = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def through(path: Path, speak: Speak, story: Story) -> None:
    """Run `story` at the near end of a bridge whose far end is `speak`."""

    async def whole() -> None:
        async with speaking(path, speak), bridged(UpstreamAddress("docker", str(path))) as near, asyncio.timeout(10):
            reader, writer = await asyncio.open_unix_connection(near)
            try:
                await story(reader, writer)
            finally:
                writer.close()

    asyncio.run(whole())


async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(len(UPGRADE_REQUEST))
    writer.write(UPGRADED + b"first ")
    await writer.drain()


def test_octets_pass_both_ways_and_the_first_ones_are_not_lost(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        writer.write(await reader.read())

    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 300_000)
        writer.write_eof()

        assert await reader.read() == b"first " + b"x" * 300_000

    through(tmp_path / "d", echo, story)


def test_a_daemon_that_breaks_off_is_an_end(tmp_path: Path) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        await reader.readexactly(1)
        writer.transport.abort()

    async def story(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 300_000)

        assert await reader.read() == b"first "

    through(tmp_path / "d", break_off, story)


def test_a_daemon_that_refuses_is_an_end(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(UPGRADE_REQUEST))
        writer.write(b"HTTP/1.1 404 Not Found\r\n\r\n")

    async def story(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""

    through(tmp_path / "d", refuse, story)


def test_an_error_of_the_user_is_raised_as_it_is(tmp_path: Path) -> None:
    async def story() -> None:
        async with bridged(UpstreamAddress("docker", str(tmp_path / "d"))):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(story())
