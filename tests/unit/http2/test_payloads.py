"""Frames that cannot be right are refused by their head, the rest by their payload (RFC 9113 4 to 6)."""

import pytest
from hyperframe import frame as reference
from hypothesis import given
from hypothesis import strategies as st

from proxy.http2 import frames
from proxy.http2.frames import ErrorCode, ProtocolFault, StreamFault
from proxy.http2.payloads import (
    Goaway,
    Head,
    check_head,
    header_fragment,
    read_error_code,
    read_goaway,
    read_head,
    read_increment,
    read_settings,
    unpadded,
)

SIZE, PROTOCOL, FLOW = ErrorCode.FRAME_SIZE_ERROR, ErrorCode.PROTOCOL_ERROR, ErrorCode.FLOW_CONTROL_ERROR
UNKNOWN = 0xBE

IMPOSSIBLE_HEADS = [
    pytest.param(Head(16_385, frames.DATA, 0, 1), SIZE, id="4.2-data-above-max-frame-size"),
    pytest.param(Head(0xFFFFFF, UNKNOWN, 0, 0), SIZE, id="4.2-unknown-type-announces-16-MiB"),
    pytest.param(Head(5, frames.DATA, 0, 0), PROTOCOL, id="6.1-data-on-stream-0"),
    pytest.param(Head(5, frames.HEADERS, 0, 0), PROTOCOL, id="6.2-headers-on-stream-0"),
    pytest.param(Head(5, frames.PRIORITY, 0, 0), PROTOCOL, id="6.3-priority-on-stream-0"),
    pytest.param(Head(4, frames.RST_STREAM, 0, 0), PROTOCOL, id="6.4-reset-on-stream-0"),
    pytest.param(Head(3, frames.RST_STREAM, 0, 1), SIZE, id="6.4-reset-of-3-octets"),
    pytest.param(Head(5, frames.RST_STREAM, 0, 1), SIZE, id="6.4-reset-of-5-octets"),
    pytest.param(Head(6, frames.SETTINGS, 0, 1), PROTOCOL, id="6.5-settings-on-a-stream"),
    pytest.param(Head(7, frames.SETTINGS, 0, 0), SIZE, id="6.5-settings-of-7-octets"),
    pytest.param(Head(6, frames.SETTINGS, frames.ACK, 0), SIZE, id="6.5-settings-ack-with-payload"),
    pytest.param(Head(4, frames.PUSH_PROMISE, 0, 0), PROTOCOL, id="6.6-push-promise-on-stream-0"),
    pytest.param(Head(8, frames.PING, 0, 1), PROTOCOL, id="6.7-ping-on-a-stream"),
    pytest.param(Head(7, frames.PING, 0, 0), SIZE, id="6.7-ping-of-7-octets"),
    pytest.param(Head(9, frames.PING, frames.ACK, 0), SIZE, id="6.7-ping-ack-of-9-octets"),
    pytest.param(Head(8, frames.GOAWAY, 0, 1), PROTOCOL, id="6.8-goaway-on-a-stream"),
    pytest.param(Head(7, frames.GOAWAY, 0, 0), SIZE, id="6.8-goaway-of-7-octets"),
    pytest.param(Head(3, frames.WINDOW_UPDATE, 0, 0), SIZE, id="6.9-window-update-of-3-octets"),
    pytest.param(Head(5, frames.WINDOW_UPDATE, 0, 1), SIZE, id="6.9-window-update-of-5-octets"),
    pytest.param(Head(5, frames.CONTINUATION, 0, 0), PROTOCOL, id="6.10-continuation-on-stream-0"),
]

POSSIBLE_HEADS = [
    Head(16_384, frames.DATA, 0, 1),
    Head(0, frames.DATA, frames.END_STREAM, frames.STREAM_MASK),
    Head(0, frames.HEADERS, 0, 1),
    Head(5, frames.PRIORITY, 0, 1),
    Head(4, frames.RST_STREAM, 0, 1),
    Head(0, frames.SETTINGS, 0, 0),
    Head(12, frames.SETTINGS, 0, 0),
    Head(0, frames.SETTINGS, frames.ACK, 0),
    Head(8, frames.PING, 0, 0),
    Head(8, frames.GOAWAY, 0, 0),
    Head(90, frames.GOAWAY, 0, 0),
    Head(4, frames.WINDOW_UPDATE, 0, 0),
    Head(4, frames.WINDOW_UPDATE, 0, 1),
    Head(0, frames.CONTINUATION, 0, 1),
    Head(0, UNKNOWN, 0xFF, 0),
    Head(16_384, UNKNOWN, 0, 1),
]

BAD_SETTINGS = [
    pytest.param([(frames.ENABLE_PUSH, 2)], False, PROTOCOL, id="6.5.2-push-2"),
    pytest.param([(frames.ENABLE_PUSH, 1)], True, PROTOCOL, id="6.5.2-push-offered-by-a-server"),
    pytest.param([(frames.INITIAL_WINDOW_SIZE, 2**31)], False, FLOW, id="6.5.2-window-2^31"),
    pytest.param([(frames.MAX_FRAME_SIZE, 16_383)], False, PROTOCOL, id="6.5.2-frame-below-16384"),
    pytest.param([(frames.MAX_FRAME_SIZE, 2**24)], False, PROTOCOL, id="6.5.2-frame-2^24"),
    pytest.param([(frames.ENABLE_CONNECT_PROTOCOL, 2)], True, PROTOCOL, id="RFC8441-3-connect-2"),
    pytest.param([(1, 0), (frames.MAX_FRAME_SIZE, 0)], False, PROTOCOL, id="6.5.2-second-entry-bad"),
]


@pytest.mark.parametrize(("head", "code"), IMPOSSIBLE_HEADS)
def test_an_impossible_head_ends_the_connection(head: Head, code: ErrorCode) -> None:
    with pytest.raises(ProtocolFault) as caught:
        check_head(head)

    assert caught.value.code == code
    assert caught.value.why


@pytest.mark.parametrize("head", POSSIBLE_HEADS, ids=str)
def test_a_possible_head_passes(head: Head) -> None:
    check_head(head)


@pytest.mark.parametrize("length", [0, 4, 6])
def test_a_priority_of_a_wrong_length_ends_its_stream_only(length: int) -> None:
    with pytest.raises(StreamFault) as caught:
        check_head(Head(length, frames.PRIORITY, 0, 7))

    assert (caught.value.stream, caught.value.code) == (7, SIZE)
    assert caught.value.why


def test_a_larger_frame_passes_where_it_was_allowed() -> None:
    check_head(Head(20_000, frames.DATA, 0, 1), max_frame_octets=20_000)

    with pytest.raises(ProtocolFault):
        check_head(Head(20_001, frames.DATA, 0, 1), max_frame_octets=20_000)


@given(
    st.integers(0, 0xFFFFFF),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, frames.STREAM_MASK),
    st.booleans(),
    st.integers(0, 3),
)
def test_a_head_is_read_back_wherever_it_stands(
    length: int, kind: int, flags: int, stream: int, reserved: bool, at: int
) -> None:
    octets = length.to_bytes(3, "big") + bytes((kind, flags)) + (stream | reserved << 31).to_bytes(4, "big")

    assert read_head(bytes(at) + octets, at) == Head(length, kind, flags, stream)


@given(st.lists(st.tuples(st.sampled_from([1, 3, 6, 9, 0xFFFF]), st.integers(0, 2**32 - 1))))
def test_settings_come_back_in_order_with_unknown_and_repeated_ids(entries: list[tuple[int, int]]) -> None:
    payload = frames.settings(entries)[frames.HEAD_OCTETS :]

    assert read_settings(payload) == entries


@pytest.mark.parametrize(
    ("setting", "value", "from_server"),
    [
        (frames.ENABLE_PUSH, 1, False),
        (frames.ENABLE_PUSH, 0, True),
        (frames.INITIAL_WINDOW_SIZE, 2**31 - 1, False),
        (frames.MAX_FRAME_SIZE, 16_384, False),
        (frames.MAX_FRAME_SIZE, 2**24 - 1, True),
        (frames.ENABLE_CONNECT_PROTOCOL, 1, True),
    ],
)
def test_settings_at_the_edge_of_their_range_pass(setting: int, value: int, from_server: bool) -> None:
    payload = frames.settings([(setting, value)])[frames.HEAD_OCTETS :]

    assert read_settings(payload, from_server=from_server) == [(setting, value)]


@pytest.mark.parametrize(("entries", "from_server", "code"), BAD_SETTINGS)
def test_a_setting_out_of_range_ends_the_connection(
    entries: list[tuple[int, int]], from_server: bool, code: ErrorCode
) -> None:
    with pytest.raises(ProtocolFault) as caught:
        read_settings(frames.settings(entries)[frames.HEAD_OCTETS :], from_server=from_server)

    assert caught.value.code == code


def test_settings_of_an_odd_length_end_the_connection() -> None:
    with pytest.raises(ProtocolFault) as caught:
        read_settings(b"\0\1\0\0\0\0\0")

    assert caught.value.code == SIZE


@given(st.binary(min_size=1, max_size=40), st.integers(0, 255), st.booleans())
def test_padding_and_priority_come_off_as_hyperframe_takes_them_off(block: bytes, pad: int, priority: bool) -> None:
    built = reference.HeadersFrame(1, block, flags=["PADDED"], pad_length=pad, depends_on=3, stream_weight=9)
    if priority:
        built.flags.add("PRIORITY")
    octets = built.serialize()
    head = read_head(octets)

    assert header_fragment(head.flags, octets[9:]) == block
    assert bytes(header_fragment(head.flags, memoryview(octets)[9:])) == block


@given(st.binary(max_size=20))
def test_an_unpadded_payload_is_the_very_same_view(payload: bytes) -> None:
    view = memoryview(payload)

    assert unpadded(0, view) is view
    assert header_fragment(0, view) is view


@pytest.mark.parametrize(
    ("flags", "payload", "code"),
    [
        pytest.param(frames.PADDED, b"", SIZE, id="6.1-no-padding-length"),
        pytest.param(frames.PADDED, b"\1", PROTOCOL, id="6.1-padding-as-long-as-the-payload"),
        pytest.param(frames.PADDED, b"\3ab", PROTOCOL, id="6.1-padding-longer-than-the-rest"),
        pytest.param(frames.PADDED, b"\xff" * 255, PROTOCOL, id="6.1-padding-255-of-255"),
        pytest.param(frames.WITH_PRIORITY, b"\0\0\0\0", SIZE, id="6.2-priority-cut-short"),
        pytest.param(frames.PADDED | frames.WITH_PRIORITY, b"\1\0\0\0\0\0", PROTOCOL, id="6.2-padding-eats-priority"),
        pytest.param(frames.PADDED | frames.WITH_PRIORITY, b"\0\0\0\0\0", SIZE, id="6.2-no-room-for-both"),
    ],
)
def test_padding_and_priority_that_do_not_fit_end_the_connection(flags: int, payload: bytes, code: ErrorCode) -> None:
    with pytest.raises(ProtocolFault) as caught:
        header_fragment(flags, payload)

    assert caught.value.code == code


def test_a_payload_of_padding_only_is_empty() -> None:
    assert unpadded(frames.PADDED, b"\2\0\0") == b""


@given(st.integers(0, frames.STREAM_MASK), st.integers(0, 2**32 - 1), st.binary(max_size=9))
def test_a_goaway_is_read_back(last: int, code: int, debug: bytes) -> None:
    payload = frames.goaway(last, code, debug)[frames.HEAD_OCTETS :]

    assert read_goaway(memoryview(payload)) == Goaway(last, code, debug)


def test_the_reserved_bit_of_a_goaway_is_ignored() -> None:
    assert read_goaway(b"\x80\0\0\5\0\0\0\0").last_stream == 5


@given(st.integers(0, 2**32 - 1))
def test_a_reset_code_is_read_back(code: int) -> None:
    assert read_error_code(frames.rst_stream(1, code)[frames.HEAD_OCTETS :]) == code


@given(st.integers(0, 9), st.integers(1, frames.MAX_WINDOW_OCTETS), st.booleans())
def test_an_increment_is_read_back_without_its_reserved_bit(stream: int, octets: int, reserved: bool) -> None:
    assert read_increment(stream, (octets | reserved << 31).to_bytes(4, "big")) == octets


def test_an_increment_of_0_ends_its_stream_or_the_connection() -> None:
    with pytest.raises(StreamFault) as of_stream:
        read_increment(5, bytes(4))
    with pytest.raises(ProtocolFault) as of_connection:
        read_increment(0, b"\x80\0\0\0")

    assert (of_stream.value.stream, of_stream.value.code) == (5, PROTOCOL)
    assert of_connection.value.code == PROTOCOL
