"""Connections of the public port in one process: a real listener, TLS and daemon, and a world of real rooms."""

import asyncio
import gc
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from proxy.call.conversation import Conversation
from proxy.caller import Caller
from proxy.edge.downstream import Downstream
from proxy.events import ConnectionClosed, ConnectionFault
from proxy.http2 import frames
from proxy.http2.payloads import Head, read_head
from proxy.http2.relay import Relay
from proxy.identity.credentials import Credentials
from proxy.limits.tenant import Limits
from tests.helpers.credentials import People
from tests.helpers.daemons import buildkitd, speaking
from tests.helpers.h2client import HEALTH, INFO, H2Client, Heard, head, plain_block, tls_context
from tests.helpers.port import open_port
from tests.helpers.talk import Badges, Farm

BADGE = (b"authorization", b"builder")
MANY = Limits(calls_per_second=100_000, burst=100_000)
OF_A_CONNECTION = (Downstream, Conversation, Relay, SSL.Connection)
Story = Callable[[H2Client], None]


def says_nothing(_client: H2Client) -> None:
    """Leave after the handshake."""


def makes_calls(client: H2Client) -> None:
    """Leave after a call that the door answers and one that the daemon does."""
    client.greet()
    assert client.call(1, HEALTH, b"", BADGE).status(1) == "0"
    assert client.call(3, INFO, b"", BADGE).status(3) == "0"


def leaves_in_a_call(client: H2Client) -> None:
    """Leave when the daemon has the head of a call and waits for the rest."""
    client.greet()
    assert client.call(1, INFO, b"", BADGE).status(1) == "0"
    client.say(head(3, INFO, BADGE))
    client.hear_pong(b"all said")


def is_sent_away(client: H2Client) -> None:
    """Break the rules of HTTP/2, and hear why the connection ends."""
    client.greet()
    client.say(head(1, HEALTH, BADGE) + frames.data(7, b"of an idle stream"))
    assert client.hear_end().goaway is not None


@contextmanager
def no_collector() -> Iterator[None]:
    """Let nothing be freed but what nobody holds."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def meet(people: People, directory: Path, story: Story) -> list[object]:
    """Play a caller's story against the public port; return what is left of its connection."""
    daemon = directory / "daemon.sock"

    def tell(address: str) -> None:
        with H2Client(address, tls_context(people.ca, None)) as client:
            story(client)

    async with buildkitd(daemon), open_port(Farm(), people, daemon) as address:
        await asyncio.to_thread(tell, address)
    return [one for one in gc.get_objects() if isinstance(one, OF_A_CONNECTION)]


@pytest.mark.parametrize("story", [says_nothing, makes_calls, leaves_in_a_call, is_sent_away])
def test_a_connection_that_closed_leaves_nothing_to_the_garbage_collector(tmp_path: Path, story: Story) -> None:
    people = People(tmp_path)
    with no_collector():
        left = asyncio.run(meet(people, tmp_path, story))

    assert left == []


class Broken(Badges):
    """A way to prove an identity that has a bug."""

    def authenticate(self, shown: Credentials, *, now_wall_ns: int) -> Caller | None:  # noqa: ARG002
        """Fail as code fails."""
        raise ZeroDivisionError


def a_call(farm: Farm, directory: Path, **settings: Any) -> Heard:
    """Make a call, listen until the connection ends, and return what was heard."""
    people = People(directory)

    def tell(address: str) -> Heard:
        with H2Client(address, tls_context(people.ca, None)) as client:
            client.greet()
            client.say(head(1, INFO, BADGE))
            return client.hear_end()

    async def story() -> Heard:
        async with open_port(farm, people, directory / "daemon.sock", **settings) as address:
            return await asyncio.to_thread(tell, address)

    return asyncio.run(story())


def test_a_fault_of_our_own_is_told_to_its_callers_and_reported(tmp_path: Path) -> None:
    farm = Farm(badges=Broken())

    heard = a_call(farm, tmp_path)

    assert heard.status(1) == "13"
    assert dict(heard.heads[1])[b"grpc-message"].startswith(b"[KG-599] kilngate failed on this call.")
    assert heard.goaway is not None
    assert heard.goaway.code == frames.ErrorCode.INTERNAL_ERROR
    assert [type(bug) for bug in farm.bugs] == [ZeroDivisionError]
    assert [event.fault for event in farm.heard(ConnectionClosed)] == [ConnectionFault.INTERNAL]


def test_a_call_whose_keys_do_not_come_in_time_is_told_so_before_its_connection_ends(tmp_path: Path) -> None:
    farm = Farm()
    farm.badges.lacks_keys = True

    heard = a_call(farm, tmp_path, first_request_timeout="100ms")

    assert dict(heard.heads[1])[b"grpc-message"].startswith(b"[KG-129] ")
    assert heard.goaway is not None
    assert [event.fault for event in farm.heard(ConnectionClosed)] == [ConnectionFault.FIRST_REQUEST_LATE]


class Spring:
    """A daemon that answers its first call with `OCTETS` octets as fast as they are taken, windows or not."""

    OCTETS = 32 << 20
    PIECE = bytes(range(256)) * 64

    def __init__(self) -> None:
        self.sent_octets = 0

    async def speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Say all, then wait until the caller leaves."""
        await reader.readexactly(len(frames.PREFACE))
        while (await read_frame(reader)).kind != frames.HEADERS:
            continue
        block = plain_block([(b":status", b"200"), (b"content-type", b"application/grpc")])
        writer.write(frames.settings([]) + frames.headers(1, block))
        while self.sent_octets < self.OCTETS:
            writer.write(frames.data(1, self.PIECE))
            await writer.drain()
            self.sent_octets += len(self.PIECE)
        writer.write(frames.headers(1, plain_block([(b"grpc-status", b"0")]), end_stream=True))
        while await reader.read(1 << 16):
            continue


async def read_frame(reader: asyncio.StreamReader) -> Head:
    """Read a frame; return its head."""
    one = read_head(await reader.readexactly(frames.HEAD_OCTETS))
    await reader.readexactly(one.length)
    return one


def test_a_caller_that_does_not_read_stops_its_daemon_and_nobody_else_and_loses_nothing(tmp_path: Path) -> None:
    people, spring = People(tmp_path), Spring()
    wide = frames.settings([(frames.INITIAL_WINDOW_SIZE, (1 << 31) - 1)]) + frames.window_update(0, 1 << 30)

    def tell(address: str) -> tuple[int, str]:
        context = tls_context(people.ca, None)
        with H2Client(address, context) as lazy, H2Client(address, context) as other:
            lazy.greet()
            lazy.say(wide + head(1, INFO, BADGE, end_stream=True))
            other.greet()
            sent, stream = -1, 1
            # The daemon stands still when all buffers on the way are full; meanwhile others are served.
            while sent != spring.sent_octets or not sent:
                sent = spring.sent_octets
                for _ in range(50):
                    assert other.call(stream, HEALTH, b"", BADGE).status(stream) == "0"
                    stream += 2
            return sent, lazy.hear_bulk(1)

    async def story() -> tuple[int, str]:
        daemon = tmp_path / "daemon.sock"
        async with speaking(daemon, spring.speak), open_port(Farm(limits=MANY), people, daemon) as address:
            return await asyncio.to_thread(tell, address)

    sent, digest = asyncio.run(story())

    # What two sockets of a machine hold, and the 128 KiB and one read that we hold.
    assert sent < Spring.OCTETS // 2
    assert digest == hashlib.sha256(Spring.PIECE * (Spring.OCTETS // len(Spring.PIECE))).hexdigest()
