"""Our reading of the wire against the protobuf runtime's, and against what is odd."""

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.draft import encode_number
from proxy.buildkit.wire import BYTES, FIXED32, FIXED64, MOST_FIELDS, VARINT, Message, Shape, Shapes, WireError, fields
from tests.helpers.buildkit_proto import message_class

SHAPES: Shapes = {
    1: Shape.NUMBER,
    2: Shape.FLAG,
    3: Shape.TEXT,
    4: Shape.TEXTS,
    5: Shape.MESSAGE,
    6: Shape.MESSAGES,
    7: Shape.MESSAGES,
    8: Shape.CHOICE,
    9: Shape.UNREAD,
    10: Shape.UNREAD,
}

blobs = st.builds(message_class("Blobs"), blobs=st.lists(st.binary(max_size=9), max_size=3))
int32s = st.integers(-(1 << 31), (1 << 31) - 1)
everything = st.builds(
    message_class("Everything"),
    number=st.integers(0, (1 << 64) - 1),
    flag=st.booleans(),
    text=st.text(max_size=20),
    texts=st.lists(st.text(max_size=5), max_size=4),
    message=blobs,
    messages=st.lists(blobs, max_size=3),
    pairs=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=4),
    choice=st.integers(0, 2),
    numbers=st.lists(int32s, max_size=3),
    unpacked=st.lists(int32s, max_size=3),
    entries=st.dictionaries(st.text(max_size=5), blobs, max_size=3),
    wide=st.integers(0, (1 << 64) - 1),
    narrow=st.integers(0, (1 << 32) - 1),
    signed=st.integers(-(1 << 63), (1 << 63) - 1),
    blob=st.binary(max_size=200),
)


@given(everything)
def test_what_the_runtime_writes_is_read_alike(written: Any) -> None:
    message = Message(written.SerializeToString(), SHAPES)

    assert message.number(1) == written.number
    assert message.flag(2) == written.flag
    assert message.number(8) == written.choice
    assert message.text(3) == written.text
    assert message.texts(4) == list(written.texts)
    assert message.has(5)
    assert [bytes(one) for one in message.messages(5)] == [written.message.SerializeToString()]
    assert [bytes(one) for one in message.messages(6)] == [one.SerializeToString() for one in written.messages]
    assert message.pairs(7) == dict(written.pairs)


@given(everything)
def test_every_field_is_seen_unknown_ones_too(written: Any) -> None:
    seen = list(fields(written.SerializeToString()))

    assert {number for number, _, _ in seen} == {field.number for field, _ in written.ListFields()}
    assert [value for number, _, value in seen if number == 1] == [written.number][: bool(written.number)]
    assert [value for number, wire, value in seen if (number, wire) == (100, FIXED64)] == (
        [written.wide.to_bytes(8, "little")] if written.wide else []
    )
    assert [value for number, wire, value in seen if (number, wire) == (101, FIXED32)] == (
        [written.narrow.to_bytes(4, "little")] if written.narrow else []
    )
    assert [value for number, _, value in seen if number == 200000] == (
        [written.signed % (1 << 64)] if written.signed else []
    )
    assert [value for number, wire, value in seen if (number, wire) == (536870911, BYTES)] == (
        [written.blob] if written.blob else []
    )


@given(everything, st.data())
def test_a_message_cut_short_is_never_read_as_a_longer_one(written: Any, data: st.DataObject) -> None:
    whole = written.SerializeToString()
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    try:
        Message(cut, SHAPES)
    except WireError:
        return

    assert message_class("Everything").FromString(cut).SerializeToString() is not None


@st.composite
def nearly_messages(draw: st.DrawFn) -> bytes:
    """A message with some octets changed."""
    octets = bytearray(draw(everything).SerializeToString())
    for _ in range(draw(st.integers(0, 3)) if octets else 0):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    return bytes(octets)


@given(st.binary(max_size=40) | nearly_messages())
def test_what_we_accept_the_runtime_accepts(octets: bytes) -> None:
    try:
        message = Message(octets, SHAPES)
        pairs = message.pairs(7)
        for one in (*message.messages(5), *message.messages(6)):
            Message(one, {1: Shape.MESSAGES})
    except WireError:
        return
    # Of these we look at the head alone; what is inside may be anything.
    if message.has(9) or message.has(10) or 11 in message.unknown:
        return

    read = message_class("Everything").FromString(octets)
    assert (message.number(1), message.number(8), message.flag(2), message.text(3), message.texts(4), pairs) == (
        read.number,
        read.choice,
        read.flag,
        read.text,
        list(read.texts),
        dict(read.pairs),
    )


ODD = {
    "field number 0": b"\x00\x01",
    "field number too large": b"\x80\x80\x80\x80\x10\x00",
    "start of a group": b"\x0b\x0c",
    "end of a group": b"\x0c",
    "wire type 6": b"\x0e",
    "wire type 7": b"\x0f",
    "tag cut short": b"\x80",
    "number cut short": b"\x08\xff",
    "no number": b"\x08",
    "overlong tag": b"\x88\x00\x01",
    "overlong number": b"\x08\x80\x00",
    "overlong length": b"\x1a\x81\x00a",
    "number beyond 64 bits": b"\x08" + b"\xff" * 9 + b"\x02",
    "number of eleven octets": b"\x08" + b"\xff" * 10 + b"\x01",
    "number of 16 MiB": b"\x08" + b"\xff" * (16 << 20) + b"\x01",
    "tag of 16 MiB": b"\xff" * (16 << 20),
    "text cut short": b"\x1a\x02a",
    "length missing": b"\x1a",
    "length of 4 GiB": b"\x1a\xff\xff\xff\xff\x0f",
    "wide number cut short": b"\xa1\x06" + b"\0" * 7,
    "text twice": b"\x1a\x01a\x1a\x01b",
    "empty text twice": b"\x1a\x00\x1a\x00",
    "number twice": b"\x08\x01\x08\x01",
    "message twice": b"\x2a\x00\x2a\x00",
    "text as number": b"\x18\x01",
    "number as text": b"\x0a\x01a",
    "flag of 2": b"\x10\x02",
    "choice beyond 31 bits": b"\x40\x80\x80\x80\x80\x08",
    "choice of 2**32 + 1": b"\x40\x81\x80\x80\x80\x10",
    "negative choice": b"\x40" + b"\xff" * 9 + b"\x01",
    "choice as text": b"\x42\x00",
    "text not UTF-8": b"\x1a\x01\xff",
    "texts not UTF-8": b"\x22\x01\xff",
    "text with a surrogate": b"\x1a\x03\xed\xa0\x80",
}


@pytest.mark.parametrize("octets", ODD.values(), ids=ODD)
def test_what_is_odd_is_an_error(octets: bytes) -> None:
    with pytest.raises(WireError):
        Message(octets, SHAPES)


@pytest.mark.parametrize(
    "pairs",
    [
        b"\x3a\x06\x0a\x01a\x12\x01b" * 2,
        b"\x3a\x00\x3a\x00",
        b"\x3a\x06\x0a\x01a\x0a\x01b",
        b"\x3a\x03\x0a\x01\xff",
        b"\x3a\x02\x08\x01",
    ],
)
def test_an_odd_pair_is_an_error(pairs: bytes) -> None:
    with pytest.raises(WireError):
        Message(pairs, SHAPES).pairs(7)


def test_the_largest_number_is_read() -> None:
    octets = b"\x08" + b"\xff" * 9 + b"\x01"

    assert list(fields(octets)) == [(1, VARINT, (1 << 64) - 1)]


def test_a_choice_that_is_cut_to_32_bits_by_the_runtime_would_be_another_one() -> None:
    assert message_class("Everything").FromString(ODD["choice of 2**32 + 1"]).choice == 1


@pytest.mark.parametrize("octets", [b"\x4a\x02\x01\x02", b"\x48\x01\x48\x02", b"\x48\x01\x4a\x01\x02"], ids=bytes.hex)
def test_what_nobody_judges_may_be_encoded_in_any_way(octets: bytes) -> None:
    message = Message(octets, SHAPES)

    assert message.has(9)
    assert message.unknown == set()


def test_unknown_fields_are_told_by_number() -> None:
    assert Message(b"\xa0\x06\x01\xa8\x06\x01\xa0\x06\x01\x10\x01", SHAPES).unknown == {100, 101}


def test_a_message_of_very_many_fields_is_refused_before_it_takes_long() -> None:
    Message(b"\x22\x00" * MOST_FIELDS, SHAPES)

    with pytest.raises(WireError, match="more than 100000 fields"):
        Message(b"\x22\x00" * (MOST_FIELDS + 1), SHAPES)


def test_very_many_unknown_fields_take_no_longer_than_others() -> None:
    octets = b"".join(encode_number(number, 0) for number in range(11, MOST_FIELDS))

    assert len(Message(octets, SHAPES).unknown) == MOST_FIELDS - 11


def test_what_was_not_sent_is_empty() -> None:
    message = Message(b"", SHAPES)

    assert message.number(1) == 0
    assert not message.has(1)
    assert not message.flag(2)
    assert message.text(3) == ""
    assert message.texts(4) == []
    assert message.messages(5) == []
    assert message.pairs(7) == {}


def test_a_number_is_neither_text_nor_message() -> None:
    message = Message(b"\x08\x05", SHAPES)

    assert message.text(1) == ""
    assert message.messages(1) == []
    assert Message(b"\x1a\x01a", SHAPES).number(3) == 0


def test_the_runtime_is_more_lenient_than_we() -> None:
    merged = message_class("Everything").FromString(ODD["text twice"])

    assert merged.text == "b"
    with pytest.raises(DecodeError):
        message_class("Everything").FromString(ODD["text cut short"])
