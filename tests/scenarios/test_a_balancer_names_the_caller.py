"""A balancer stands in front of the door and says by the PROXY protocol who really calls.

The listed balancer is believed: the address it names is in the audit log and has the
limit of an address. Nobody else is: a header from any other address is refused, and so
is a listed balancer that says none.
"""

import ipaddress
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from proxy.edge.proxy_header import SIGNATURE_2
from proxy.events import ConnectionFault, HandshakeResult
from proxy.lab.sockets import free_port
from tests.helpers.credentials import People
from tests.helpers.door import Door
from tests.helpers.h2client import HEALTH, H2Client, connect, tls_context

BALANCER, STRANGER = "127.0.0.2", "127.0.0.3"
CLOSED, HANDSHAKES = "kilngate_connections_closed_total", "kilngate_tls_handshakes_total"
DENIED = "kilngate_requests_denied_total"


def version_1(address: str, port: int = 40_000) -> bytes:
    family = "TCP6" if ":" in address else "TCP4"
    return f"PROXY {family} {address} {address} {port} 8443\r\n".encode()


def version_2(address: str, port: int = 40_000) -> bytes:
    packed = ipaddress.ip_address(address).packed
    body = packed * 2 + struct.pack(">HH", port, 8443)
    return SIGNATURE_2 + struct.pack(">BBH", 0x21, 0x11 if len(packed) == 4 else 0x21, len(body)) + body


LOCAL = SIGNATURE_2 + struct.pack(">BBH", 0x20, 0, 0)


@pytest.fixture(scope="module")
def door(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    listen = {"proxy_protocol_from": [f"{BALANCER}/32"], "max_connections_per_address": 2}
    running = Door(tmp_path_factory.mktemp("balanced-door"), {**settings, "listen": listen})
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def quiet(door: Door) -> None:
    """Nobody of the test before is connected any more."""
    door.wait_metric("kilngate_connections_open", {}, lambda now: now == 0)


class Lines:
    """Connections through the balancer, all open until the test ends."""

    def __init__(self, door: Door, people: People, stack: ExitStack) -> None:
        self._door = door
        self._context = tls_context(people.ca, people.client())
        self._stack = stack

    def open(self, header: bytes, source: str = BALANCER) -> H2Client:
        """Return a connection that has made a call."""
        client = H2Client(self._door.address, self._context, source=source, before_tls=header)
        self._stack.enter_context(client)
        client.greet()
        assert client.call(1, HEALTH).status(1) == "0"
        return client


@pytest.fixture
def lines(door: Door, people: People) -> Iterator[Lines]:
    with ExitStack() as stack:
        yield Lines(door, people, stack)


def refused_from(door: Door, client: H2Client) -> str:
    """Return from where a call came, as the audit log has it: a refused call is written down at once."""
    before = door.metric(DENIED)
    client.call(3, b"/no/such/Method")
    door.wait_metric(DENIED, {}, lambda now: now == before + 1)
    records = [json.loads(line) for line in door.audit.splitlines()]
    peer: str = [record["peer"] for record in records if record["event"] == "call-refused"][-1]
    return peer


@pytest.mark.parametrize(
    ("header", "peer"),
    [
        (version_1("192.0.2.7"), "192.0.2.7:40000"),
        (version_2("192.0.2.7"), "192.0.2.7:40000"),
        (version_1("2001:db8::7"), "[2001:db8::7]:40000"),
        (version_2("2001:db8::7"), "[2001:db8::7]:40000"),
        (version_2("::ffff:192.0.2.7"), "192.0.2.7:40000"),
    ],
)
def test_the_address_that_a_balancer_names_is_the_callers(door: Door, lines: Lines, header: bytes, peer: str) -> None:
    assert refused_from(door, lines.open(header)) == peer


def test_a_header_that_comes_octet_by_octet_is_read_and_nothing_behind_it(door: Door, people: People) -> None:
    context = tls_context(people.ca, people.client())
    plain = connect(door.address, BALANCER)
    for octet in version_1("192.0.2.7"):
        plain.sendall(bytes((octet,)))
        # The loop that answers here has looked at the octet before.
        door.ask("/livez")
    with context.wrap_socket(plain, server_hostname="farm.test") as caller:
        assert caller.version() == "TLSv1.3"


def test_the_limit_of_an_address_is_that_of_the_callers_and_not_of_the_balancer(
    door: Door, people: People, lines: Lines
) -> None:
    for header in (version_1("192.0.2.7"), version_2("192.0.2.7"), version_1("192.0.2.8"), version_1("192.0.2.9")):
        lines.open(header)
    label = {"reason": ConnectionFault.TOO_MANY_FROM_ADDRESS.value}
    before = door.metric(CLOSED, label)
    with pytest.raises(OSError):  # noqa: PT011  closed or reset, as the kernel has it
        H2Client(door.address, tls_context(people.ca, None), source=BALANCER, before_tls=version_1("192.0.2.7", 40_001))
    door.wait_metric(CLOSED, label, lambda now: now == before + 1)

    lines.open(version_1("192.0.2.8", 40_001))


def test_whoever_leaves_through_a_balancer_makes_room(door: Door, people: People) -> None:
    for _ in range(4):
        with H2Client(
            door.address, tls_context(people.ca, None), source=BALANCER, before_tls=version_1("192.0.2.7")
        ) as client:
            client.greet()
        door.wait_metric("kilngate_connections_open", {}, lambda now: now == 0)


def test_the_balancers_own_health_checks_are_let_in_as_its_own(door: Door, lines: Lines) -> None:
    assert refused_from(door, lines.open(LOCAL)).startswith(f"{BALANCER}:")


@pytest.mark.parametrize("header", [version_1("192.0.2.7"), version_2("192.0.2.7")])
def test_a_header_from_anybody_else_is_refused(door: Door, header: bytes) -> None:
    label = {"result": HandshakeResult.NOT_TLS.value}
    before = door.metric(HANDSHAKES, label)
    with connect(door.address, STRANGER) as caller:
        caller.sendall(header)
        door.wait_metric(HANDSHAKES, label, lambda now: now == before + 1)

        assert caller.recv(100) == b""
    assert "a PROXY header, from an address that is not in listen.proxy_protocol_from" in door.log


@pytest.mark.parametrize("said", [b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3", b"GET / HTTP/1.1\r\n\r\n", b"PROXY SCTP4 x\r\n"])
def test_a_balancer_that_says_no_header_is_refused(door: Door, said: bytes) -> None:
    label = {"reason": ConnectionFault.PROXY_HEADER.value}
    before = door.metric(CLOSED, label)
    with connect(door.address, BALANCER) as caller:
        caller.sendall(said)
        door.wait_metric(CLOSED, label, lambda now: now == before + 1)


def test_who_is_no_balancer_needs_no_header(lines: Lines) -> None:
    lines.open(b"", source=STRANGER)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_on_a_port_for_both_families_an_ipv4_address_is_one(
    settings: dict[str, Any], people: People, tmp_path: Path
) -> None:
    port = free_port()
    listen = {"address": f"[::]:{port}", "proxy_protocol_from": [f"{BALANCER}/32"]}
    door = Door(tmp_path, {**settings, "listen": listen})
    context = tls_context(people.ca, people.client())
    try:
        with H2Client(f"127.0.0.1:{port}", context, source=BALANCER, before_tls=version_1("192.0.2.7")) as client:
            client.greet()
            named = refused_from(door, client)
        with H2Client(f"127.0.0.1:{port}", context) as client:
            client.greet()
            itself = refused_from(door, client)
    finally:
        door.stop()

    assert named == "192.0.2.7:40000"
    assert itself.startswith("127.0.0.1:")
