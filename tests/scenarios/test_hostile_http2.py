"""Somebody on the network means harm. The door says why it hangs up, counts it, and nobody else notices.

Every attack of the table is sent to one running door over TLS with a good certificate;
a neighbour's connection stays open all the while and must be served after each.
"""

import socket
import ssl
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress

import pytest

from proxy.events import ConnectionFault
from proxy.http2 import frames
from proxy.http2.exchange import MAX_STREAMS
from proxy.http2.frames import ErrorCode
from proxy.reasons import Code, Reason
from tests.conftest import StartDoor
from tests.helpers.credentials import SERVER_NAME, People
from tests.helpers.door import Door
from tests.helpers.h2client import HEALTH, INFO, H2Client, Heard, call_fields, connect, head, plain_block, tls_context
from tests.helpers.hostile import ATTACKS, GREETING, Attack

CLOSED = "kilngate_connections_closed_total"
SERVING = b"\0\0\0\0\2\x08\1"


class Neighbour:
    """A well-behaved caller on a connection of its own."""

    def __init__(self, client: H2Client) -> None:
        self._client = client
        self._stream = -1

    def is_served(self) -> bool:
        """Make a call and say whether it was answered."""
        self._stream += 2
        heard = self._client.call(self._stream, HEALTH)
        return heard.status(self._stream) == "0" and heard.octets[self._stream] == SERVING


@pytest.fixture(scope="module")
def neighbour(door: Door, people: People) -> Iterator[Neighbour]:
    with H2Client(door.address, tls_context(people.ca, people.client(name="neighbour"))) as client:
        client.greet()
        yield Neighbour(client)


@pytest.fixture
def caller(door: Door, people: People) -> Iterator[H2Client]:
    """A caller with a good certificate, who has said nothing yet."""
    with H2Client(door.address, tls_context(people.ca, people.client())) as client:
        yield client


@pytest.fixture
def stranger(door: Door, people: People) -> Iterator[H2Client]:
    """A caller without a certificate, who has said nothing yet."""
    with H2Client(door.address, tls_context(people.ca, None)) as client:
        yield client


@pytest.mark.parametrize("attack", [one for one in ATTACKS if not one.is_racy], ids=lambda attack: attack.name)
def test_an_attack_is_cut_off_named_and_counted(
    door: Door, caller: H2Client, neighbour: Neighbour, attack: Attack
) -> None:
    label = {"reason": attack.fault.value}
    before = door.metric(CLOSED, label)
    caller.greet()
    if attack.is_calling:
        caller.say(head(1))
    caller.hear_pong(b"all said")
    caller.say(attack.octets)
    heard = caller.hear_end()

    assert heard.goaway is not None
    assert heard.goaway.code == attack.code
    door.wait_metric(CLOSED, label, lambda now: now == before + 1)
    assert neighbour.is_served()


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(frames.ping(bytes(8)), id="3.4-PING-first"),
        pytest.param(frames.SETTINGS_ACK, id="3.4-SETTINGS-ACK-first"),
        pytest.param(head(1), id="3.4-HEADERS-first"),
        pytest.param(frames.frame(0xBE, 0, 0), id="3.4-unknown-frame-first"),
    ],
)
def test_a_connection_that_does_not_begin_with_settings_ends(caller: H2Client, octets: bytes) -> None:
    caller.say(frames.PREFACE + octets)
    heard = caller.hear_end()

    assert heard.goaway is not None
    assert heard.goaway.code == ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"\0" * 100, id="zeros"),
        pytest.param(b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3" + bytes(508), id="TLS-in-TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", id="preface-with-a-wrong-end"),
        pytest.param(b"PRI * HTTP/1.1\r\nHost: farm.test\r\n\r\n", id="almost-a-preface"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="SSH"),
    ],
)
def test_what_is_not_http2_is_closed_without_a_word(
    door: Door, caller: H2Client, neighbour: Neighbour, octets: bytes
) -> None:
    label = {"reason": ConnectionFault.NOT_HTTP2.value}
    before = door.metric(CLOSED, label)
    caller.say(octets)
    heard = caller.hear_end()

    assert heard == Heard()
    door.wait_metric(CLOSED, label, lambda now: now == before + 1)
    assert neighbour.is_served()


# --- refusals that leave the connection whole ---


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(plain_block(call_fields(INFO, (b"x-big", b"b" * 33_000))), id="33000-octets-in-one-field"),
        pytest.param(plain_block(call_fields(INFO, *[(b"x-a", b"1")] * 123)), id="129-fields"),
        pytest.param(plain_block(call_fields(INFO, *[(b"cookie", b"a=b")] * 130)), id="130-cookies"),
        # Entry 62 is 4000 octets long; 100 octets ask for it 100 times.
        pytest.param(
            plain_block(call_fields()) + b"\x40\1x\x7f" + b"\xa1\x1e" + b"b" * 4000 + b"\xbe" * 100,
            id="HTTP2-Bomb-of-references",
        ),
    ],
)
def test_a_head_that_is_too_long_is_refused_and_the_next_call_is_served(caller: H2Client, block: bytes) -> None:
    caller.greet()
    caller.say(frames.headers(1, block))
    refused = caller.hear_stream(1)
    served = caller.call(3, HEALTH)

    assert refused.status(1) == str(Reason.REQUEST_MALFORMED.code.value)
    assert served.status(3) == "0"


def test_a_stream_above_the_limit_is_refused_and_the_others_live(caller: H2Client) -> None:
    caller.greet()
    for number in range(MAX_STREAMS + 1):
        caller.say(head(2 * number + 1))
    heard = caller.hear_stream(2 * MAX_STREAMS + 1)

    assert heard.resets == {2 * MAX_STREAMS + 1: ErrorCode.REFUSED_STREAM}
    assert caller.hear_pong(b"hi there").goaway is None


# --- strangers ---


def test_a_stranger_reads_what_to_do_and_is_cut_off_after_a_few_calls(stranger: H2Client) -> None:
    stranger.greet()
    for number in range(20):
        stranger.say(head(2 * number + 1, end_stream=True))
    heard = stranger.hear_end()

    assert {heard.status(stream) for stream in heard.heads} == {str(Code.UNAUTHENTICATED.value)}
    assert len(heard.heads) <= 8
    assert heard.goaway is not None
    assert heard.goaway.code == ErrorCode.ENHANCE_YOUR_CALM


def test_a_stranger_may_not_say_much(stranger: H2Client) -> None:
    stranger.greet()
    for number in range(6):
        stranger.say(head(2 * number + 1, INFO, (b"x-much", b"m" * 15_000), end_stream=True))
    heard = stranger.hear_end()

    assert heard.goaway is not None
    assert heard.goaway.code == ErrorCode.ENHANCE_YOUR_CALM


def test_a_stranger_may_not_stay_silent_between_frames(start_door: StartDoor, people: People) -> None:
    own = start_door(listen={"first_request_timeout": "1s"})
    with H2Client(own.address, tls_context(people.ca, None)) as stranger:
        stranger.greet()
        heard = stranger.hear_end()

    assert heard.goaway is not None
    own.wait_metric(CLOSED, {"reason": ConnectionFault.FIRST_REQUEST_LATE.value}, lambda now: now == 1)


# --- slow callers ---


def dribble(sock: socket.socket, octets: bytes) -> float:
    """Send an octet every 0.2 s until the other side hangs up; return the seconds that took."""
    begun_s = time.monotonic()
    sock.settimeout(0.2)
    for at in range(len(octets)):
        try:
            sock.sendall(octets[at : at + 1])
            if not sock.recv(1):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - begun_s


def test_slow_handshakes_and_prefaces_end_in_time_however_they_dribble(start_door: StartDoor, people: People) -> None:
    """A deadline is for the whole step: one octet more does not extend it."""
    own = start_door(listen={"handshake_timeout": "1s", "preface_timeout": "1s"})
    context = tls_context(people.ca, people.client())
    with connect(own.address) as silent, connect(own.address) as shaking, H2Client(own.address, context) as greeting:
        shaking_s = dribble(shaking, b"\x16\x03\x01\x02\0\1\0\1\xfc" + bytes(500))
        greeting_s = dribble(greeting.sock, frames.PREFACE[:-1] + b"\r" * 50)
        silent.settimeout(10)
        silent_end = silent.recv(1)

    assert silent_end == b""
    assert shaking_s < 5
    assert greeting_s < 5
    own.wait_metric(CLOSED, {"reason": ConnectionFault.HANDSHAKE.value}, lambda now: now == 2)
    own.wait_metric(CLOSED, {"reason": ConnectionFault.NO_PREFACE.value}, lambda now: now == 1)
    own.wait_metric("kilngate_connections_open", {}, lambda now: now == 0)


# --- TLS ---


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(frames.PREFACE + GREETING, id="HTTP2-in-the-clear"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: farm.test\r\n\r\n", id="HTTP1-in-the-clear"),
        pytest.param(b"\x80\x2e\1\0\2\0\x15\0\0\0\x10" + bytes(37), id="SSLv2-hello"),
        pytest.param(b"\x16\x03\x01\xff\xff" + bytes(66_000), id="record-of-65535-octets"),
        pytest.param(b"\x18\x03\x03\0\3\1\x40\0", id="heartbeat-first"),
        pytest.param(b"\x15\x03\x03\0\2\2\x28", id="alert-first"),
        pytest.param(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", id="PROXY-line-of-a-stranger"),
        pytest.param(bytes(5000), id="zeros"),
    ],
)
def test_what_is_not_a_handshake_is_closed(door: Door, neighbour: Neighbour, octets: bytes) -> None:
    label = {"reason": ConnectionFault.HANDSHAKE.value}
    before = door.metric(CLOSED, label)
    with connect(door.address) as sock, suppress(ConnectionResetError, BrokenPipeError):
        sock.sendall(octets)
        while sock.recv(1000):
            pass

    door.wait_metric(CLOSED, label, lambda now: now == before + 1)
    assert neighbour.is_served()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
def test_old_versions_of_tls_are_refused(door: Door, people: People, version: ssl.TLSVersion) -> None:
    context = tls_context(people.ca, people.client())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")

    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        H2Client(door.address, context)


def test_a_caller_that_offers_other_protocols_only_is_refused(door: Door, people: People) -> None:
    label = {"reason": ConnectionFault.ALPN.value}
    before = door.metric(CLOSED, label)
    context = tls_context(people.ca, people.client(), alpn=["http/1.0"])
    with suppress(OSError), H2Client(door.address, context) as client:
        client.say(frames.PREFACE + GREETING)

        assert client.hear_end() == Heard()

    door.wait_metric(CLOSED, label, lambda now: now == before + 1)


def test_a_caller_that_offers_no_protocol_is_served(door: Door, people: People) -> None:
    with H2Client(door.address, tls_context(people.ca, people.client(), alpn=())) as client:
        client.greet()

        assert client.call(1, HEALTH).status(1) == "0"


@pytest.mark.parametrize("alpn", [(), ("http/1.1",), ("http/1.1", "h3")])
def test_who_speaks_http_1_reads_what_this_port_is(door: Door, people: People, alpn: tuple[str, ...]) -> None:
    context = tls_context(people.ca, None, alpn=alpn)
    with context.wrap_socket(connect(door.address), server_hostname=SERVER_NAME) as caller:
        caller.sendall(b"GET / HTTP/1.1\r\nHost: farm.test\r\n\r\n")
        said = b""
        while octets := caller.recv(4096):
            said += octets

    assert said.startswith(b"HTTP/1.1 404 ")
    assert b"This is kilngate, the front door of a BuildKit farm" in said


def test_no_session_is_ever_resumed(door: Door, people: People) -> None:
    """A resumed session would outlive the certificate that it was opened with."""
    context = tls_context(people.ca, people.client())
    with H2Client(door.address, context) as client:
        client.greet()
        client.call(1, HEALTH)
        session = client.sock.session
    with context.wrap_socket(connect(door.address), server_hostname=SERVER_NAME, session=session) as again:
        assert not again.session_reused


# --- afterwards ---


def test_nothing_is_left_of_all_that_and_nothing_was_an_accident(door: Door, neighbour: Neighbour) -> None:
    door.wait_metric("kilngate_connections_open", {}, lambda now: now == 1)
    door.wait_metric("kilngate_streams_open", {}, lambda now: now == 0)

    assert neighbour.is_served()
    assert door.metric(CLOSED, {"reason": ConnectionFault.INTERNAL.value}) == 0
    assert "Traceback" not in door.log
