"""Every builder is read back by `hyperframe`, and a whole call by `h2`."""

from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, SettingsAcknowledged, StreamEnded, StreamReset, WindowUpdated
from hyperframe import frame as reference
from hypothesis import given
from hypothesis import strategies as st

from proxy.http2 import frames
from proxy.http2.frames import ErrorCode
from proxy.http2.hpack import Encoder

streams = st.integers(1, frames.STREAM_MASK)
uint32 = st.integers(0, 2**32 - 1)
GET_VERSION = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":path", b"/moby.buildkit.v1.Control/Info"),
    (b":authority", b"farm.example"),
    (b"te", b"trailers"),
]


def read(octets: bytes) -> list[Any]:
    """Return the frames in `octets` as `hyperframe` reads them; nothing may be left over."""
    found = []
    while octets:
        one, length = reference.Frame.parse_frame_header(memoryview(octets[:9]), strict=True)
        body = octets[9 : 9 + length]
        one.parse_body(memoryview(body))
        assert len(body) == length
        found.append(one)
        octets = octets[9 + length :]
    return found


@given(streams, st.binary(max_size=200), st.booleans(), st.integers(1, 60))
def test_data_is_split_at_the_largest_frame_and_ends_once(stream: int, payload: bytes, end: bool, most: int) -> None:
    found = read(frames.data(stream, payload, end_stream=end, max_frame_octets=most))

    assert b"".join(one.data for one in found) == payload
    assert all(one.stream_id == stream and len(one.data) <= most for one in found)
    assert ["END_STREAM" in one.flags for one in found] == [False] * (len(found) - 1) + [end]
    assert len(found) == max(1, -(-len(payload) // most))


@given(streams, st.binary(max_size=200), st.booleans(), st.integers(1, 60))
def test_a_header_block_is_split_into_continuations(stream: int, block: bytes, end: bool, most: int) -> None:
    found = read(frames.headers(stream, block, end_stream=end, max_frame_octets=most))

    assert b"".join(one.data for one in found) == block
    assert all(one.stream_id == stream and len(one.data) <= most for one in found)
    assert [type(one) for one in found] == [reference.HeadersFrame] + [reference.ContinuationFrame] * (len(found) - 1)
    assert ["END_HEADERS" in one.flags for one in found] == [False] * (len(found) - 1) + [True]
    assert ["END_STREAM" in one.flags for one in found] == [end] + [False] * (len(found) - 1)


@given(streams, uint32)
def test_a_reset_names_its_stream_and_code(stream: int, code: int) -> None:
    (found,) = read(frames.rst_stream(stream, code))

    assert isinstance(found, reference.RstStreamFrame)
    assert (found.stream_id, found.error_code) == (stream, code)


@given(st.dictionaries(st.integers(0, 0xFFFF), uint32))
def test_settings_keep_their_entries(entries: dict[int, int]) -> None:
    (found,) = read(frames.settings(entries.items()))

    assert isinstance(found, reference.SettingsFrame)
    assert found.settings == entries
    assert "ACK" not in found.flags


def test_the_settings_ack_is_empty() -> None:
    (found,) = read(frames.SETTINGS_ACK)

    assert isinstance(found, reference.SettingsFrame)
    assert "ACK" in found.flags
    assert found.settings == {}


@given(st.binary(min_size=8, max_size=8), st.booleans())
def test_a_ping_carries_its_octets(opaque: bytes, ack: bool) -> None:
    (found,) = read(frames.ping(opaque, ack=ack))

    assert isinstance(found, reference.PingFrame)
    assert found.opaque_data == opaque
    assert ("ACK" in found.flags) is ack


@given(st.integers(0, frames.STREAM_MASK), uint32, st.binary(max_size=30))
def test_a_goaway_carries_last_stream_code_and_text(last: int, code: int, debug: bytes) -> None:
    (found,) = read(frames.goaway(last, code, debug))

    assert isinstance(found, reference.GoAwayFrame)
    assert (found.last_stream_id, found.error_code, found.additional_data) == (last, code, debug)


@given(st.integers(0, frames.STREAM_MASK), st.integers(1, frames.MAX_WINDOW_OCTETS))
def test_a_window_update_carries_its_octets(stream: int, octets: int) -> None:
    (found,) = read(frames.window_update(stream, octets))

    assert isinstance(found, reference.WindowUpdateFrame)
    assert (found.stream_id, found.window_increment) == (stream, octets)


def test_the_largest_frame_length_fits_in_the_head() -> None:
    head = frames.frame(frames.DATA, 0, 1, bytes(frames.LARGEST_MAX_FRAME_OCTETS))[: frames.HEAD_OCTETS]

    assert reference.Frame.parse_frame_header(memoryview(head))[1] == frames.LARGEST_MAX_FRAME_OCTETS


def test_h2_accepts_a_call_made_of_our_frames() -> None:
    server = H2Connection(H2Configuration(client_side=False, header_encoding=None))
    server.initiate_connection()

    events = server.receive_data(
        frames.PREFACE
        + frames.settings([(frames.MAX_FRAME_SIZE, 16_384), (frames.ENABLE_PUSH, 0)])
        + frames.SETTINGS_ACK
        + frames.headers(1, Encoder().encode(GET_VERSION), max_frame_octets=16)
        + frames.window_update(0, 1000)
        + frames.ping(b"12345678")
        + frames.data(1, b"five!", end_stream=True)
        + frames.headers(3, Encoder(0).encode(GET_VERSION))
        + frames.rst_stream(3, ErrorCode.CANCEL)
    )

    told = [type(event) for event in events]
    assert [kind for kind in told if kind in (RequestReceived, DataReceived, StreamEnded, StreamReset)] == [
        RequestReceived,
        DataReceived,
        StreamEnded,
        RequestReceived,
        StreamReset,
    ]
    assert {SettingsAcknowledged, WindowUpdated} <= set(told)
    assert [event.headers for event in events if isinstance(event, RequestReceived)] == [GET_VERSION] * 2
