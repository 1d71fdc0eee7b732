"""Connections of the public port in one process: a real listener, TLS and daemon, and a world of real rooms."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from OpenSSL import SSL

from proxy.buildkit.address import UpstreamAddress
from proxy.call.conversation import Conversation
from proxy.edge.dialer import Dialer
from proxy.edge.downstream import Downstream
from proxy.edge.host import Host
from proxy.edge.listener import Listener, listen
from proxy.edge.tls import ServerTls
from proxy.edge.watch import Poller
from proxy.http2 import frames
from proxy.http2.relay import Relay
from proxy.settings.listen import Listen
from tests.helpers.credentials import People
from tests.helpers.daemons import buildkitd
from tests.helpers.h2client import HEALTH, INFO, H2Client, head, tls_context
from tests.helpers.talk import Farm

PATIENCE_S = 20.0
BADGE = (b"authorization", b"builder")
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
    dialer = Dialer(UpstreamAddress("unix", str(directory / "daemon.sock")), wait_ns=0)
    loop = asyncio.get_running_loop()
    poller = Poller(loop)
    rules = Listen()
    sock = listen("127.0.0.1", 0)
    door = Listener(
        sock,
        listen=rules,
        tls=ServerTls(people.server.certificate, people.server.key),
        make_host=lambda listener: Host(
            Farm().world, rules, loop, poller, open_daemon=dialer.open, closed=listener.closed
        ),
    )

    def tell() -> None:
        with H2Client(f"127.0.0.1:{sock.getsockname()[1]}", tls_context(people.ca, None)) as client:
            story(client)

    async with asyncio.timeout(PATIENCE_S), buildkitd(directory / "daemon.sock"), asyncio.TaskGroup() as group:
        running = [group.create_task(work) for work in (door.run(), dialer.run())]
        await asyncio.to_thread(tell)
        await door.wait_empty()
        for task in running:
            task.cancel()
    poller.close()
    return [one for one in gc.get_objects() if isinstance(one, OF_A_CONNECTION)]


@pytest.mark.parametrize("story", [says_nothing, makes_calls, leaves_in_a_call, is_sent_away])
def test_a_connection_that_closed_leaves_nothing_to_the_garbage_collector(tmp_path: Path, story: Story) -> None:
    people = People(tmp_path)
    with no_collector():
        left = asyncio.run(meet(people, tmp_path, story))

    assert left == []
