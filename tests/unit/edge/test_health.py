"""Looks at the daemon, and what is said when something changed."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from proxy.buildkit.address import Scheme, UpstreamAddress
from proxy.edge import health
from proxy.edge.grpc_bridge import bridged
from proxy.edge.health import INFO, LIST_WORKERS, HealthWatch, Seen, look, open_channel
from proxy.events import Event, UpstreamChanged, Warned
from tests.helpers.daemons import buildkitd, dockerd, info, speaking, workers

Answers = dict[str, bytes | None]


def seen_with(path: Path, answers: Answers | None) -> Seen:
    async def story() -> Seen:
        async with buildkitd(path, answers):
            return await look(UpstreamAddress("unix", str(path)))

    return asyncio.run(story())


def test_a_daemon_with_workers_is_up_and_tells_its_version(tmp_path: Path) -> None:
    assert seen_with(tmp_path / "s", None) == Seen(is_up=True, version="v0.31.1")


def test_a_daemon_without_workers_cannot_build(tmp_path: Path) -> None:
    seen = seen_with(tmp_path / "s", {INFO: info("v0.31.1"), LIST_WORKERS: workers(0)})

    assert (seen.is_up, seen.version) == (False, "v0.31.1")
    assert "no workers" in seen.detail


def test_a_daemon_that_tells_no_version_is_up(tmp_path: Path) -> None:
    assert seen_with(tmp_path / "s", {INFO: b"", LIST_WORKERS: workers(1)}) == Seen(is_up=True)


def test_another_service_is_not_the_daemon(tmp_path: Path) -> None:
    seen = seen_with(tmp_path / "s", {"/a.B/C": b""})

    assert not seen.is_up
    assert "UNIMPLEMENTED" in seen.detail


@pytest.mark.parametrize("answers", [{INFO: b"\xff", LIST_WORKERS: workers(1)}, {INFO: b"", LIST_WORKERS: b"\x0a\xff"}])
def test_an_answer_that_is_no_message_is_no_daemon(tmp_path: Path, answers: Answers) -> None:
    assert not seen_with(tmp_path / "s", answers).is_up


def test_a_daemon_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOOK_LIMIT_S", 0.2)

    seen = seen_with(tmp_path / "s", {INFO: None})

    assert seen == Seen(is_up=False, detail="it did not answer within 0.2 s")


@pytest.mark.parametrize("scheme", ["unix", "docker"])
def test_no_daemon_is_told_in_the_kernels_words(tmp_path: Path, scheme: Scheme) -> None:
    seen = asyncio.run(look(UpstreamAddress(scheme, str(tmp_path / "s"))))

    assert seen == Seen(is_up=False, detail="No such file or directory")


def test_the_daemon_inside_docker_is_seen(tmp_path: Path) -> None:
    async def story() -> list[Seen]:
        async with buildkitd(tmp_path / "b"), speaking(tmp_path / "d", dockerd(tmp_path / "b")):
            return [await look(UpstreamAddress("docker", str(tmp_path / "d"))) for _ in range(3)]

    assert asyncio.run(story()) == [Seen(is_up=True, version="v0.31.1")] * 3


def test_a_docker_daemon_without_buildkit_is_told(tmp_path: Path) -> None:
    async def not_found(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\n\r\n")

    async def story() -> Seen:
        async with speaking(tmp_path / "d", not_found):
            return await look(UpstreamAddress("docker", str(tmp_path / "d")))

    seen = asyncio.run(story())

    assert not seen.is_up
    assert "404 Not Found" in seen.detail


def test_the_bridge_is_for_our_user_alone_and_gone_afterwards(tmp_path: Path) -> None:
    async def story() -> tuple[int, bool]:
        async with bridged(UpstreamAddress("docker", str(tmp_path / "d"))) as path:
            mode = Path(path).parent.stat().st_mode & 0o777
        return mode, Path(path).parent.exists()

    assert asyncio.run(story()) == (0o700, False)


def test_a_long_error_of_the_daemon_fits_into_metadata(tmp_path: Path) -> None:
    async def fail(_request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        context.set_trailing_metadata((("grpc-status-details-bin", b"x" * 60_000),))
        await context.abort(grpc.StatusCode.UNKNOWN, "y" * 6_000)

    async def story() -> grpc.aio.AioRpcError:
        handler = grpc.method_handlers_generic_handler("a.B", {"C": grpc.unary_unary_rpc_method_handler(fail)})
        server = grpc.aio.server(handlers=[handler], options=health.CHANNEL_OPTIONS)
        server.add_insecure_port(f"unix:{tmp_path / 's'}")
        await server.start()
        try:
            async with open_channel(UpstreamAddress("unix", str(tmp_path / "s"))) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as error:
                    await channel.unary_unary("/a.B/C", request_serializer=None, response_deserializer=None)(b"")
            return error.value
        finally:
            await server.stop(None)

    assert asyncio.run(story()).details() == "y" * 6_000


def watch_during(path: Path, story: Callable[[HealthWatch, list[Event]], Awaitable[None]]) -> list[Event]:
    """Run a watch for as long as `story` lasts, and return what it said."""
    said: list[Event] = []

    async def whole() -> None:
        watch = HealthWatch(UpstreamAddress("unix", str(path)), minimum_version="0.12.5", emit=said.append)
        assert not watch.is_up
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch.run())
            try:
                async with asyncio.timeout(20):
                    await story(watch, said)
            finally:
                watching.cancel()

    asyncio.run(whole())
    return said


async def wait_said(said: list[Event], count: int) -> None:
    while len(said) < count:  # noqa: ASYNC110 - the list is filled by a plain callable
        await asyncio.sleep(0.01)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that follow each other at once."""
    monkeypatch.setattr(health, "FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(health, "UP_INTERVAL_S", 0.02)


@pytest.mark.usefixtures("eager")
def test_a_daemon_that_goes_and_comes_back_is_told_each_time(tmp_path: Path) -> None:
    path = tmp_path / "s"

    async def story(watch: HealthWatch, said: list[Event]) -> None:
        await wait_said(said, 1)
        async with buildkitd(path):
            await wait_said(said, 2)
            assert watch.is_up
        await wait_said(said, 3)
        async with buildkitd(path):
            await wait_said(said, 4)

    said = watch_during(path, story)

    name = f"unix://{path}"
    assert [(event.upstream, event.is_up, event.version) for event in said if isinstance(event, UpstreamChanged)] == [
        (name, False, ""),
        (name, True, "v0.31.1"),
        (name, False, ""),
        (name, True, "v0.31.1"),
    ]


@pytest.mark.usefixtures("eager")
def test_a_daemon_that_stays_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Seen] = []

    async def counted(address: UpstreamAddress) -> Seen:
        looks.append(await look(address))
        return looks[-1]

    monkeypatch.setattr(health, "look", counted)

    async def story(_watch: HealthWatch, _said: list[Event]) -> None:
        async with buildkitd(tmp_path / "s"):
            while len(looks) < 4:  # noqa: ASYNC110 - the list is filled by a plain callable
                await asyncio.sleep(0.01)

    said = watch_during(tmp_path / "s", story)

    assert said == [UpstreamChanged(f"unix://{tmp_path / 's'}", is_up=True, version="v0.31.1")]


@pytest.mark.parametrize(
    ("version", "says"), [("v0.12.4", "BuildKit v0.12.4, older than 0.12.5"), ("v0.0.0+unknown", "tells no version")]
)
def test_an_old_daemon_or_one_without_a_version_is_warned_of(tmp_path: Path, version: str, says: str) -> None:
    async def story(_watch: HealthWatch, said: list[Event]) -> None:
        async with buildkitd(tmp_path / "s", {INFO: info(version), LIST_WORKERS: workers(1)}):
            await wait_said(said, 2)

    warned = watch_during(tmp_path / "s", story)[1]

    assert isinstance(warned, Warned)
    assert says in warned.what
