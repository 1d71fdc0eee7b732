"""A socket to the daemon that takes what it can."""

import socket
from collections.abc import Iterator

import pytest

from proxy.edge.tls_records import PeerClosed
from proxy.edge.upstream_link import UpstreamLink

Pair = tuple[UpstreamLink, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Give a link and the daemon's end of it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    link = UpstreamLink(ours)
    with theirs:
        yield link, theirs
    link.close()


def heard(theirs: socket.socket) -> bytes:
    """Return all that waits."""
    octets = b""
    try:
        while piece := theirs.recv(1 << 20):
            octets += piece
    except BlockingIOError:
        pass
    return octets


def test_segments_arrive_in_order(pair: Pair) -> None:
    link, theirs = pair
    link.send([b"one", memoryview(b"two"), b"", b"three"])

    assert heard(theirs) == b"onetwothree"
    assert link.unsent_octets == 0
    assert link.flush()


def test_more_segments_than_the_kernel_takes_at_once_arrive_too(pair: Pair) -> None:
    link, theirs = pair
    link.send([b"x"] * 3000)

    assert heard(theirs) == b"x" * 3000


def test_what_the_socket_does_not_take_is_kept_as_a_copy_and_sent_later(pair: Pair) -> None:
    link, theirs = pair
    scratch = bytearray(bytes(range(256)) * 4096)
    whole = bytes(scratch)
    for _ in range(4):
        link.send([memoryview(scratch)[:1000], memoryview(scratch)[1000:]])
    scratch[:] = bytes(len(scratch))
    kept = link.unsent_octets
    is_out = link.flush()
    octets = b""
    for _ in range(1000):
        octets += heard(theirs)
        if link.flush():
            break
    octets += heard(theirs)

    assert kept > 0
    assert not is_out
    assert octets == whole * 4
    assert link.unsent_octets == 0


def test_a_socket_that_takes_nothing_loses_nothing(pair: Pair) -> None:
    link, theirs = pair
    with socket.fromfd(link.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as full:
        filled = 0
        try:
            while True:
                filled += full.send(bytes(1 << 16))
        except BlockingIOError:
            link.send([b"be", b"hind"])
    kept = link.unsent_octets
    octets = heard(theirs)
    is_out = link.flush()

    assert (kept, is_out) == (6, True)
    assert octets + heard(theirs) == bytes(filled) + b"behind"


def test_what_arrives_is_read_as_far_as_there_is_room(pair: Pair) -> None:
    link, theirs = pair
    view = memoryview(bytearray(4))
    before = link.receive_into(view)
    theirs.send(b"abcdef")

    assert before == 0
    assert (link.receive_into(view), bytes(view)) == (4, b"abcd")
    assert (link.receive_into(view), bytes(view[:2])) == (2, b"ef")


def test_a_daemon_that_closes_ends_the_link_in_peace(pair: Pair) -> None:
    link, theirs = pair
    theirs.close()

    with pytest.raises(PeerClosed) as caught:
        link.receive_into(memoryview(bytearray(4)))

    assert caught.value.is_clean


def test_a_link_that_broke_says_so_when_octets_are_sent(pair: Pair) -> None:
    link, theirs = pair
    theirs.close()

    with pytest.raises(PeerClosed) as caught:
        link.send([b"x"])

    assert not caught.value.is_clean


def test_a_link_that_broke_says_so_when_kept_octets_are_flushed(pair: Pair) -> None:
    link, theirs = pair
    link.send([bytes(4 << 20)])
    theirs.close()

    with pytest.raises(PeerClosed):
        link.flush()


def test_whoever_lent_the_link_is_told_when_it_closes() -> None:
    told: list[str] = []
    ours, theirs = socket.socketpair()
    with theirs:
        UpstreamLink(ours, closed=lambda: told.append("closed")).close()

    assert told == ["closed"]


def test_a_closed_link_has_no_descriptor_and_reads_no_more(pair: Pair) -> None:
    link, _ = pair
    was_open = link.fileno() >= 0
    link.close()

    assert was_open
    assert link.fileno() == -1
    with pytest.raises(PeerClosed):
        link.receive_into(memoryview(bytearray(4)))
