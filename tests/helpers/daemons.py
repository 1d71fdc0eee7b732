"""Small daemons on unix sockets: what BuildKit and Docker say to a look, and what goes wrong."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from proxy.buildkit.upgrade import UPGRADE_REQUEST
from proxy.edge.health import INFO, LIST_WORKERS
from tests.helpers.buildkit_proto import message_class

UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def info(version: str) -> bytes:
    """Return an InfoResponse."""
    described = message_class("BuildkitVersion")(package="github.com/moby/buildkit", version=version)
    octets: bytes = message_class("InfoResponse")(buildkit_version=described).SerializeToString()
    return octets


def workers(count: int) -> bytes:
    """Return a ListWorkersResponse."""
    records = [message_class("WorkerRecord")(id=str(number)) for number in range(count)]
    octets: bytes = message_class("ListWorkersResponse")(record=records).SerializeToString()
    return octets


class _Answers(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Answers unary methods with fixed octets; None never answers."""

    def __init__(self, answers: dict[str, bytes | None]) -> None:
        self._answers = answers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        if handler_call_details.method not in self._answers:
            return None
        answer = self._answers[handler_call_details.method]

        async def respond(_request: bytes, _context: object) -> bytes:
            if answer is None:
                await asyncio.sleep(60)
            return answer or b""

        return grpc.unary_unary_rpc_method_handler(respond)


@asynccontextmanager
async def buildkitd(path: Path, answers: dict[str, bytes | None] | None = None) -> AsyncIterator[None]:
    """Serve `answers` (by default a healthy daemon's) at a unix socket."""
    server = grpc.aio.server(handlers=[_Answers(answers or {INFO: info("v0.31.1"), LIST_WORKERS: workers(1)})])
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


@asynccontextmanager
async def speaking(path: Path, speak: Speak) -> AsyncIterator[None]:
    """Let `speak` answer each connection to a unix socket; it must end when the caller does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await speak(reader, writer)
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    async with server:
        yield


def dockerd(behind: Path) -> Speak:
    """Return a Docker daemon whose BuildKit is at `behind`."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(len(UPGRADE_REQUEST)) != UPGRADE_REQUEST:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        writer.write(UPGRADED)
        inner_reader, inner_writer = await asyncio.open_unix_connection(behind)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pass_on(reader, inner_writer))
                tasks.create_task(_pass_on(inner_reader, writer))
        finally:
            inner_writer.close()

    return speak


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while octets := await reader.read(65_536):
            writer.write(octets)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()
