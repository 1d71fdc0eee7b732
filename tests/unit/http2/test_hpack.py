"""HPACK against RFC 7541, against the `hpack` package both ways, and against whoever means harm."""

from collections.abc import Iterable, Sequence
from typing import Any

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st

from proxy.http2.frames import ErrorCode
from proxy.http2.hpack import Decoder, Encoder, Field, HeaderListTooLarge, HpackError, NeverIndexed

HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
TOKEN = b"Bearer canary-7f3a91"
CALL = (
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":path", b"/moby.buildkit.v1.Control/Solve"),
    (b":authority", b"farm.example:8443"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-go/1.82.1"),
    (b"te", b"trailers"),
)

names = st.sampled_from(
    [b":path", b":status", b"content-type", b"user-agent", b"grpc-status", b"authorization", b"cookie", b"x-a", b"x-bb"]
)
values = st.one_of(
    st.sampled_from([b"", b"/", b"200", b"0", b"application/grpc"]),
    st.binary(max_size=20),
    # Long values push entries out of the table; what they hold does not matter.
    st.builds(lambda octet, times: bytes((octet,)) * times, st.integers(0, 255), st.integers(100, 1500)),
)
field_lists = st.lists(st.tuples(names, values), max_size=12)
# Few distinct lists that come again and again, as calls do: without repetition nothing would be remembered.
conversations = st.lists(field_lists, min_size=1, max_size=4).flatmap(
    lambda some: st.lists(
        st.tuples(st.sampled_from(some), st.sampled_from([None] * 6 + [0, 100, 200, 4096])), max_size=25
    )
)


def plain(fields: Iterable[Sequence[bytes]]) -> list[Field]:
    return [(bytes(name), bytes(value)) for name, value in fields]


def integer(value: int, mask: int, first: int) -> bytes:
    """Return an integer as RFC 7541 5.1 says it in pseudocode."""
    if value < mask:
        return bytes((first | value,))
    said = [first | mask]
    value -= mask
    while value >= 128:
        said.append(value % 128 + 128)
        value //= 128
    return bytes([*said, value])


def literal(name: bytes, value: bytes, first: int = 0x40, *, huffman: bool = False) -> bytes:
    """Return a literal with a new name: 0x40 enters the table, 0x00 does not, 0x10 must never."""
    coded = [HUFFMAN.encode(text) if huffman else text for text in (name, value)]
    return bytes((first,)) + b"".join(integer(len(text), 0x7F, 0x80 * huffman) + text for text in coded)


def kept(codec: Decoder | Encoder) -> str:
    """Return everything that a codec holds, as text."""
    return repr([getattr(codec, slot) for slot in type(codec).__slots__])


# --- RFC 7541 appendix C ---

APPENDIX_C: list[Any] = [
    pytest.param(
        4096,
        ["400a637573746f6d2d6b65790d637573746f6d2d686561646572"],
        [[(b"custom-key", b"custom-header")]],
        id="C.2.1",
    ),
    pytest.param(4096, ["040c2f73616d706c652f70617468"], [[(b":path", b"/sample/path")]], id="C.2.2"),
    pytest.param(4096, ["100870617373776f726406736563726574"], [[(b"password", b"secret")]], id="C.2.3"),
    pytest.param(4096, ["82"], [[(b":method", b"GET")]], id="C.2.4"),
]
REQUESTS = [
    [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")],
    [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"www.example.com"),
        (b"cache-control", b"no-cache"),
    ],
    [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/index.html"),
        (b":authority", b"www.example.com"),
        (b"custom-key", b"custom-value"),
    ],
]
RESPONSES = [
    [
        (b":status", b"302"),
        (b"cache-control", b"private"),
        (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT"),
        (b"location", b"https://www.example.com"),
    ],
    [
        (b":status", b"307"),
        (b"cache-control", b"private"),
        (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT"),
        (b"location", b"https://www.example.com"),
    ],
    [
        (b":status", b"200"),
        (b"cache-control", b"private"),
        (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT"),
        (b"location", b"https://www.example.com"),
        (b"content-encoding", b"gzip"),
        (b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ],
]
APPENDIX_C += [
    pytest.param(
        4096,
        [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ],
        REQUESTS,
        id="C.3-requests-plain",
    ),
    pytest.param(
        4096,
        [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ],
        REQUESTS,
        id="C.4-requests-huffman",
    ),
    pytest.param(
        256,
        [
            "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
            "6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
            "4803333037c1c0bf",
            "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f"
            "3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076"
            "657273696f6e3d31",
        ],
        RESPONSES,
        id="C.5-responses-plain-256-octets",
    ),
    pytest.param(
        256,
        [
            "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f"
            "0b97c8e9ae82ae43d3",
            "4883640effc1c0bf",
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335df"
            "dfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
        ],
        RESPONSES,
        id="C.6-responses-huffman-256-octets",
    ),
]


@pytest.mark.parametrize(("table", "blocks", "lists"), APPENDIX_C)
def test_the_examples_of_the_rfc_are_read(table: int, blocks: list[str], lists: list[list[Field]]) -> None:
    decoder = Decoder(max_table_octets=table)

    assert [plain(decoder.decode(bytes.fromhex(block))) for block in blocks] == lists


# --- against the `hpack` package ---


@given(conversations, st.booleans())
def test_what_the_package_writes_is_read_whatever_its_table_does(
    talk: list[tuple[list[Field], int | None]], huffman: bool
) -> None:
    theirs, ours = hpack.Encoder(), Decoder()
    for fields, table in talk:
        if table is not None:
            theirs.header_table_size = table
        block = theirs.encode(fields, huffman=huffman)

        assert plain(ours.decode(block)) == fields


@given(conversations, st.sampled_from([0, 64, 300, 4096]))
def test_what_we_write_is_read_by_the_package_whatever_the_table_does(
    talk: list[tuple[list[Field], int | None]], most: int
) -> None:
    ours, theirs = Encoder(most), hpack.Decoder(max_header_list_size=2**20)
    for fields, table in talk:
        if table is not None:
            theirs.max_allowed_table_size = table
            ours.set_peer_table_size(table)

        assert plain(theirs.decode(ours.encode(fields), raw=True)) == fields


@given(conversations)
def test_our_two_halves_understand_each_other(talk: list[tuple[list[Field], int | None]]) -> None:
    ours, theirs = Encoder(), Decoder()
    for fields, table in talk:
        if table is not None:
            ours.set_peer_table_size(table)

        assert plain(theirs.decode(ours.encode(fields))) == fields


@given(st.integers(0, 5000), st.binary(max_size=5))
def test_strings_of_every_length_cross(length: int, name: bytes) -> None:
    fields = [(name, b"v" * length)]
    block = Encoder().encode(fields)

    assert plain(Decoder().decode(block)) == fields
    assert plain(hpack.Decoder().decode(block, raw=True)) == fields


def test_entries_beyond_index_126_are_found_both_ways() -> None:
    fields = [(b":path", b"%d" % number) for number in range(100)]
    ours, theirs = Encoder(), Decoder()
    theirs.decode(ours.encode(fields))
    block = ours.encode(fields)

    assert len(block) < 200
    assert plain(theirs.decode(block)) == fields


# --- remembering ---


@given(
    st.lists(
        st.sampled_from(
            [
                b"\x82\x86",
                b"\xbe",
                b"\xbf\xbe",
                b"\x82\xc0",
                b"\x3f\xe1\x1f\xbe",
                b"\x20",
                b"\x3f\x11\xbe",
                b"\x82\xbe\x00\x01a\x01b",
                b"\xbe\x82\x82\x82\x82\x82\x82",
                b"\xff\x00",
                literal(b"x-a", b"1"),
                literal(b":path", b"/2", huffman=True),
                literal(b":path", b"/2", 0, huffman=True),
                literal(b":path", b"/2", 0),
                literal(b"user-agent", TOKEN, 0x10),
                literal(b"authorization", TOKEN, huffman=True),
                literal(b"big", b"b" * 4000),
            ]
        ),
        max_size=40,
    )
)
def test_a_decoder_that_remembers_says_the_same_as_one_that_forgets(blocks: list[bytes]) -> None:
    remembering, forgetting = Decoder(max_fields=6), Decoder(max_fields=6)

    def say(decoder: Decoder, block: bytes) -> object:
        try:
            return decoder.decode(block)
        except (HpackError, HeaderListTooLarge) as fault:
            return repr(fault)

    for block in blocks:
        forgetting._remembered.clear()
        forgetting._strings.clear()

        assert say(remembering, block) == say(forgetting, block)
        assert remembering.generation == forgetting.generation


@given(conversations)
def test_an_encoder_that_remembers_writes_the_same_as_one_that_forgets(
    talk: list[tuple[list[Field], int | None]],
) -> None:
    remembering, forgetting = Encoder(), Encoder()
    for fields, table in talk:
        if table is not None:
            remembering.set_peer_table_size(table)
            forgetting.set_peer_table_size(table)
        forgetting._remembered.clear()

        assert remembering.encode(fields) == forgetting.encode(fields)
        assert remembering.generation == forgetting.generation


def test_a_block_that_comes_again_gives_the_same_object_until_the_table_moves() -> None:
    encoder = hpack.Encoder()
    decoder = Decoder()
    decoder.decode(encoder.encode(CALL))
    block = encoder.encode(CALL)
    generation = decoder.generation
    fields = decoder.decode(block)

    assert fields == CALL
    assert decoder.decode(block) is fields
    assert decoder.generation == generation

    moved = decoder.decode(literal(b"x-new", b"1") + b"\x82")

    assert decoder.generation != generation
    assert moved == ((b"x-new", b"1"), (b":method", b"GET"))
    assert decoder.decode(block) != CALL


def test_a_literal_whose_name_repeats_is_remembered_and_no_other() -> None:
    decoder = Decoder()
    path, metadata, forbidden = (
        literal(b":path", b"/a", 0x00),
        literal(b"x-a", b"1", 0x00),
        literal(b":path", b"/a", 0x10),
    )

    assert decoder.decode(path) is decoder.decode(path)
    assert decoder.decode(metadata) is not decoder.decode(metadata)
    assert decoder.decode(forbidden) is not decoder.decode(forbidden)


def test_a_list_that_comes_again_gives_the_same_block_until_the_table_moves() -> None:
    encoder = Encoder()
    encoder.encode(CALL)
    block = encoder.encode(CALL)
    generation = encoder.generation

    assert encoder.encode(list(CALL)) is block
    assert encoder.generation == generation

    encoder.encode([(b":path", b"/new")])

    assert encoder.generation != generation
    assert encoder.encode(CALL) != block


def test_only_what_moves_the_table_moves_the_generation() -> None:
    decoder = Decoder()
    decoder.decode(b"\x82" + literal(b"x-a", b"1", 0x00) + literal(b"x-a", b"1", 0x10))

    assert decoder.generation == 0

    decoder.decode(b"\x3f\xe1\x1f")
    after_resize = decoder.generation
    decoder.decode(literal(b"x-a", b"1"))
    after_insert = decoder.generation
    decoder.decode(literal(b"x-a", b"b" * 5000))

    assert 0 < after_resize < after_insert < decoder.generation


def test_memory_stays_small_whatever_comes() -> None:
    decoder, encoder = Decoder(), Encoder()
    decoder.decode(literal(b"x-a", b"1"))
    sizes = []
    for turn in range(3000):
        decoder.decode(bytes([0x82 + turn % 60, 0x82 + turn // 60 % 60, 0xBE]))
        decoder.decode(literal(b":path", b"/%d" % turn, 0x00, huffman=True))
        decoder.decode(literal(b"name-%d" % turn, b"", 0x00, huffman=True))
        decoder.decode(literal(b":path", b"/%d" % turn * 60, 0x00, huffman=True))
        decoder.decode(literal(b":path", b"/%d" % turn * 2000, 0x00))
        encoder.encode([(b":method", b"GET")] * (turn % 100 + 1) + [(b":status", b"200")] * (turn // 100))
        sizes.append(len(kept(decoder)) + len(kept(encoder)))

    assert max(sizes) < 400_000
    assert max(sizes[:1000]) > max(sizes) // 2


# --- secrets ---


@pytest.mark.parametrize("name", [b"authorization", b"cookie", b"set-cookie", b"proxy-authorization"])
@pytest.mark.parametrize("first", [0x00, 0x10])
@pytest.mark.parametrize("huffman", [False, True])
def test_a_secret_is_gone_once_it_was_read(name: bytes, first: int, huffman: bool) -> None:
    decoder = Decoder()
    block = literal(name, TOKEN, first, huffman=huffman)

    assert plain(decoder.decode(block)) == [(name, TOKEN)]
    assert TOKEN.decode() not in kept(decoder)
    assert repr(HUFFMAN.encode(TOKEN))[2:-1] not in kept(decoder)


def test_a_secret_in_the_table_of_the_peer_leaves_with_its_entry() -> None:
    decoder = Decoder()
    decoder.decode(literal(b"authorization", TOKEN, huffman=True))

    assert decoder.decode(b"\xbe") == ((b"authorization", TOKEN),)
    assert kept(decoder).count(TOKEN.decode()) == 1

    decoder.decode(b"\x20")

    assert TOKEN.decode() not in kept(decoder)


def test_blocks_are_remembered_again_after_the_secret_has_left_the_table() -> None:
    decoder = Decoder()
    decoder.decode(literal(b"authorization", TOKEN))
    with_secret = [decoder.decode(b"\x82\xbe") for _ in range(2)]
    decoder.decode(b"\x20\x3f\xe1\x1f")
    without = [decoder.decode(b"\x82") for _ in range(2)]

    assert with_secret[0] == with_secret[1]
    assert with_secret[0] is not with_secret[1]
    assert without[0] is without[1]


@pytest.mark.parametrize("name", [b"authorization", b"cookie", b"set-cookie", b"proxy-authorization"])
def test_our_encoder_marks_secrets_and_keeps_none(name: bytes) -> None:
    encoder, theirs = Encoder(), hpack.Decoder()
    fields = [*CALL, (name, TOKEN)]
    told = [theirs.decode(encoder.encode(fields), raw=True)[-1] for _ in range(3)]

    assert [one.indexable for one in told] == [False] * 3
    assert TOKEN.decode() not in kept(encoder)
    assert TOKEN not in [value for _, value in theirs.header_table.dynamic_entries]


@pytest.mark.parametrize("name", [b"x-api-key", b"user-agent", b":path"])
def test_what_must_never_be_indexed_is_marked_again_when_it_is_passed_on(name: bytes) -> None:
    decoder, encoder, theirs = Decoder(), Encoder(), hpack.Decoder()
    encoder.encode([(name, b"v")])
    encoder.encode([(name, b"v")])
    fields = decoder.decode(literal(name, b"v", 0x10))
    theirs.decode(Encoder().encode([(name, b"v")]), raw=True)
    (told,) = theirs.decode(encoder.encode(fields), raw=True)

    assert plain([told]) == [(name, b"v")]
    assert told.indexable is False


def test_a_field_that_must_never_be_indexed_equals_only_its_like() -> None:
    field = NeverIndexed((b"a", b"b"))

    assert field == NeverIndexed((b"a", b"b"))
    assert hash(field) == hash(NeverIndexed((b"a", b"b")))
    assert field != NeverIndexed((b"a", b"c"))
    assert field != (b"a", b"b")
    assert (b"a", b"b") != field  # noqa: SIM300
    assert not field == (b"a", b"b")  # noqa: SIM201
    assert not field != NeverIndexed((b"a", b"b"))  # noqa: SIM202
    assert plain([field]) == [(b"a", b"b")]


# --- limits ---


def test_a_list_at_its_limit_passes_and_one_octet_more_does_not() -> None:
    exactly = literal(b"n", b"v" * (100 - 33), 0x00)
    more = literal(b"n", b"v" * (101 - 33), 0x00)

    assert len(Decoder(max_list_octets=100).decode(exactly)) == 1
    with pytest.raises(HeaderListTooLarge):
        Decoder(max_list_octets=100).decode(more)


def test_indexed_fields_count_what_they_stand_for() -> None:
    decoder = Decoder(max_list_octets=10 * (4 + 32 + 7) - 1)

    assert len(decoder.decode(b"\x82" * 9)) == 9
    with pytest.raises(HeaderListTooLarge):
        decoder.decode(b"\x82" * 10 + b"\x82")


def test_a_field_too_many_is_refused_however_small() -> None:
    decoder = Decoder(max_fields=128)

    assert len(decoder.decode(b"\x82" * 128)) == 128
    with pytest.raises(HeaderListTooLarge):
        decoder.decode(b"\x82" * 129)


def test_a_small_field_after_one_too_large_does_not_slip_in() -> None:
    with pytest.raises(HeaderListTooLarge):
        Decoder(max_list_octets=50).decode(b"\x82" + literal(b"a", b"b" * 60) + b"\x82")


@given(field_lists, st.lists(field_lists, min_size=1, max_size=4), st.integers(0, 300), st.integers(0, 5))
def test_the_table_is_in_step_after_a_list_that_was_too_large(
    before: list[Field], after: list[list[Field]], octets: int, count: int
) -> None:
    theirs, ours, reference = hpack.Encoder(), Decoder(max_list_octets=octets + 5000, max_fields=count), Decoder()
    for fields in [before, *after]:
        block = theirs.encode(fields)
        try:
            said = ours.decode(block)
        except HeaderListTooLarge:
            reference.decode(block)
            assert len(fields) > count or sum(len(n) + len(v) + 32 for n, v in fields) > octets + 5000
        else:
            assert said == reference.decode(block)
        assert ours._entries == reference._entries


def test_a_bomb_of_references_is_cut_off_while_it_is_read() -> None:
    decoder = Decoder()
    decoder.decode(literal(b"x", b"b" * 4000))

    with pytest.raises(HeaderListTooLarge):
        decoder.decode(b"\xbe" * 60_000)
    assert decoder.decode(b"\x82") == ((b":method", b"GET"),)


def test_a_block_four_times_the_largest_list_ends_the_connection() -> None:
    decoder = Decoder(max_list_octets=1000)

    with pytest.raises(HeaderListTooLarge):
        decoder.decode(b"\x82" * 4000)
    with pytest.raises(HpackError) as caught:
        decoder.decode(b"\x82" * 4001)
    assert caught.value.code == ErrorCode.ENHANCE_YOUR_CALM


# --- who means harm ---

HOSTILE = [
    pytest.param("80", id="6.1-index-0"),
    pytest.param("be", id="6.1-index-62-of-an-empty-table"),
    pytest.param("ff80808001", id="6.1-index-far-out-of-range"),
    pytest.param("7f80808001" + "0161", id="6.2.1-name-index-far-out-of-range"),
    pytest.param("7e0161", id="6.2.1-name-index-62-of-an-empty-table"),
    pytest.param("0f8f8f8f010161", id="6.2.2-name-index-out-of-range"),
    pytest.param("ffffffffffffffffff7f", id="5.1-integer-of-63-bits"),
    pytest.param("ff8080808000", id="5.1-integer-with-needless-octets"),
    pytest.param("ff" + "80" * 5000 + "00", id="5.1-integer-that-never-ends"),
    pytest.param("ff", id="5.1-integer-cut-short"),
    pytest.param("ffff", id="5.1-integer-cut-short-after-an-octet"),
    pytest.param("40", id="6.2.1-no-name"),
    pytest.param("4003616263", id="6.2.1-no-value"),
    pytest.param("400361", id="5.2-name-cut-short"),
    pytest.param("4001610562", id="5.2-value-cut-short"),
    pytest.param("400161ff80ffff7f62", id="5.2-length-of-many-MiB"),
    pytest.param("40016181ff", id="5.2-huffman-value-wrong"),
    pytest.param("4081ff0161", id="5.2-padding-of-8-bits"),
    pytest.param("4081180161", id="5.2-padding-of-zeros"),
    pytest.param("4084fffffffc0161", id="5.2-EOS"),
    pytest.param("3fe21f", id="6.3-size-above-4096"),
    pytest.param("3fffffffff0f", id="6.3-size-of-2^32"),
    pytest.param("8220", id="4.2-size-update-after-a-field"),
    pytest.param("20202082", id="4.2-three-size-updates"),
    pytest.param("3f", id="6.3-size-cut-short"),
    pytest.param("20" + "be", id="4.2-reference-after-the-table-was-emptied"),
]


@pytest.mark.parametrize("block", HOSTILE)
def test_a_block_that_breaks_the_rfc_ends_the_connection(block: str) -> None:
    with pytest.raises(HpackError) as caught:
        Decoder().decode(bytes.fromhex(block))

    assert caught.value.code == ErrorCode.COMPRESSION_ERROR
    assert caught.value.why


def test_a_size_above_what_we_announced_ends_the_connection() -> None:
    assert Decoder(max_table_octets=100).decode(b"\x3f\x45") == ()

    with pytest.raises(HpackError):
        Decoder(max_table_octets=100).decode(b"\x3f\x46")


def test_two_size_updates_at_the_start_are_right() -> None:
    assert Decoder().decode(b"\x20\x3f\xe1\x1f\x82") == ((b":method", b"GET"),)


def test_an_entry_larger_than_the_table_empties_it_and_is_no_error() -> None:
    decoder = Decoder(max_table_octets=100)
    decoder.decode(literal(b"x-a", b"1"))

    assert decoder.decode(literal(b"x-b", b"2" * 200)) == ((b"x-b", b"2" * 200),)
    with pytest.raises(HpackError):
        decoder.decode(b"\xbe")


def test_an_empty_block_has_no_fields() -> None:
    assert Decoder().decode(b"") == ()
    assert Encoder().encode([]) == b""


def fates(blocks: Iterable[bytes]) -> list[object]:
    decoder = Decoder(max_list_octets=2000, max_fields=20)
    said: list[object] = []
    for block in blocks:
        try:
            said.append(decoder.decode(block))
        except HeaderListTooLarge:
            said.append("too large")
        except HpackError as fault:
            return [*said, fault.code]
    return said


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_any_octets_are_read_or_refused_and_nothing_else(blocks: list[bytes]) -> None:
    assert len(fates(blocks)) <= len(blocks)


@given(st.lists(field_lists, min_size=1, max_size=3), st.data())
def test_a_flipped_octet_is_read_or_refused_and_nothing_else(lists: list[list[Field]], data: st.DataObject) -> None:
    encoder = hpack.Encoder()
    blocks = [encoder.encode(fields) for fields in lists] * 2
    which = data.draw(st.integers(0, len(blocks) - 1))
    mutable = bytearray(blocks[which]) or bytearray(b"\0")
    mutable[data.draw(st.integers(0, len(mutable) - 1))] ^= data.draw(st.integers(1, 255))
    blocks[which] = bytes(mutable)

    assert fates(blocks)


@given(field_lists.filter(bool))
def test_every_beginning_of_a_block_is_read_or_refused_and_nothing_else(fields: list[Field]) -> None:
    block = hpack.Encoder().encode(fields)

    assert all(fates([block[:end]]) for end in range(min(len(block), 60)))


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4))
def test_the_table_of_our_encoder_never_grows_above_4096_whatever_the_peer_allows(sizes: list[int]) -> None:
    encoder = Encoder()
    for size in sizes:
        encoder.set_peer_table_size(size)
        for number in range(60):
            encoder.encode([(b":path", b"/%d" % number * 20)])

        held = sum(len(name) + len(value) + 32 for name, value in encoder._entries)
        assert held <= min(size, 4096)


def test_a_table_that_shrank_and_grew_between_two_blocks_is_told_both() -> None:
    encoder = Encoder()
    encoder.set_peer_table_size(0)
    encoder.set_peer_table_size(0)
    encoder.set_peer_table_size(2**32 - 1)

    assert encoder.encode([(b":method", b"GET")]) == b"\x20\x3f\xe1\x1f\x82"
    assert encoder.encode([(b":method", b"GET")]) == b"\x82"


def test_a_field_that_would_push_out_half_the_table_enters_none() -> None:
    encoder = Encoder()
    small, large = (b":path", b"/" * (2048 - 37)), (b":path", b"/" * (2048 - 36))
    written = [encoder.encode([field]) for field in (small, small, large, large)]

    assert [len(block) < 10 for block in written] == [False, True, False, False]
