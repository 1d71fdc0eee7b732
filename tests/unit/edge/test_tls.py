"""The handshake of the public listener, with OpenSSL as the caller."""

import socket
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.edge.tls import ServerTls
from proxy.edge.tls_records import PeerClosed, TlsConnection, TlsFailed, Want
from proxy.events import ConnectionFault, HandshakeResult
from tests.helpers.certificates import (
    CLIENT_AUTH,
    DAY,
    SERVER_AUTH,
    Authority,
    Issued,
    as_authority,
    dns,
    look_alike,
    rsa_key,
    uri,
)
from tests.helpers.tls import Client, Place, client_context, close_all, connect, pair, shake, until

ALICE = "spiffe://farm.test/tenant/payments/alice"

# openssl/x509_vfy.h
EXPIRED, NOT_YET_VALID, UNKNOWN_ISSUER, WRONG_PURPOSE, WEAK_KEY = 10, 9, 20, 26, 66
SELF_SIGNED, NO_AUTHORITY, TOO_LONG, NOT_PERMITTED = 18, 79, 25, 47


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def _everything_is_closed() -> Iterator[None]:
    yield
    close_all()


def met(server: ServerTls, context: ssl.SSLContext) -> TlsConnection:
    connection, client = connect(server, context)
    shake(connection, client)
    return connection


def refused(server: ServerTls, context: ssl.SSLContext) -> tuple[TlsFailed, str]:
    """Return how the server's handshake failed, and what its alert said to the caller."""
    connection, client = connect(server, context)
    with pytest.raises(TlsFailed) as failure:
        shake(connection, client)
    until(lambda: client.failure is not None or client.is_done, client.step)
    if client.failure is None:  # in TLS 1.3 a caller is done before the server has judged
        with pytest.raises(ssl.SSLError) as told:
            client.tls.recv(1)
        client.failure = told.value
    return failure.value, str(client.failure)


# --- who calls ------------------------------------------------------------------------------


def test_a_good_certificate_is_shown_with_its_chain_and_no_fault(place: Place) -> None:
    alice = place.authority.issue(uri(ALICE))

    shown = met(place.server(), place.context(alice)).presented

    assert shown is not None
    assert shown.chain == (alice.der, place.authority.der)
    assert shown.faults == ()


def test_a_chain_by_an_intermediate_is_built_up_to_the_root(place: Place) -> None:
    below = place.authority.intermediate()
    alice = below.issue()

    shown = met(place.server(), place.context(alice)).presented

    assert shown is not None
    assert shown.chain == (alice.der, below.der, place.authority.der)
    assert shown.faults == ()


def test_an_intermediate_may_be_trusted_without_its_root(place: Place) -> None:
    below = place.authority.intermediate()
    alice = below.issue()

    shown = met(place.server(cas=[below.pem]), place.context(alice)).presented

    assert shown is not None
    assert shown.chain == (alice.der, below.der)
    assert shown.faults == ()


def test_a_caller_without_a_certificate_is_let_through_to_be_told(place: Place) -> None:
    connection = met(place.server(), place.context())

    assert connection.presented is None


def test_no_certificate_is_asked_for_where_no_authority_is_trusted(place: Place) -> None:
    connection = met(place.server(cas=[]), place.context(place.authority.issue()))

    assert connection.presented is None


def odd(place: Place) -> dict[str, tuple[Issued, int, int]]:
    """Name -> a certificate, and the fault and depth that OpenSSL finds first."""
    root = place.authority
    hour = timedelta(hours=1)
    return {
        "expired": (root.issue(ends=-hour), EXPIRED, 0),
        "not yet valid": (root.issue(begins=hour), NOT_YET_VALID, 0),
        "another authority": (Authority.create("Other").issue(), UNKNOWN_ISSUER, 0),
        "an authority that looks like ours": (look_alike(root).issue(), UNKNOWN_ISSUER, 0),
        "self-signed": (_self_signed(), SELF_SIGNED, 0),
        "a server's": (root.issue(purposes=[SERVER_AUTH]), WRONG_PURPOSE, 0),
        "RSA of 1024 bits": (root.issue(key=rsa_key(1024)), WEAK_KEY, 0),
        "issued by a leaf": (as_authority(root.issue()).issue(common_name="below"), NO_AUTHORITY, 1),
        "below too many": (
            root.intermediate(path_length=0).intermediate("Second").issue(),
            TOO_LONG,
            2,
        ),
        "outside its authority's names": (
            root.intermediate(permitted_dns=["farm.test"]).issue(dns("evil.test")),
            NOT_PERMITTED,
            0,
        ),
    }


def _self_signed() -> Issued:
    root = Authority.create("alone")
    return Issued(root.certificate, root.key)


@pytest.mark.parametrize(
    "name",
    [
        "expired",
        "not yet valid",
        "another authority",
        "an authority that looks like ours",
        "self-signed",
        "a server's",
        "RSA of 1024 bits",
        "issued by a leaf",
        "below too many",
        "outside its authority's names",
    ],
)
def test_an_odd_certificate_finishes_the_handshake_with_its_fault_written_down(place: Place, name: str) -> None:
    issued, code, depth = odd(place)[name]

    shown = met(place.server(), place.context(issued)).presented

    assert shown is not None
    assert shown.chain[0] == issued.der
    assert (code, depth) in [(fault.code, fault.depth) for fault in shown.faults]
    assert all(fault.text for fault in shown.faults)


def test_no_extended_key_usage_is_no_fault_of_the_handshake(place: Place) -> None:
    shown = met(place.server(), place.context(place.authority.issue(purposes=None))).presented

    assert shown is not None
    assert shown.faults == ()


# --- strict ---------------------------------------------------------------------------------


def test_strict_lets_a_good_certificate_in(place: Place) -> None:
    alice = place.authority.issue(purposes=[CLIENT_AUTH])

    shown = met(place.server(strict=True), place.context(alice)).presented

    assert shown is not None
    assert shown.chain[0] == alice.der


def test_strict_refuses_a_caller_without_a_certificate(place: Place) -> None:
    failure, told = refused(place.server(strict=True), place.context())

    assert failure.result is HandshakeResult.NO_CERTIFICATE
    assert "certificate required" in told


def test_strict_refuses_a_bad_certificate_with_the_alert_for_it(place: Place) -> None:
    failure, told = refused(place.server(strict=True), place.context(place.authority.issue(ends=-timedelta(hours=1))))

    assert failure.result is HandshakeResult.BAD_CERTIFICATE
    assert "certificate expired" in told


@pytest.mark.parametrize("is_der", [False, True])
def test_strict_refuses_a_revoked_certificate_with_the_alert_for_it(place: Place, is_der: bool) -> None:
    leaver = place.authority.issue(purposes=[CLIENT_AUTH])
    crl = place.authority.crl(leaver.certificate.serial_number)
    if is_der:
        crl = x509.load_pem_x509_crl(crl).public_bytes(Encoding.DER)

    failure, told = refused(place.server(strict=True, crls=[crl]), place.context(leaver))

    assert failure.result is HandshakeResult.BAD_CERTIFICATE
    assert failure.detail == "certificate verify failed: certificate revoked"
    assert "certificate revoked" in told


@pytest.mark.parametrize("began", [-3 * DAY, timedelta(hours=1)])
def test_strict_leaves_it_to_the_call_what_a_list_out_of_its_time_means(place: Place, began: timedelta) -> None:
    alice = place.authority.issue(purposes=[CLIENT_AUTH])
    crl = place.authority.crl(began=began, ends=began + DAY)

    shown = met(place.server(strict=True, crls=[crl]), place.context(alice)).presented

    assert shown is not None
    assert shown.faults == ()


def test_strict_leaves_it_to_the_call_what_a_missing_list_means(place: Place) -> None:
    between = place.authority.intermediate("Payments CA")
    alice = between.issue(purposes=[CLIENT_AUTH])

    shown = met(place.server(strict=True, crls=[place.authority.crl()]), place.context(alice)).presented

    assert shown is not None
    assert shown.faults == ()


def test_a_revoked_certificate_is_refused_in_the_call_if_not_strict(place: Place) -> None:
    leaver = place.authority.issue(purposes=[CLIENT_AUTH])
    crl = place.authority.crl(leaver.certificate.serial_number)

    shown = met(place.server(crls=[crl]), place.context(leaver)).presented

    assert shown is not None
    assert shown.faults == ()


# --- versions, ciphers, protocols -----------------------------------------------------------


def test_tls_1_3_is_spoken_and_1_2_is_refused_unless_asked_for(place: Place) -> None:
    old = place.context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    failure, told = refused(place.server(), old)

    assert met(place.server(), place.context()).version == "TLSv1.3"
    assert failure.result is HandshakeResult.FAILED
    assert "protocol version" in told


def test_tls_1_2_is_spoken_when_asked_for(place: Place) -> None:
    old = place.context(place.authority.issue(uri(ALICE)))
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    connection = met(place.server(min_version="1.2"), old)

    assert connection.version == "TLSv1.2"
    assert connection.presented is not None
    assert connection.presented.faults == ()


@pytest.mark.parametrize("ciphers", ["ECDHE+AES+SHA256:!AESGCM", "kRSA", "DHE+AESGCM", "aNULL"])
def test_weak_ways_of_tls_1_2_are_refused(place: Place, ciphers: str) -> None:
    old = place.context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers(ciphers + ":@SECLEVEL=0")

    failure, _ = refused(place.server(min_version="1.2"), old)

    assert failure.result is HandshakeResult.FAILED


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_1_1_and_older_is_always_refused(place: Place, version: ssl.TLSVersion) -> None:
    old = place.context()
    old.minimum_version = version
    old.maximum_version = version

    failure, _ = refused(place.server(min_version="1.2"), old)

    assert failure.result is HandshakeResult.FAILED


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, b""),
        (["h2"], b"h2"),
        (["http/1.1", "h2"], b"http/1.1"),
        (["h2", "http/1.1"], b"http/1.1"),
        (["h3", "http/1.1"], b"http/1.1"),
    ],
)
def test_http_1_is_chosen_where_it_is_offered_else_http_2_and_no_offer_is_fine(
    place: Place, offered: list[str] | None, chosen: bytes
) -> None:
    connection, client = connect(place.server(), place.context(alpn=offered))
    shake(connection, client)

    assert connection.alpn == chosen
    assert client.tls.selected_alpn_protocol() == (chosen.decode() or None)


@pytest.mark.parametrize("offered", [["http/1.0"], ["h3", "h2c"], ["x" * 255]])
def test_an_offer_without_http_is_refused_with_the_alert_for_it(place: Place, offered: list[str]) -> None:
    failure, told = refused(place.server(), place.context(alpn=offered))

    assert failure.fault is ConnectionFault.ALPN
    assert offered[0] in failure.detail
    assert "no application protocol" in told


def test_one_refused_offer_does_not_trouble_the_next_caller(place: Place) -> None:
    server = place.server()
    refused(server, place.context(alpn=["http/1.0"]))

    connection = met(server, place.context(alpn=["h2"]))

    assert connection.alpn == b"h2"


def test_the_name_that_the_caller_wants_to_reach_is_known(place: Place) -> None:
    connection = met(place.server(), place.context())

    assert connection.server_name == "localhost"


# --- what is kept from a caller -------------------------------------------------------------


def test_no_session_is_resumed_so_that_each_connection_proves_itself(place: Place) -> None:
    server = place.server()
    context = place.context(place.authority.issue())
    connection, client = connect(server, context)
    shake(connection, client)
    connection.send([b"so that a ticket would have arrived"])
    until(lambda: client.receive() != b"", lambda: None)

    again, returned = connect(server, context, client.tls.session)
    shake(again, returned)

    assert not returned.tls.session_reused
    assert again.presented is not None


def test_no_ticket_is_given_in_tls_1_2(place: Place) -> None:
    context = place.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    connection, client = connect(place.server(min_version="1.2"), context)
    shake(connection, client)

    assert client.tls.session is not None
    assert not client.tls.session.has_ticket


# --- hostile and tired callers --------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x80\x2e\x01\x03\x01",
    ],
)
def test_what_is_not_tls_is_told_apart(place: Place, octets: bytes) -> None:
    ours, theirs = pair()
    connection = place.server().wrap(ours)
    theirs.send(octets)

    with pytest.raises(TlsFailed) as failure:
        connection.handshake()

    assert failure.value.result is HandshakeResult.NOT_TLS


@pytest.mark.parametrize(
    "octets",
    [b"\x16\x03\x01\xff\xff" + bytes(70000), b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", b"\x16\x03\x03\x00\x01\x00"],
)
def test_a_hello_that_makes_no_sense_ends_or_waits_and_holds_little(place: Place, octets: bytes) -> None:
    ours, theirs = pair()
    connection = place.server().wrap(ours)
    theirs.sendall(octets)

    try:
        result: Want | HandshakeResult = connection.handshake()
    except TlsFailed as failure:
        result = failure.result

    assert result in (Want.READ, HandshakeResult.FAILED)


def test_a_caller_who_leaves_in_the_handshake_is_told_apart_from_a_bad_one(place: Place) -> None:
    ours, theirs = pair()
    connection = place.server().wrap(ours)
    theirs.send(b"\x16\x03\x01\x02\x00\x01")
    theirs.close()

    with pytest.raises(TlsFailed) as failure:
        connection.handshake()

    assert failure.value.result is HandshakeResult.FAILED
    assert failure.value.detail == "closed in the handshake"


def test_a_caller_whose_connection_breaks_in_the_handshake_is_told(place: Place) -> None:
    connection, client = connect(place.server(), place.context())
    client.step()
    connection.handshake()
    client.tls.close()

    with pytest.raises(TlsFailed) as failure:
        connection.handshake()

    assert failure.value.result is HandshakeResult.FAILED
    assert "reset" in failure.value.detail


def test_a_caller_who_does_not_trust_us_says_so_in_the_detail(place: Place) -> None:
    connection, client = connect(place.server(), client_context(Authority.create("Theirs")))

    with pytest.raises(TlsFailed) as failure:
        shake(connection, client)

    assert client.failure is not None
    assert "unknown ca" in failure.value.detail


def test_a_hello_may_arrive_octet_by_octet(place: Place) -> None:
    """Tired networks: everything the caller says arrives one octet at a time."""
    ours, middle = pair()
    theirs, far = pair()
    connection = place.server().wrap(ours)
    client = Client(theirs, place.context(place.authority.issue()))
    state = {"want": Want.READ, "octets": b""}

    def turn() -> None:
        client.step()
        state["octets"] = state["octets"] or _taken(far, 4096)
        middle.send(state["octets"][:1])
        state["octets"] = state["octets"][1:]
        if state["want"] is not Want.DONE:
            state["want"] = connection.handshake()
        far.send(_taken(middle, 1 << 16))

    until(lambda: state["want"] is Want.DONE and client.is_done, turn)

    assert connection.presented is not None


def _taken(sock: socket.socket, most: int) -> bytes:
    try:
        return sock.recv(most)
    except BlockingIOError:
        return b""


def test_octets_before_the_handshake_are_a_fault_of_the_owner(place: Place) -> None:
    connection, _client = connect(place.server(), place.context())

    with pytest.raises(RuntimeError):
        connection.receive_into(memoryview(bytearray(10)))


# --- settings that cannot be used -----------------------------------------------------------


def test_files_that_cannot_be_used_are_named(place: Place, tmp_path: Path) -> None:
    other_key = place.authority.issue().write(tmp_path, "other")[1]
    rsa = place.authority.issue(key=rsa_key(2048)).write(tmp_path, "rsa")[1]
    broken = tmp_path / "broken.pem"
    broken.write_bytes(b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n")

    with pytest.raises(ValueError, match=r"nowhere\.pem"):
        ServerTls(tmp_path / "nowhere.pem", place.key)
    with pytest.raises(ValueError, match=r"broken\.pem"):
        ServerTls(broken, place.key)
    with pytest.raises(ValueError, match=r"other\.key"):
        ServerTls(place.certificate, other_key)
    with pytest.raises(ValueError, match=r"rsa\.key is not the key of"):
        ServerTls(place.certificate, rsa)
    with pytest.raises(ValueError, match=r"."):
        ServerTls(place.certificate, place.key, [b"no certificate at all"])


def test_a_new_generation_leaves_connections_of_the_old_one_alone(place: Place) -> None:
    connection, client = connect(place.server(), place.context(place.authority.issue()))
    shake(connection, client)
    met(place.server(cas=[]), place.context())

    connection.send([b"still here"])

    assert client.receive() == b"still here"


def test_a_server_that_lives_on_after_its_callers_left_says_so(place: Place) -> None:
    connection, client = connect(place.server(), place.context())
    shake(connection, client)
    client.tls.close()

    with pytest.raises(PeerClosed):
        connection.receive_into(memoryview(bytearray(100)))
