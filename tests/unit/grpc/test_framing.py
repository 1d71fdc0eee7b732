"""Messages cut from a stream of octets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Refused
from proxy.grpc.framing import MessageReader, frame
from proxy.reasons import Reason


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 30)))
def test_messages_do_not_depend_on_how_the_octets_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    octets = b"".join(frame(message) for message in messages)
    reader = MessageReader(0)

    for cut in cuts:
        reader.feed(octets[:cut])
        octets = octets[cut:]
    reader.feed(memoryview(octets))
    reader.finish()

    assert reader.messages == messages


def test_messages_arrive_octet_by_octet() -> None:
    reader = MessageReader(3)

    for octet in frame(b"abc") + frame(b"") + frame(b"d"):
        reader.feed(bytes([octet]))

    assert reader.messages == [b"abc", b"", b"d"]
    assert reader.held_octets == 0


def test_what_the_unfinished_message_needs_is_known_from_its_prefix() -> None:
    reader = MessageReader(0)
    assert reader.needed_octets == 5

    reader.feed(frame(b"a") + frame(b"abc")[:6])

    assert (reader.held_octets, reader.needed_octets) == (6, 8)


def test_the_end_in_the_middle_of_a_message_is_malformed() -> None:
    for end in range(1, len(frame(b"ab"))):
        reader = MessageReader(0)
        reader.feed(frame(b"ab")[:end])

        with pytest.raises(Refused) as refused:
            reader.finish()
        assert refused.value.reason is Reason.REQUEST_MALFORMED
        assert reader.held_octets == end


def test_a_long_message_is_refused_by_its_length_alone() -> None:
    reader = MessageReader(4, method="Control/Solve")

    with pytest.raises(Refused) as refused:
        reader.feed(b"\0\0\0\0\x05")

    assert refused.value.reason is Reason.MESSAGE_TOO_LARGE
    assert "has 5 octets; at most 4" in refused.value.public_text("1-1")


def test_a_long_message_is_refused_behind_a_short_one() -> None:
    reader = MessageReader(4)

    with pytest.raises(Refused) as refused:
        reader.feed(frame(b"abcd") + b"\0\0\0\0\x05")

    assert refused.value.reason is Reason.MESSAGE_TOO_LARGE
    assert reader.messages == [b"abcd"]


def test_a_compressed_message_is_refused_with_the_method() -> None:
    reader = MessageReader(4, method="Control/Solve")

    with pytest.raises(Refused) as refused:
        reader.feed(b"\1\0\0\0\0")

    assert refused.value.reason is Reason.MESSAGE_COMPRESSED
    assert "on Control/Solve" in refused.value.public_text("1-1")


@pytest.mark.parametrize("flag", [2, 3, 0x80, 0xFF])
def test_an_unknown_flag_is_malformed(flag: int) -> None:
    with pytest.raises(Refused) as refused:
        MessageReader(0).feed(bytes([flag, 0, 0, 0, 0]))

    assert refused.value.reason is Reason.REQUEST_MALFORMED


def test_a_message_of_many_pieces_is_cut_once_it_is_whole() -> None:
    reader = MessageReader(1 << 20)
    whole = frame(b"x" * 300_000)

    for start in range(0, len(whole), 1000):
        reader.feed(whole[start : start + 1000])

    assert reader.messages == [b"x" * 300_000]
