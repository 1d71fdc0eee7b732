"""Sockets to the daemon, opened and upgraded."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from proxy.buildkit.address import UpstreamAddress
from proxy.buildkit.upgrade import UPGRADE_REQUEST, UpgradeRefused
from proxy.edge.upstream import open_upstream
from tests.helpers.daemons import UPGRADED, Speak, speaking


def saying(*pieces: bytes) -> Speak:
    """Answer a request with pieces, one at a time, then wait for the end."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(UPGRADE_REQUEST))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)
        await reader.read()

    return speak


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(100):
        writer.write(octets)


def run(path: Path, speak: Speak, story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with speaking(path, speak):
            await story()

    asyncio.run(whole())


def test_a_unix_socket_is_open_at_once_and_silent(tmp_path: Path) -> None:
    async def story() -> None:
        sock, early = await open_upstream(UpstreamAddress("unix", str(tmp_path / "s")))
        with sock:
            await asyncio.get_running_loop().sock_sendall(sock, b"ping")
            heard = await asyncio.get_running_loop().sock_recv(sock, 100)

            assert sock.getblocking() is False
            assert (early, heard) == (b"", b"ping")

    run(tmp_path / "s", echo, story)


@pytest.mark.parametrize(
    "pieces",
    [
        (UPGRADED + b"settings",),
        (UPGRADED[:7], UPGRADED[7:] + b"settings"),
        tuple(bytes([octet]) for octet in UPGRADED),
    ],
    ids=["at once", "in two pieces", "octet by octet"],
)
def test_a_docker_daemon_is_upgraded_and_its_first_octets_kept(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    async def story() -> None:
        sock, early = await open_upstream(UpstreamAddress("docker", str(tmp_path / "s")))
        with sock:
            assert early == b"".join(pieces).removeprefix(UPGRADED)

    run(tmp_path / "s", saying(*pieces), story)


def test_a_docker_daemon_without_buildkit_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(UpgradeRefused, match="404"):
            await open_upstream(UpstreamAddress("docker", str(tmp_path / "s")))

    run(tmp_path / "s", saying(b"HTTP/1.1 404 Not Found\r\n\r\n"), story)


def test_a_docker_daemon_that_hangs_up_is_told(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(UPGRADE_REQUEST))
        writer.write(UPGRADED[:9])

    async def story() -> None:
        with pytest.raises(UpgradeRefused, match="closed the connection"):
            await open_upstream(UpstreamAddress("docker", str(tmp_path / "s")))

    run(tmp_path / "s", hang_up, story)


def test_a_docker_daemon_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.edge.upstream.OPEN_LIMIT_S", 0.05)

    async def story() -> None:
        with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
            await open_upstream(UpstreamAddress("docker", str(tmp_path / "s")))

    run(tmp_path / "s", saying(), story)


def test_no_daemon_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        asyncio.run(open_upstream(UpstreamAddress("unix", str(tmp_path / "s"))))

    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "s"))
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(open_upstream(UpstreamAddress("unix", str(tmp_path / "s"))))


def test_a_daemon_with_a_full_backlog_is_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "s")

    async def story() -> None:
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
            listener.bind(path)
            listener.listen(0)
            first.connect(path)
            async with asyncio.TaskGroup() as tasks:
                opening = tasks.create_task(open_upstream(UpstreamAddress("unix", path)))
                await asyncio.sleep(0.05)
                assert not opening.done()
                listener.accept()[0].close()
            sock, _ = opening.result()
            with sock:
                assert sock.getpeername() == path

    asyncio.run(story())


def test_a_cancelled_opening_leaves_no_socket_open(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await open_upstream(UpstreamAddress("docker", str(tmp_path / "s")))

    # The fake daemon ends only when its caller is gone; pytest turns a socket left open into an error.
    run(tmp_path / "s", saying(), story)
