"""Callers who break HTTP, take their time, or cut the line: each costs little, and the next one is served.

Source: RFC 9112 sections 2 to 7 and 11.2 (request smuggling), RFC 8446 section 6.1 (close_notify).
"""

import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from proxy.edge.api import visitor
from proxy.edge.api.application import BODY_OCTETS
from proxy.events import ApiAnswered, ConnectionFault
from proxy.reasons import Reason
from proxy.settings.listen import Listen
from proxy.units import SECOND_NS
from tests.helpers.apidoor import PATIENCE_S, ApiDoor, api_door, hear_all, hear_cut, read_response, request
from tests.helpers.issuing import new_request

GOOD = request("GET", "/v1/login")
HOST = b"Host: farm.test\r\n"
POST = b"POST /v1/certificates HTTP/1.1\r\n" + HOST


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiDoor]:
    with api_door(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def door(shared: ApiDoor) -> Iterator[ApiDoor]:
    """A door that afterwards still serves, has no connection left open and found no fault of its own."""
    yield shared
    assert shared.ask(GOOD).status == 200
    wait_empty(shared)
    assert shared.farm.bugs == []


def wait_empty(door: ApiDoor) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while door.listener.connections:
        assert time.monotonic() < deadline, "a connection stays open"
        time.sleep(0.01)


def malformed(door: ApiDoor, octets: bytes) -> None:
    """Check that octets get 400 in our own form, once, and nothing behind it."""
    response = door.ask(octets)

    assert (response.status, response.error["code"]) == (400, f"KG-{Reason.HTTP_MALFORMED.number}")
    assert response.headers["connection"] == "close"


# --- what is no HTTP, or could be read in two ways ------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"GET /v1/login\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"BREW /pot HTTP/1.1\r\n" + HOST + b"\r\n", id="unknown-method"),
        pytest.param(b"GET /v1/login HTTP/2.0x\r\n\r\n", id="odd-version"),
        pytest.param(b"GET /v1/login XXXP/1.1\r\n" + HOST + b"\r\n", id="not-http"),
        pytest.param(b"GET /v1/login HTTP/1.1\r\nHost : farm.test\r\n\r\n", id="space-before-colon"),
        pytest.param(b"GET /v1/login HTTP/1.1\r\n" + HOST + b"X: a\r\n folded\r\n\r\n", id="folded-field"),
        pytest.param(b"GET /v1/login HTTP/1.1\r\n" + HOST + b"no colon\r\n\r\n", id="no-colon"),
        pytest.param(b"GET /v1/login HTTP/1.1\r\n" + HOST + b"X\0: y\r\n\r\n", id="nul-in-name"),
        pytest.param(b"GET /v1/login HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", id="nul-in-value"),
        pytest.param(POST + b"Content-Length: +5\r\n\r\nhello", id="signed-length"),
        pytest.param(POST + b"Content-Length: 5, 5\r\n\r\nhello", id="list-of-lengths"),
        pytest.param(POST + b"Content-Length: 0x5\r\n\r\nhello", id="hexadecimal-length"),
        pytest.param(POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", id="two-lengths"),
        pytest.param(
            POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length-and-chunks"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", id="chunks-and-length"
        ),
        pytest.param(POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", id="chunked-not-last"),
        pytest.param(POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="unknown-coding"),
        pytest.param(b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", id="long-path"),
        pytest.param(b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 20_000 + b"\r\n\r\n", id="long-field"),
        pytest.param(b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 100 + b"\r\n", id="many-fields"),
    ],
)
def test_what_can_be_read_in_two_ways_is_not_read_at_all(door: ApiDoor, octets: bytes) -> None:
    malformed(door, octets)


@pytest.mark.parametrize(
    "body",
    [b"zz\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"fffffffffffffffff\r\n"],
)
def test_chunks_that_are_none_are_refused(door: ApiDoor, body: bytes) -> None:
    token = f"Authorization: Bearer {door.token()}\r\n".encode()

    malformed(door, POST + token + b"Transfer-Encoding: chunked\r\n\r\n" + body)


@pytest.mark.parametrize(
    "octets",
    [b"\0" * 100, b"\x16\x03\x01\x02\0" + bytes(508), b"get / HTTP/1.1\r\n\r\n"],
)
def test_what_nobody_speaks_is_closed_without_a_word(door: ApiDoor, octets: bytes) -> None:
    with door.connect() as connection:
        port = connection.getsockname()[1]
        connection.sendall(octets)
        assert hear_cut(connection) == b""

    assert door.wait_closed(port).fault is ConnectionFault.NOT_HTTP2


# --- one request a connection ---------------------------------------------------------------


@pytest.mark.parametrize("second", [GOOD, GOOD * 50, b"\0" * 5000, b"GET / HTT", POST + b"Content-Length: 9\r\n\r\n"])
def test_what_is_sent_behind_a_request_is_never_answered(door: ApiDoor, second: bytes) -> None:
    before = len(door.heard(ApiAnswered))

    response = door.ask(GOOD + second)

    # What makes no sense behind it may spoil a request, too.
    assert response.status in (200, 400)
    assert len(door.heard(ApiAnswered)) == before + 1


def test_a_request_hidden_in_a_body_is_never_answered(door: ApiDoor) -> None:
    before = len(door.heard(ApiAnswered))
    hidden = GOOD

    response = door.ask(b"GET /v1/login HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden)

    assert response.status == 200
    assert len(door.heard(ApiAnswered)) == before + 1


def test_another_protocol_is_not_changed_to(door: ApiDoor) -> None:
    for wanted in ("websocket", "h2c"):
        fields = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {wanted}", "HTTP2-Settings: AAMAAABk")

        assert door.get("/v1/login", *fields).status == 200


@pytest.mark.parametrize(
    "line",
    [b"CONNECT farm.test:443 HTTP/1.1", b"GET https://elsewhere.test/v1/nothing HTTP/1.1", b"OPTIONS * HTTP/1.1"],
)
def test_this_is_no_proxy(door: ApiDoor, line: bytes) -> None:
    assert door.ask(line + b"\r\n" + HOST + b"\r\n").status in (400, 404, 405)


# --- old and slow, but right ----------------------------------------------------------------


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_old_clients_are_answered(door: ApiDoor, version: str) -> None:
    assert door.ask(request("GET", "/v1/login", version=version)).status == 200


def test_a_request_may_come_octet_by_octet(door: ApiDoor) -> None:
    octets = request("POST", "/v1/certificates", f"Authorization: Bearer {door.token()}", body=new_request())
    with door.connect() as connection:
        for at in range(len(octets)):
            connection.sendall(octets[at : at + 1])
        assert read_response(hear_all(connection)).status == 200


def test_a_body_may_come_in_chunks(door: ApiDoor) -> None:
    token = f"Authorization: Bearer {door.token()}\r\n".encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in new_request().splitlines(keepends=True))

    assert door.ask(POST + token + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n").status == 200


def test_who_asks_first_whether_to_send_a_body_is_told_to(door: ApiDoor) -> None:
    body = new_request()
    octets = request(
        "POST", "/v1/certificates", f"Authorization: Bearer {door.token()}", "Expect: 100-continue", body=body
    )
    with door.connect() as connection:
        connection.sendall(octets.removesuffix(body))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert read_response(hear_all(connection)).status == 200


def test_who_says_goodbye_after_the_request_still_reads_the_answer(door: ApiDoor) -> None:
    with door.connect() as connection:
        connection.sendall(GOOD)
        assert read_response(hear_all(connection)).status == 200


# --- too large ------------------------------------------------------------------------------


@pytest.mark.parametrize("octets", [BODY_OCTETS + 1, 1 << 20])
def test_a_body_that_is_too_large_is_refused_and_the_answer_can_be_read(door: ApiDoor, octets: int) -> None:
    response = door.post(b"x" * octets, token=door.token())

    assert (response.status, response.error["code"]) == (413, f"KG-{Reason.BODY_TOO_LARGE.number}")


def test_a_body_that_is_only_announced_costs_nothing(door: ApiDoor) -> None:
    token = f"Authorization: Bearer {door.token()}\r\n".encode()
    with door.connect() as connection:
        connection.sendall(POST + token + b"Content-Length: 99999999999\r\n\r\n")
        response = read_response(hear_all(connection))

    assert response.status == 413


def test_endless_chunks_end(door: ApiDoor) -> None:
    token = f"Authorization: Bearer {door.token()}\r\n".encode()
    chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
    with door.connect() as connection:
        connection.sendall(POST + token + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 20)
        response = read_response(hear_all(connection))

    assert response.status == 413


# --- lines that are cut ---------------------------------------------------------------------


@pytest.mark.parametrize("octets", [b"", b"G", GOOD[:30], POST + b"Content-Length: 100\r\n\r\nhalf", GOOD])
def test_a_line_that_is_cut_leaves_nothing_behind(door: ApiDoor, octets: bytes) -> None:
    ports = []
    for ending in (cut, reset, goodbye):
        connection = door.connect()
        ports.append(connection.getsockname()[1])
        connection.sendall(octets)
        ending(connection)

    assert all(door.wait_closed(port) for port in ports)


def cut(connection: ssl.SSLSocket) -> None:
    """End TCP without a word of TLS."""
    socket.socket.close(connection)


def reset(connection: ssl.SSLSocket) -> None:
    """End TCP by a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket.close(connection)


def goodbye(connection: ssl.SSLSocket) -> None:
    """Say close_notify and leave."""
    connection.settimeout(0)
    with suppress(OSError):
        connection.unwrap()
    connection.close()


# --- time -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiDoor]:
    """A door with little patience."""
    rules = Listen.model_validate(
        {"preface_timeout": "200ms", "first_request_timeout": "200ms", "max_connections_per_address": 8}
    )
    with api_door(tmp_path_factory.mktemp("hasty"), listen=rules) as running:
        yield running


@pytest.mark.parametrize("start", [GOOD[:-2], b"GET /v1/login HTTP/1.1\r\nX", POST + b"%TOKEN%\r\nhalf"])
def test_who_does_not_finish_a_request_is_closed(hasty: ApiDoor, start: bytes) -> None:
    token = f"Authorization: Bearer {hasty.token()}\r\nContent-Length: 100\r\n".encode()
    with hasty.connect() as connection:
        port = connection.getsockname()[1]
        connection.sendall(start.replace(b"%TOKEN%\r\n", token + b"\r\n"))
        heard = hear_cut(connection)

    assert hasty.wait_closed(port).fault is ConnectionFault.FIRST_REQUEST_LATE
    assert heard == b""


def test_who_was_refused_may_read_why_but_not_go_on(hasty: ApiDoor) -> None:
    with hasty.connect() as connection:
        connection.sendall(POST + b"Content-Length: 100\r\n\r\nhalf")
        assert read_response(hear_all(connection)).status == 401


def test_slow_callers_fill_no_more_than_their_share_and_leave_it(hasty: ApiDoor) -> None:
    wait_empty(hasty)
    slow = [hasty.connect() for _ in range(8)]
    for connection in slow:
        connection.sendall(b"GET /v1/login HTTP/1.1\r\n")
    with pytest.raises((ssl.SSLError, OSError)):
        hasty.connect()
    for connection in slow:
        hear_cut(connection)
        connection.close()
    wait_empty(hasty)

    assert hasty.ask(GOOD).status == 200


def test_who_does_not_read_an_answer_holds_nothing_for_long(hasty: ApiDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitor, "LINGER_NS", SECOND_NS // 5)
    connection = hasty.connect()
    connection.sendall(request("GET", "/v1/openapi.json"))

    assert hasty.wait_closed(connection.getsockname()[1]).fault is None

    connection.close()


def test_an_answer_larger_than_the_caller_reads_waits_and_is_then_cut(
    hasty: ApiDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitor, "WHOLE_NS", SECOND_NS // 5)
    whole = hasty.api.facts
    hasty.api.facts = type(whole)(b"x" * (8 << 20), whole.names, whole.login)
    try:
        connection = hasty.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(request("GET", "/v1/ca.pem"))
        ended = hasty.wait_closed(connection.getsockname()[1])
        connection.close()
    finally:
        hasty.api.facts = whole

    assert ended.fault is ConnectionFault.FIRST_REQUEST_LATE


def test_an_answer_larger_than_any_buffer_arrives_whole(door: ApiDoor) -> None:
    whole = door.api.facts
    large = bytes(range(256)) * (8 << 12)
    door.api.facts = type(whole)(large, whole.names, whole.login)
    try:
        assert door.get("/v1/ca.pem").body == large
    finally:
        door.api.facts = whole
