"""Octets through TLS: by the direct bindings and by public calls, all that is promised must hold with both."""

import gc
import hashlib
import os
import random
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from OpenSSL import SSL

from proxy.edge import tls_bindings, tls_records
from proxy.edge.tls_records import PeerClosed, TlsConnection
from tests.helpers.tls import Client, Place, close_all, connect, pair, shake, until
from tests.helpers.tls13 import Sealer

MIB = 1 << 20
ALL_OF_IT = 5 * MIB + 12345


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def _everything_is_closed() -> Iterator[None]:
    yield
    close_all()


@pytest.fixture(autouse=True, params=["direct", "public"])
def bindings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "public":
        monkeypatch.setattr(tls_records, "records_of", tls_bindings.PlainRecords)
    return str(request.param)


@pytest.fixture(params=["1.3", "1.2"])
def ends(place: Place, request: pytest.FixtureRequest) -> tuple[TlsConnection, Client]:
    context = place.context(place.authority.issue())
    if request.param == "1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    connection, client = connect(place.server(min_version="1.2"), context)
    shake(connection, client)
    return connection, client


@pytest.fixture
def newest(place: Place) -> tuple[TlsConnection, Client]:
    connection, client = connect(place.server(), place.context())
    shake(connection, client)
    return connection, client


def test_the_direct_bindings_are_there() -> None:
    """A release of pyOpenSSL or cryptography without them is slower by a quarter: that must be seen."""
    assert tls_bindings._IS_DIRECT


def test_nothing_received_is_no_fault(ends: tuple[TlsConnection, Client]) -> None:
    connection, _ = ends

    assert [connection.receive_into(memoryview(bytearray(100))) for _ in range(3)] == [0, 0, 0]
    assert not connection.has_pending


@pytest.mark.parametrize("view_octets", [1 << 18, 100_000, 16 * 1024, 1000])
def test_megabytes_arrive_unchanged_whatever_the_room(ends: tuple[TlsConnection, Client], view_octets: int) -> None:
    connection, client = ends
    octets = memoryview(os.urandom(ALL_OF_IT if view_octets > 1000 else MIB))
    view = memoryview(bytearray(view_octets))
    found, sent, got = hashlib.sha256(), 0, 0

    def turn() -> None:
        nonlocal sent, got
        if sent < len(octets):
            sent += client.send(octets[sent : sent + 200_000])
        count = connection.receive_into(view)
        found.update(view[:count])
        got += count

    until(lambda: got == len(octets), turn)

    assert found.digest() == hashlib.sha256(octets).digest()


def test_octets_are_never_held_back_once_their_record_is_there(ends: tuple[TlsConnection, Client]) -> None:
    connection, client = ends
    view = memoryview(bytearray(1000))
    client.send(bytes(60_000))
    got = 0

    while count := connection.receive_into(view):
        got += count
        assert got == 60_000 or connection.has_pending

    assert got == 60_000
    assert not connection.has_pending


def test_what_is_left_inside_is_not_changed_by_another_connection(place: Place) -> None:
    ends = [connect(place.server(), place.context()) for _ in range(3)]
    said = [os.urandom(100_000) for _ in ends]
    for (connection, client), octets in zip(ends, said, strict=True):
        shake(connection, client)
        client.send(octets)
    view = memoryview(bytearray(777))
    heard = [bytearray() for _ in ends]

    def turn() -> None:
        for (connection, _), into in zip(ends, heard, strict=True):
            into.extend(view[: connection.receive_into(view)])

    until(lambda: all(len(into) == 100_000 for into in heard), turn)

    assert heard == said


def test_many_records_of_one_octet_arrive_in_one_read(ends: tuple[TlsConnection, Client]) -> None:
    connection, client = ends
    for number in range(250):
        assert client.send(bytes([number]))
    view = memoryview(bytearray(1 << 18))

    count = connection.receive_into(view)

    assert bytes(view[:count]) == bytes(number for number in range(250))


def test_a_record_may_arrive_octet_by_octet(place: Place) -> None:
    ours, middle = pair()
    theirs, far = pair()
    connection, client = place.server().wrap(ours), Client(theirs, place.context())

    def pass_on(most: int) -> None:
        for here, there in ((middle, far), (far, middle)):
            try:
                there.send(here.recv(most))
            except BlockingIOError:
                continue

    done = {"server": False}

    def turn() -> None:
        client.step()
        pass_on(1 << 16)
        done["server"] = done["server"] or connection.handshake() is tls_records.Want.DONE

    until(lambda: client.is_done and done["server"], turn)
    client.send(b"one octet at a time")
    view, heard = memoryview(bytearray(100)), bytearray()

    def next_octet() -> None:
        nonlocal heard
        pass_on(1)
        heard += view[: connection.receive_into(view)]

    until(lambda: len(heard) == 19, next_octet)

    assert heard == b"one octet at a time"


def test_early_octets_that_came_with_the_handshake_are_not_lost(place: Place) -> None:
    connection, client = connect(place.server(), place.context())
    until(lambda: client.is_done, lambda: (client.step(), connection.handshake() if not client.is_done else None))
    client.send(b"PRI * HTTP/2.0")
    assert connection.handshake() is tls_records.Want.DONE
    view = memoryview(bytearray(100))

    count = connection.receive_into(view)

    assert bytes(view[:count]) == b"PRI * HTTP/2.0"


def test_megabytes_are_sent_unchanged_and_in_order(ends: tuple[TlsConnection, Client]) -> None:
    """Segments of all sizes from one reused buffer, as the relay passes them; the socket is often full."""
    connection, client = ends
    chance = random.Random(7)
    scratch = memoryview(bytearray(700_000))
    said, heard = hashlib.sha256(), hashlib.sha256()
    sent = got = 0
    while sent < ALL_OF_IT:
        sizes = [chance.choice([0, 1, 9, 100, 16_384, 70_000, 600_000]) for _ in range(chance.randrange(1, 5))]
        segments = []
        for size in sizes:
            scratch[:size] = chance.randbytes(size)
            segments.append(bytes(scratch[:size]) if size < 200 else memoryview(bytearray(scratch[:size])))
        for segment in segments:
            said.update(segment)
        sent += sum(sizes)
        connection.send(segments)
        for segment in segments:
            if isinstance(segment, memoryview):
                segment[:] = bytes(len(segment))
        got += _drained(client, heard)
        connection.flush()

    def turn() -> None:
        nonlocal got
        got += _drained(client, heard)
        connection.flush()

    until(lambda: got == sent, turn)

    assert connection.unsent_octets == 0
    assert heard.digest() == said.digest()


def _drained(client: Client, heard: "hashlib._Hash") -> int:
    got = 0
    while octets := client.receive():
        heard.update(octets)
        got += len(octets)
    return got


def test_what_a_full_socket_does_not_take_is_kept_and_counted(ends: tuple[TlsConnection, Client]) -> None:
    connection, client = ends
    connection.send([bytes(4 * MIB)])
    kept = connection.unsent_octets

    assert kept > 0
    assert connection.flush() is False
    until(lambda: connection.flush() and connection.unsent_octets == 0, lambda: client.receive(1 << 20))


def test_nothing_to_send_sends_nothing(ends: tuple[TlsConnection, Client]) -> None:
    connection, client = ends
    connection.send([])
    connection.send([b""])
    connection.send([b"", b""])

    assert connection.flush() is True
    assert client.receive() == b""
    assert client.tls.pending() == 0


def test_memory_that_a_quiet_connection_gives_back_is_not_missed(ends: tuple[TlsConnection, Client]) -> None:
    connection, client = ends
    view = memoryview(bytearray(1 << 18))
    for _ in range(3):
        connection.send([b"x" * 100_000])
        until_heard = bytearray()
        until(lambda heard=until_heard: len(heard) == 100_000, lambda heard=until_heard: heard.extend(client.receive()))
        client.send(b"y" * 1000)
        assert connection.receive_into(view) == 1000
        connection.shed()

    assert connection.receive_into(view) == 0


def test_memory_is_not_given_back_while_octets_wait(ends: tuple[TlsConnection, Client]) -> None:
    connection, client = ends
    client.send(b"z" * 5000)
    view = memoryview(bytearray(1000))
    assert connection.receive_into(view) == 1000
    connection.send([bytes(4 * MIB)])
    connection.shed()
    heard = 0

    def turn() -> None:
        nonlocal heard
        heard += len(client.receive())
        connection.flush()

    until(lambda: heard == 4 * MIB, turn)

    assert [connection.receive_into(view) for _ in range(4)] == [1000] * 4


# --- ends -----------------------------------------------------------------------------------


def test_the_last_octets_come_before_a_clean_end(ends: tuple[TlsConnection, Client]) -> None:
    connection, client = ends
    client.send(b"the last words")
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    view = memoryview(bytearray(100))

    assert connection.receive_into(view) == 14
    for _ in range(2):
        with pytest.raises(PeerClosed) as closed:
            connection.receive_into(view)
        assert closed.value.is_clean


def test_an_end_without_a_word_is_not_clean(ends: tuple[TlsConnection, Client]) -> None:
    connection, client = ends
    client.send(b"the last words")
    client.tls.close()
    view = memoryview(bytearray(100))

    assert connection.receive_into(view) == 14
    with pytest.raises(PeerClosed) as closed:
        connection.receive_into(view)
    assert not closed.value.is_clean


def test_the_caller_learns_that_nothing_was_cut_off(ends: tuple[TlsConnection, Client]) -> None:
    connection, client = ends
    connection.send([b"that was all"])
    connection.say_goodbye()
    connection.close()

    assert client.receive() == b"that was all"
    assert client.tls.recv(1) == b""  # an end without close_notify would raise


def test_a_goodbye_waits_behind_what_is_kept(ends: tuple[TlsConnection, Client]) -> None:
    connection, client = ends
    connection.send([bytes(4 * MIB)])
    connection.say_goodbye()
    heard = 0

    def turn() -> None:
        nonlocal heard
        heard += len(client.receive())
        connection.flush()

    until(lambda: heard == 4 * MIB and connection.unsent_octets == 0, turn)

    assert client.tls.recv(1) == b""


def test_sending_to_a_caller_who_left_says_so(ends: tuple[TlsConnection, Client]) -> None:
    connection, client = ends
    client.tls.close()

    with pytest.raises(PeerClosed):
        until(lambda: False, lambda: connection.send([bytes(1000)]))
    connection.close()


def test_octets_that_are_no_record_end_the_connection_with_an_alert(ends: tuple[TlsConnection, Client]) -> None:
    connection, client = ends
    os.write(client.tls.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
    view = memoryview(bytearray(100))

    for _ in range(2):
        with pytest.raises(PeerClosed) as closed:
            connection.receive_into(view)
        assert not closed.value.is_clean
    with pytest.raises(ssl.SSLError, match="bad record mac"):
        client.tls.recv(1)


def test_faults_that_others_left_in_openssl_are_not_ours(ends: tuple[TlsConnection, Client]) -> None:
    connection, client = ends
    tls_bindings.lib.ERR_put_error(20, 0, 134, b"elsewhere.c", 1)
    assert connection.receive_into(memoryview(bytearray(10))) == 0
    client.send(b"hello")

    assert connection.receive_into(memoryview(bytearray(10))) == 5


# --- what hostile callers try ---------------------------------------------------------------


def test_renegotiation_is_refused(place: Place) -> None:
    ours, theirs = pair()
    connection = place.server(min_version="1.2").wrap(ours)
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    client = SSL.Connection(context, theirs)
    client.set_connect_state()
    done = {"client": False, "server": False}

    def turn() -> None:
        done["client"] = done["client"] or _tried(client)
        done["server"] = done["server"] or connection.handshake() is tls_records.Want.DONE

    until(lambda: all(done.values()), turn)
    client.renegotiate()
    view = memoryview(bytearray(100))
    with pytest.raises(SSL.Error, match="no renegotiation"):  # noqa: PT012
        for _ in range(20):
            _tried(client)
            connection.receive_into(view)
            connection.send([b"x"])


def _tried(client: SSL.Connection) -> bool:
    try:
        client.do_handshake()
    except (SSL.WantReadError, SSL.WantWriteError):
        return False
    return True


def test_records_without_content_are_counted_and_end_the_connection(place: Place, tmp_path: Path) -> None:
    """Key updates cost us a derivation each, and bring nothing: a flood of them is no conversation."""
    context = place.context()
    context.keylog_filename = str(tmp_path / "keys")
    connection, client = connect(place.server(), context)
    shake(connection, client)
    sealer = Sealer.from_keylog((tmp_path / "keys").read_text())
    view = memoryview(bytearray(100))
    few = b"".join(sealer.key_update() for _ in range(50))
    os.write(client.tls.fileno(), few)

    assert connection.receive_into(view) == 0
    with pytest.raises(PeerClosed, match="without content"):  # noqa: PT012
        for _ in range(100):
            os.write(client.tls.fileno(), b"".join(sealer.key_update() for _ in range(50)))
            connection.receive_into(view)


def test_a_few_key_updates_between_octets_are_fine(place: Place, tmp_path: Path) -> None:
    context = place.context()
    context.keylog_filename = str(tmp_path / "keys")
    connection, client = connect(place.server(), context)
    shake(connection, client)
    sealer = Sealer.from_keylog((tmp_path / "keys").read_text())
    view = memoryview(bytearray(100))

    for _ in range(200):
        os.write(client.tls.fileno(), b"".join(sealer.key_update() for _ in range(20)) + sealer.content(b"octets"))
        assert connection.receive_into(view) == 6
    connection.send([b"heard"])

    assert client.receive() == b"heard"


def test_an_ended_connection_leaves_no_knot_for_the_collector(place: Place) -> None:
    """CPython crashes when it collects a cycle with a memoryview that cffi still holds; an exception can tie one."""

    def end() -> None:
        connection, client = connect(place.server(), place.context())
        shake(connection, client)
        os.write(client.tls.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
        view = memoryview(bytearray(100))
        with pytest.raises(PeerClosed) as closed:  # which knows this frame, and this frame knows it
            connection.receive_into(view)
        assert not closed.value.is_clean

    for _ in range(20):
        end()

    assert gc.collect() > 0
