"""We and the daemon read a message alike: each oddity is refused, or read exactly as Go would.

The same checks run in tests/fuzz, led by coverage, for as long as one likes.
"""

from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from proxy.buildkit.draft import Draft, encode_number, encode_octets
from proxy.buildkit.naming import LOCAL_SESSION_PREFIX, SOURCE_SESSIONS
from proxy.buildkit.separation import CACHE_NAMESPACE, HOSTNAME, HOSTNAME_ARGUMENT
from proxy.buildkit.wire import Shape, WireError
from tests.helpers.buildkit_proto import message_class, octets_of
from tests.helpers.go_reader import GoError, go_reads
from tests.helpers.llb import cache, definition, graphs, run
from tests.helpers.reading import BUILDS, DEFINITIONS, NAMES, PAIRS, REQUESTS, TABLES, check_change, check_reading

names = st.sampled_from(["", "a", "s1", "payments", "platform/x", "payments/x", "payments.x", NAMES.session("s1")])
numbers = st.sampled_from([0, 1, 2, 5, (1 << 31) - 1, 1 << 31, (1 << 32) + 1, (1 << 64) - 1]) | st.integers(0, 300)
graph = graphs(names, st.sampled_from(["", "h", "payments", "h.payments"])).map(octets_of)


@st.composite
def noise(draw: st.DrawFn) -> bytes:
    """A field as no generated code writes it, if that can be."""
    number = draw(st.integers(0, 12) | st.sampled_from([99, (1 << 29) - 1, 1 << 29, (1 << 32) + 1]))
    wire_type = draw(st.integers(0, 7))
    tag = overlong(number << 3 | wire_type, draw(st.sampled_from([0, 0, 1])))
    said = draw(st.binary(max_size=4))
    length = overlong(len(said), draw(st.sampled_from([0, 0, 0, 1, 3])))
    value = overlong(draw(numbers), draw(st.sampled_from([0, 0, 1, 9])))
    return tag + {0: value, 1: bytes(8), 2: length + said, 5: bytes(4)}.get(wire_type, b"")


def overlong(value: int, more: int) -> bytes:
    """Return a varint that is `more` octets longer than it need be."""
    plain = encode_number(1, value)[1:]
    return plain[:-1] + bytes([plain[-1] | 0x80] + [0x80] * (more - 1) + [0]) if more else plain


def messages(name: str, depth: int = 4) -> st.SearchStrategy[bytes]:
    """Messages `name` made of fields in any order and number; most are such as a daemon takes."""
    table, inside = TABLES[name]
    parts = [field(number, shape, inside.get(number, ""), depth) for number, shape in table.items()]
    return st.lists(st.one_of(*parts, *parts, noise()), max_size=5).map(b"".join)


def field(number: int, shape: Shape, inside: str, depth: int) -> st.SearchStrategy[bytes]:
    if shape in (Shape.NUMBER, Shape.FLAG, Shape.CHOICE):
        return numbers.map(lambda value: encode_number(number, value))
    if inside == PAIRS:
        keys = st.sampled_from(
            [*SOURCE_SESSIONS, f"{LOCAL_SESSION_PREFIX}a", CACHE_NAMESPACE, HOSTNAME, HOSTNAME_ARGUMENT]
        )
        entry = st.tuples(keys.map(str.encode).map(lambda key: encode_octets(1, key)), value_field(2, names)).map(
            b"".join
        )
        return (entry | noise()).map(lambda octets: encode_octets(number, octets))
    if inside == DEFINITIONS:
        entry = st.tuples(value_field(1, names), graph.map(lambda octets: encode_octets(2, octets))).map(b"".join)
        return (entry | noise()).map(lambda octets: encode_octets(number, octets))
    if inside == "Definition":
        return graph.map(lambda octets: encode_octets(number, octets))
    if inside and depth:
        return st.deferred(lambda: messages(inside, depth - 1)).map(lambda octets: encode_octets(number, octets))
    return value_field(number, names) | st.binary(max_size=3).map(lambda octets: encode_octets(number, octets))


def value_field(number: int, texts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    return texts.map(lambda text: encode_octets(number, text.encode()))


@st.composite
def definitions(draw: st.DrawFn) -> bytes:
    """Definitions of operations that are odd one way or other."""
    steps = draw(st.lists(messages("Op"), max_size=3))
    return b"".join(encode_octets(1, one) for one in steps) + draw(st.just(b"") | noise())


def changed(octets: bytes, data: st.DataObject) -> bytes:
    """Return `octets` with some of them changed, put in, or cut off."""
    odd = bytearray(octets)
    for _ in range(data.draw(st.integers(0, 2)) if odd else 0):
        odd[data.draw(st.integers(0, len(odd) - 1))] = data.draw(st.integers(0, 255))
    return bytes(odd[: data.draw(st.integers(0, len(odd)) | st.just(len(odd)))])


@pytest.mark.parametrize("name", TABLES)
@given(data=st.data())
def test_what_we_take_a_daemon_reads_alike(name: str, data: st.DataObject) -> None:
    octets = data.draw(definitions() | graph if name == "Definition" else messages(name))

    event(f"taken: {check_reading(name, changed(octets, data))}")


@pytest.mark.parametrize("name", ["Definition", *BUILDS, *REQUESTS])
@given(data=st.data())
def test_what_we_let_through_names_only_the_tenants_own(name: str, data: st.DataObject) -> None:
    octets = data.draw(definitions() | graph if name == "Definition" else messages(name))
    if name in ("SolveRequest", "StatusRequest"):
        octets = data.draw(st.sampled_from([b"", encode_octets(1, b"r")])) + octets

    event(f"let through: {check_change(name, changed(octets, data))}")


TAKEN = {
    "SolveRequest": {"ref": "r", "session": "s1", "frontend": "dockerfile.v0", "frontend_attrs": {"filename": "D"}},
    "BridgeSolveRequest": {"frontend": "dockerfile.v0", "frontend_opt": {"local-sessionid:context": "s1"}},
    "StatusRequest": {"ref": "r"},
    "ResolveImageConfigRequest": {"ref": "alpine", "session_id": "s1"},
    "ResolveSourceMetaRequest": {"source": {"identifier": "local://x", "attrs": {"local.session": "s1"}}},
    "NewContainerRequest": {"container_id": "c", "mounts": [{"cache_opt": {"id": "platform/x"}}]},
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_clients_send_is_let_through(name: str) -> None:
    octets = octets_of(message_class(name)(**TAKEN[name]))

    assert check_reading(name, octets)
    assert check_change(name, octets)


def test_definitions_of_clients_are_let_through() -> None:
    octets = octets_of(definition(run(mounts=(cache("platform/x"),))))

    assert check_reading("Definition", octets)
    assert check_change("Definition", octets)


RUN = encode_octets(2, encode_octets(1, b""))
ODD: dict[str, tuple[str, bytes, Any]] = {
    "of a scalar the last": (
        "StatusRequest",
        encode_octets(1, b"a") + encode_octets(1, b"b"),
        {1: b"b"},
    ),
    "of a number the last": ("Input", encode_number(2, 1) + encode_number(2, 3), {1: b"", 2: 3}),
    "all parts of a message": (
        "Mount",
        encode_octets(20, encode_octets(1, b"a")) + encode_octets(20, encode_number(2, 1)),
        {20: {1: b"a", 2: 1}},
    ),
    "of a choice of messages the last": ("Op", RUN + encode_octets(3, encode_octets(1, b"git://a")), {2: None}),
    "of a key that is repeated the last": (
        "SourceOp",
        encode_octets(2, encode_octets(1, b"k") + encode_octets(2, b"a"))
        + encode_octets(2, encode_octets(1, b"k") + encode_octets(2, b"b")),
        {2: {b"k": b"b"}},
    ),
    "a key of whatever wire type": ("SourceOp", encode_octets(2, b"\x08\x01k\x12\x01v"), {2: {b"k": b"v"}}),
    "a value beyond the end of its entry": (
        "SourceOp",
        encode_octets(2, b"\x0a\x01k\x12\x04v") + encode_octets(1, b"i"),
        {2: {b"k": b"v\x0a\x01i"}, 1: b"i"},
    ),
    "an entry with more, without it": (
        "SourceOp",
        encode_octets(2, encode_octets(1, b"k") + encode_number(9, 1)),
        {2: {b"k": b""}},
    ),
    "a tag that is longer than it need be": ("StatusRequest", b"\x8a\x00\x01r", {1: b"r"}),
    "a length that is longer than it need be": ("StatusRequest", b"\x0a\x81\x00r", {1: b"r"}),
    "a number that is longer than it need be": ("Input", b"\x10\x81\x80\x80\x00", {2: 1}),
    "of a number of eleven octets' worth what fits": ("Input", b"\x10" + b"\x80" * 9 + b"\x03", {2: -(1 << 63)}),
    "of a field's number 32 bits": ("StatusRequest", b"\x8a\x80\x80\x80\x80\x01\x01r", {1: b"r"}),
    "of a choice 32 bits": ("ExecOp", encode_number(3, (1 << 32) + 1), {3: 1}),
    "a flag of 2 as set": ("Mount", encode_number(5, 2), {5: 1}),
    "text that is not UTF-8": ("StatusRequest", encode_octets(1, b"\xff"), {1: b"\xff"}),
    "past a group": ("StatusRequest", b"\x7b\x08\x01\x7c" + encode_octets(1, b"r"), {1: b"r"}),
}


@pytest.mark.parametrize(("name", "octets", "read"), ODD.values(), ids=ODD)
def test_a_daemon_reads_what_we_refuse(name: str, octets: bytes, read: dict[int, Any]) -> None:
    theirs = go_reads(name, octets)

    assert {number: theirs[number] for number in read} == read
    assert not check_reading(name, octets)


TRAILING = {
    "octets of nothing": b"\x00",
    "half a tag": b"\x80",
    "a length without what it announces": b"\x0a\x05r",
    "the end of a group": b"\x0c",
    "a wire type that there is not": b"\x0e\x00",
    "a number without end": b"\x08" + b"\xff" * 11,
}


@pytest.mark.parametrize("trailing", TRAILING.values(), ids=TRAILING)
def test_what_a_daemon_refuses_behind_a_message_so_do_we(trailing: bytes) -> None:
    octets = encode_octets(1, b"r") + trailing

    with pytest.raises(GoError):
        go_reads("StatusRequest", octets)
    with pytest.raises(WireError):
        Draft(octets, TABLES["StatusRequest"][0], takes_unknown=True)


@pytest.mark.parametrize("octets", [b"\x62\x02\x00\x01", b"\x60\x00\x60\x01", b"\x60\x00\x62\x01\x01"], ids=bytes.hex)
def test_numbers_are_taken_packed_or_not_as_a_daemon_does(octets: bytes) -> None:
    assert go_reads("Meta", octets)[12] == [0, 1]
    assert check_reading("Meta", octets)


def test_depth_costs_nothing_where_nobody_looks() -> None:
    octets = b""
    for _ in range(20_000):
        octets = encode_octets(3, encode_octets(2, encode_octets(3, octets)))

    assert Draft(octets, TABLES["Definition"][0]).encode() is octets
