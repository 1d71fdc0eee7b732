"""What is changed says what it shall; all the rest keeps its octets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.draft import Draft, UnknownField, encode_number, encode_octets, encode_pair
from proxy.buildkit.wire import Budget, Shape, Shapes, WireError, fields
from tests.helpers.buildkit_proto import message_class, octets_of
from tests.unit.buildkit.test_wire import blobs, everything

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
    11: Shape.MESSAGES,
}
BLOBS: Shapes = {1: Shape.MESSAGES}
texts = st.text(max_size=5)
some_pairs = st.dictionaries(texts, texts, max_size=4)


def lenient(octets: bytes) -> Draft:
    return Draft(octets, SHAPES, takes_unknown=True)


def pieces(octets: bytes) -> list[tuple[int, bytes | int]]:
    return [(number, value if isinstance(value, int) else bytes(value)) for number, _, value in fields(octets)]


@given(everything)
def test_what_is_not_changed_is_the_very_octets(written: Any) -> None:
    octets = written.SerializeToString()
    draft = lenient(octets)

    assert draft.encode() is octets
    assert not draft.is_changed


@given(everything, everything, st.sets(st.sampled_from(["text", "texts", "flag", "messages", "message", "pairs"])))
def test_what_is_set_is_what_the_runtime_would_have_written(written: Any, wanted: Any, names: set[str]) -> None:
    draft = lenient(octets_of(written))
    for name in names:
        written.ClearField(name)
        written.MergeFrom(only(wanted, name))
        set_field(draft, name, wanted)

    assert message_class("Everything").FromString(draft.encode()) == written


def only(message: Any, name: str) -> Any:
    one = message_class("Everything")()
    for field, value in message.ListFields():
        if field.name == name and name == "message":
            one.message.CopyFrom(value)
        elif field.name == name:
            one.MergeFrom(message_class("Everything")(**{name: value}))
    return one


def set_field(draft: Draft, name: str, wanted: Any) -> None:
    if name == "text":
        draft.set_text(3, wanted.text)
    elif name == "texts":
        draft.set_texts(4, wanted.texts)
    elif name == "flag":
        draft.set_flag(2, wanted.flag)
    elif name == "pairs":
        draft.set_pairs(7, wanted.pairs)
    elif name == "message":
        draft.set_messages(5, [octets_of(wanted.message)])
    else:
        draft.set_messages(6, map(octets_of, wanted.messages))


@given(everything, texts, st.booleans())
def test_a_message_in_order_stays_in_order(written: Any, text: str, flag: bool) -> None:
    draft = lenient(octets_of(written))
    draft.set_text(3, text)
    draft.set_flag(2, flag)
    written.text, written.flag = text, flag

    assert draft.encode() == octets_of(written)


@given(st.permutations(range(1, 7)), texts)
def test_fields_that_are_not_changed_keep_place_and_octets(order: list[int], text: str) -> None:
    said = {1: encode_number(1, 300), 2: encode_number(2, 0), 3: encode_octets(3, b"old"), 6: encode_octets(6, b"")}
    said |= {4: encode_octets(4, b"a") + encode_octets(4, b""), 5: encode_octets(100, b"\xff")}
    draft = lenient(b"".join(said[one] for one in order))
    draft.set_text(3, text)
    said[3] = encode_octets(3, text.encode()) if text else b""

    assert draft.encode() == b"".join(said[one] for one in order)


def test_a_changed_list_stands_where_its_first_stood() -> None:
    octets = encode_octets(4, b"a") + encode_octets(3, b"x") + encode_octets(4, b"b") + encode_octets(5, b"")
    draft = lenient(octets)
    draft.set_texts(4, ["c", "d"])

    assert pieces(bytes(draft.encode())) == [(4, b"c"), (4, b"d"), (3, b"x"), (5, b"")]


def test_new_fields_go_where_their_numbers_belong() -> None:
    draft = lenient(encode_octets(3, b"x") + encode_octets(6, b""))
    draft.set_pairs(7, {"k": ""})
    draft.set_messages(5, [b""])
    draft.set_flag(2, True)
    draft.set_texts(4, ["t"])

    assert [number for number, _ in pieces(bytes(draft.encode()))] == [2, 3, 4, 5, 6, 7]


@given(everything)
def test_setting_what_is_there_changes_nothing(written: Any) -> None:
    draft = lenient(octets_of(written))
    for name in ("text", "texts", "flag", "pairs", "message", "messages"):
        set_field(draft, name, written)

    assert not draft.is_changed


@pytest.mark.parametrize("octets", [b"\x10\x00", b"\x1a\x00", b"\x3a\x03\x0a\x01k", b"\x3a\x04\x12\x00\x0a\x00"])
def test_what_others_write_otherwise_is_left_as_it_is(octets: bytes) -> None:
    draft = lenient(octets)
    draft.set_flag(2, False)
    draft.set_text(3, "")
    draft.set_pairs(7, draft.pairs(7))

    assert draft.encode() is octets


@given(some_pairs, some_pairs)
def test_a_pair_that_is_kept_keeps_its_octets(pairs: dict[str, str], more: dict[str, str]) -> None:
    # Value first, as no runtime writes it: whoever made them anew would be seen.
    odd = {key: encode_octets(2, value.encode()) + encode_octets(1, key.encode()) for key, value in pairs.items()}
    draft = lenient(b"".join(encode_octets(7, entry) for entry in odd.values()))
    draft.set_pairs(7, {**pairs, **more})

    kept = [odd[key] for key, value in pairs.items() if more.get(key, value) == value]
    assert [bytes(entry) for entry in draft.messages(7) if bytes(entry) in kept] == kept
    assert draft.pairs(7) == {**pairs, **more}


@given(everything)
def test_a_field_that_is_unknown_is_refused_by_its_number(written: Any) -> None:
    octets = written.SerializeToString()
    unknown = [number for number, _ in pieces(octets) if number not in SHAPES]
    if not unknown:
        assert Draft(octets, SHAPES).encode() is octets
        return

    with pytest.raises(UnknownField, match=f"field {min(unknown)} is unknown") as refusal:
        Draft(octets, SHAPES)
    assert refusal.value.number == min(unknown)


@given(everything, texts)
def test_unknown_fields_survive_a_change_octet_for_octet(written: Any, text: str) -> None:
    octets = written.SerializeToString()
    draft = lenient(octets)
    draft.set_text(3, text)

    def unknown(octets: bytes) -> list[tuple[int, bytes | int]]:
        return [(number, value) for number, value in pieces(octets) if number not in SHAPES]

    assert unknown(bytes(draft.encode())) == unknown(octets)


def test_a_message_inside_is_read_as_strictly_as_the_one_around_it() -> None:
    octets = encode_octets(6, encode_octets(1, b"a") + encode_octets(99, b"new"))

    assert [bytes(one) for one in lenient(octets).inner(6, BLOBS)[0].messages(1)] == [b"a"]
    with pytest.raises(UnknownField):
        Draft(octets, SHAPES).inner(6, BLOBS)


@given(st.lists(blobs, max_size=4), st.sets(st.integers(0, 3)))
def test_messages_inside_are_edited_in_place(inside: list[Any], chosen: set[int]) -> None:
    written = message_class("Everything")(messages=inside)
    draft = lenient(octets_of(written))
    seen = iter(range(len(inside)))
    draft.edit(6, BLOBS, lambda one: one.set_messages(1, [b"new"]) if next(seen) in chosen else None)
    for index, one in enumerate(written.messages):
        if index in chosen:
            one.CopyFrom(message_class("Blobs")(blobs=[b"new"]))

    assert draft.encode() == octets_of(written)


def test_an_edit_that_changes_nothing_copies_nothing() -> None:
    octets = encode_octets(5, encode_octets(1, b"a" * 100))
    draft = lenient(octets)
    draft.edit(5, BLOBS, lambda one: one.set_messages(1, one.messages(1)))
    draft.edit(6, BLOBS, lambda one: one.set_messages(1, []))

    assert draft.encode() is octets


@given(st.dictionaries(texts, blobs, max_size=4))
def test_entries_are_read_by_key(entries: dict[str, Any]) -> None:
    draft = lenient(octets_of(message_class("Everything")(entries=entries)))

    read = {one.text(1): bytes(b"".join(one.messages(2))) for one in draft.entries(11)}
    assert read == {key: octets_of(value) for key, value in entries.items()}


@pytest.mark.parametrize(
    "octets",
    [
        encode_octets(11, encode_octets(1, b"k")) * 2,
        encode_octets(11, b"") * 2,
        encode_octets(11, encode_octets(1, b"k") + encode_octets(3, b"")),
        encode_octets(11, encode_octets(1, b"k") * 2),
        encode_octets(11, encode_octets(1, b"k") + encode_octets(2, b"") * 2),
        encode_octets(11, encode_octets(1, b"\xff")),
        encode_octets(11, encode_number(1, 1)),
    ],
    ids=bytes.hex,
)
def test_an_odd_entry_is_an_error_whatever_is_let_pass(octets: bytes) -> None:
    with pytest.raises(WireError):
        list(lenient(octets).entries(11))


def test_what_is_inside_counts_against_the_same_budget() -> None:
    budget = Budget()
    budget.left = 4
    draft = Draft(encode_octets(6, encode_octets(1, b"") * 2) * 2, SHAPES, budget)

    with pytest.raises(WireError, match="more than"):
        draft.inner(6, BLOBS)


@given(st.integers(1, (1 << 29) - 1), st.integers(0, (1 << 64) - 1))
def test_numbers_are_written_as_they_are_read(number: int, value: int) -> None:
    assert pieces(encode_number(number, value)) == [(number, value)]


@given(texts, texts)
def test_a_pair_is_written_as_the_runtime_writes_it(key: str, value: str) -> None:
    assert encode_octets(7, encode_pair(key, value)) == octets_of(message_class("Everything")(pairs={key: value}))
