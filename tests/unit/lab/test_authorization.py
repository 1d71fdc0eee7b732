"""Tokens added to an HTTP/2 client's calls, without knowing its header compression."""

from collections.abc import Callable, Sequence

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from proxy.lab.authorization import AuthorizationAdder, authorization_field, length

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, CONTINUATION = 0, 1, 4, 9
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
Frame = tuple[int, int, int, bytes]
FIELDS = ((":method", "POST"), (":path", "/moby.buildkit.v1.Control/Solve"), ("te", "trailers"))


def written(*frames: Frame) -> bytes:
    return b"".join(
        len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload
        for kind, flags, stream, payload in frames
    )


def read(octets: bytes) -> list[Frame]:
    assert octets[:24] == PREFACE
    frames, rest = [], octets[24:]
    while rest:
        end = 9 + int.from_bytes(rest[:3])
        frames.append((rest[3], rest[4], int.from_bytes(rest[5:9]), rest[9:end]))
        rest = rest[end:]
    return frames


def blocks(frames: Sequence[Frame]) -> list[bytes]:
    """Return the header blocks; a frame of another kind inside one fails."""
    found, is_open = [], False
    for kind, flags, _, payload in frames:
        assert (kind == CONTINUATION) is is_open
        if kind not in (HEADERS, CONTINUATION):
            continue
        body = payload[1 : len(payload) - payload[0]] if flags & PADDED and kind == HEADERS else payload
        found = [*found[:-1], found[-1] + body] if is_open else [*found, body]
        is_open = not flags & END_HEADERS
    return found


def whole(adder: AuthorizationAdder, octets: bytes) -> bytes:
    return adder.feed(octets)


def octet_by_octet(adder: AuthorizationAdder, octets: bytes) -> bytes:
    return b"".join(adder.feed(octets[at : at + 1]) for at in range(len(octets)))


@pytest.mark.parametrize("feed", [whole, octet_by_octet])
def test_each_call_gets_the_token_and_keeps_its_own_fields(
    feed: Callable[[AuthorizationAdder, bytes], bytes],
) -> None:
    encoder, decoder = Encoder(), Decoder()
    calls = [(HEADERS, END_HEADERS, stream, encoder.encode(FIELDS)) for stream in (1, 3, 5)]

    out = read(feed(AuthorizationAdder(lambda: "a.b.c"), PREFACE + written((SETTINGS, 0, 0, b""), *calls)))

    expected = [*FIELDS, ("authorization", "Bearer a.b.c")]
    assert [list(decoder.decode(block)) for block in blocks(out)] == [expected] * 3


def test_what_is_not_a_header_block_passes_unchanged() -> None:
    sent = PREFACE + written(
        (SETTINGS, 0, 0, b"\0\3\0\0\0\x64"), (DATA, END_STREAM, 1, b"payload"), (8, 0, 0, b"\0\0\1\0")
    )

    assert AuthorizationAdder(lambda: "token").feed(sent) == sent


def test_trailers_of_a_call_carry_no_token() -> None:
    call = (HEADERS, END_HEADERS, 1, b"\x83")
    trailers = (HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x01x\x01y")

    out = read(AuthorizationAdder(lambda: "token").feed(PREFACE + written(call, trailers)))

    assert out[1] == trailers


def test_a_renewed_token_is_used_by_the_next_call() -> None:
    tokens = iter(("old", "new"))
    adder = AuthorizationAdder(lambda: next(tokens))

    out = read(adder.feed(PREFACE + written((HEADERS, END_HEADERS, 1, b""), (HEADERS, END_HEADERS, 3, b""))))

    assert [Decoder().decode(block) for block in blocks(out)] == [
        [("authorization", "Bearer old")],
        [("authorization", "Bearer new")],
    ]


@pytest.mark.parametrize(
    "block",
    [
        [(HEADERS, END_HEADERS | PADDED, 1, b"\x03\x83\0\0\0")],
        [(HEADERS, 0, 1, b"\x83"), (CONTINUATION, END_HEADERS, 1, b"\x84")],
        [(HEADERS, END_HEADERS, 1, b"\x83" * 16_384)],
    ],
    ids=["padded", "in-two-frames", "full-frame"],
)
def test_the_token_ends_a_block_whatever_its_frames(block: list[Frame]) -> None:
    out = read(AuthorizationAdder(lambda: "token").feed(PREFACE + written(*block)))

    assert blocks(out) == [blocks(block)[0] + authorization_field("token")]
    assert all(len(payload) <= 16_384 for *_, payload in out)


@given(st.integers(0, 1 << 20))
def test_a_length_reads_back_as_it_was_written(octets: int) -> None:
    coded = length(octets)

    value = coded[0] + sum((octet & 127) << (7 * place) for place, octet in enumerate(coded[1:]))
    assert value == octets
    assert all(octet & 128 for octet in coded[1:-1])
