"""The public port in this process: real sockets and TLS, a world of the test's own."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from proxy.caller import Caller
from proxy.edge.host import Host
from proxy.edge.listener import Listener, listen
from proxy.edge.tls import ServerTls
from proxy.edge.watch import Poller
from proxy.events import ConnectionClosed, ConnectionFault
from proxy.http2.frames import ErrorCode
from proxy.identity.credentials import Credentials
from proxy.settings.listen import Listen
from tests.helpers.credentials import People
from tests.helpers.h2client import INFO, H2Client, head, tls_context
from tests.helpers.h2client import Heard as H2Heard
from tests.helpers.talk import Badges, Farm

Heard = TypeVar("Heard")


class Broken(Badges):
    """A way to prove an identity that has a bug."""

    def authenticate(self, shown: Credentials, *, now_wall_ns: int) -> Caller | None:  # noqa: ARG002
        """Fail as code fails."""
        raise ZeroDivisionError


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("people"))


def visited(farm: Farm, people: People, visit: Callable[[str], Heard], **settings: Any) -> Heard:
    """Open the port, let somebody visit it from another thread, and close it."""

    async def story() -> Heard:
        sock = listen("127.0.0.1", 0)
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        settled, loop = Listen(**settings), asyncio.get_running_loop()
        poller = Poller(loop)

        def make_host(listener: Listener) -> Host:
            return Host(farm.world, settled, loop, poller, lambda _: None, listener.closed)

        tls = ServerTls(people.server.certificate, people.server.key, [people.ca.read_bytes()])
        port = Listener(sock, listen=settled, tls=tls, make_host=make_host)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(port.run())
            heard = await asyncio.to_thread(visit, address)
            await port.wait_empty()
            running.cancel()
        poller.close()
        return heard

    return asyncio.run(story())


def test_a_fault_of_our_own_is_told_to_its_callers_and_reported(people: People) -> None:
    farm = Farm(badges=Broken())
    badge = (b"authorization", b"builder")

    def visit(address: str) -> H2Heard:
        with H2Client(address, tls_context(people.ca, people.client())) as client:
            client.greet()
            client.say(head(1, INFO, badge))
            return client.hear_end()

    heard = visited(farm, people, visit)

    assert heard.status(1) == "13"
    assert dict(heard.heads[1])[b"grpc-message"].startswith(b"[KG-599] kilngate failed on this call.")
    assert heard.goaway is not None
    assert heard.goaway.code == ErrorCode.INTERNAL_ERROR
    assert [type(bug) for bug in farm.bugs] == [ZeroDivisionError]
    assert [event.fault for event in farm.heard(ConnectionClosed)] == [ConnectionFault.INTERNAL]


def test_a_call_whose_keys_do_not_come_in_time_is_told_so_before_its_connection_ends(people: People) -> None:
    farm = Farm()
    farm.badges.lacks_keys = True

    def visit(address: str) -> H2Heard:
        with H2Client(address, tls_context(people.ca, None)) as client:
            client.greet()
            client.say(head(1, INFO, (b"authorization", b"builder")))
            return client.hear_end()

    heard = visited(farm, people, visit, first_request_timeout="100ms")

    assert dict(heard.heads[1])[b"grpc-message"].startswith(b"[KG-129] ")
    assert heard.goaway is not None
    assert [event.fault for event in farm.heard(ConnectionClosed)] == [ConnectionFault.FIRST_REQUEST_LATE]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_that_is_taken_is_named(host: str) -> None:
    try:
        first = listen(host, 0)
    except OSError as error:
        pytest.skip(f"not on this machine: {error}")
    port = first.getsockname()[1]
    named = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    with first, pytest.raises(OSError, match="Address already in use") as caught:
        listen(host, port)
    assert str(caught.value).startswith(f"cannot listen on {named} (listen.address): ")
