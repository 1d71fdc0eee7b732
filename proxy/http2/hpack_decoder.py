"""The reading half of HPACK: one peer's header blocks to fields.

Limits are counted while a block is read, and what exceeds them is no longer kept;
but the block is read to its end, or the table would be out of step with the
peer's and the next call would be misread.

Source: RFC 7541; the numbers in parentheses are its sections.
"""

from typing import Final

from proxy.http2.frames import ErrorCode, ProtocolFault
from proxy.http2.hpack_table import (
    DEFAULT_TABLE_OCTETS,
    ENTRY_OVERHEAD_OCTETS,
    FIRST_DYNAMIC_INDEX,
    HUFFMAN,
    INDEXED,
    INDEXING,
    NEVER_INDEXED,
    REPEATING_NAMES,
    RESIZE,
    SECRET_NAMES,
    STATIC_TABLE,
    Field,
    NeverIndexed,
    entry_octets,
)
from proxy.http2.huffman import NotHuffman
from proxy.http2.huffman import decode as decode_huffman

_MAX_RESIZES: Final = 2
# Four octets after the prefix say 2^28: far above any index, size or length that can be right here (5.1).
_LAST_INTEGER_SHIFT: Final = 21
# A list this many times too large is still read to its end, so that its caller can be told; above it the
# connection ends.
_READABLE_FACTOR: Final = 4

_REMEMBERED_BLOCKS: Final = 64
_REMEMBERED_BLOCK_OCTETS: Final = 1024
_REMEMBERED_STRINGS: Final = 32
_REMEMBERED_STRING_OCTETS: Final = 128


class HpackError(ProtocolFault):
    """A block that cannot be decoded: both tables may differ now, so the connection ends (RFC 9113 4.3)."""

    def __init__(self, why: str, code: ErrorCode = ErrorCode.COMPRESSION_ERROR) -> None:
        super().__init__(code, why)


class HeaderListTooLarge(Exception):
    """A block was decoded whole, the table is in step, but its fields are more than we accept."""


class Decoder:
    """Reads the blocks of one peer, in the order in which they came.

    `max_table_octets` is the HEADER_TABLE_SIZE that we announced. A list counts its
    names, values and 32 octets a field, whatever the fields are for.
    """

    __slots__ = (
        "_entries",
        "_limit_octets",
        "_max_fields",
        "_max_list_octets",
        "_max_table_octets",
        "_octets",
        "_remembered",
        "_secrets",
        "_sizes",
        "_strings",
        "generation",
    )

    def __init__(
        self,
        max_table_octets: int = DEFAULT_TABLE_OCTETS,
        max_list_octets: int = 32_768,
        max_fields: int = 128,
    ) -> None:
        self.generation = 0
        self._max_table_octets = max_table_octets
        self._max_list_octets = max_list_octets
        self._max_fields = max_fields
        self._limit_octets = max_table_octets
        self._octets = 0
        self._secrets = 0
        # One list for both tables: an index is a position. Index 0 holds what nobody may ask for.
        self._entries: list[Field] = [(b"", b""), *STATIC_TABLE]
        self._sizes = [entry_octets(field) for field in self._entries]
        self._remembered: dict[bytes, tuple[Field, ...]] = {}
        self._strings: dict[bytes, bytes] = {}

    def decode(self, block: bytes) -> tuple[Field, ...]:
        """Return the fields of a whole header block, in order; the same object while it is remembered.

        Raises:
            HpackError: the block breaks RFC 7541, or is four times longer than the largest list.
            HeaderListTooLarge: more fields or octets than accepted; the next block can be decoded.
        """
        remembered = self._remembered.get(block)
        if remembered is not None:
            return remembered
        if len(block) > _READABLE_FACTOR * self._max_list_octets:
            raise HpackError("header block much too long", ErrorCode.ENHANCE_YOUR_CALM)
        generation = self.generation
        try:
            fields, is_repeating = self._read_fields(block, self._read_resizes(block))
        except IndexError:
            raise HpackError("block cut short, or an index out of range") from None
        if is_repeating and generation == self.generation:
            self._remember(block, fields)
        return fields

    def _read_fields(self, block: bytes, at: int) -> tuple[tuple[Field, ...], bool]:
        entries, sizes = self._entries, self._sizes
        room = self._max_list_octets
        fields: list[Field] = []
        others = 0
        end = len(block)
        while at < end:
            octet = block[at]
            # The common case is one octet that is an index and nothing else.
            if INDEXED < octet < 0xFF:
                at += 1
                field = entries[octet & 0x7F]
                room -= sizes[octet & 0x7F]
            else:
                field, at = self._read_indexed(block, at) if octet & INDEXED else self._read_literal(block, at)
                room -= len(field[0]) + len(field[1]) + ENTRY_OVERHEAD_OCTETS
                # nghttp2 never indexes :path: such a literal comes again, letter for letter, in the next call.
                others += field[0] not in REPEATING_NAMES or type(field) is NeverIndexed
            # What is too much is still decoded, for the table's sake, but no longer kept.
            if room >= 0:
                fields.append(field)
        if room < 0 or len(fields) > self._max_fields:
            raise HeaderListTooLarge
        return tuple(fields), not others

    def _read_indexed(self, block: bytes, at: int) -> tuple[Field, int]:
        index, at = _read_integer(block, at, 0x7F)
        if not index:
            raise HpackError("index 0")
        return self._entries[index], at

    def _read_literal(self, block: bytes, at: int) -> tuple[Field, int]:
        octet = block[at]
        if octet & (INDEXING | RESIZE) == RESIZE:
            raise HpackError("table size update where none may be")
        indexing = octet & INDEXING
        index, at = _read_integer(block, at, 0x3F if indexing else 0x0F)
        if index:
            name = self._entries[index][0]
        else:
            name, at = self._read_string(block, at, repeating=True)
        value, at = self._read_string(block, at, repeating=name in REPEATING_NAMES)
        if indexing:
            self._insert((name, value))
        elif octet & NEVER_INDEXED:
            return NeverIndexed((name, value)), at
        return (name, value), at

    def _read_string(self, block: bytes, at: int, *, repeating: bool) -> tuple[bytes, int]:
        coded = block[at] & HUFFMAN
        length, at = _read_integer(block, at, 0x7F)
        end = at + length
        if end > len(block):
            raise HpackError("string cut short")
        text = block[at:end]
        return (self._unpack(text, repeating=repeating) if coded else text), end

    def _unpack(self, coded: bytes, *, repeating: bool) -> bytes:
        text = self._strings.get(coded)
        if text is not None:
            return text
        try:
            text = decode_huffman(coded)
        except NotHuffman:
            raise HpackError("not a Huffman-coded string") from None
        if repeating and len(coded) <= _REMEMBERED_STRING_OCTETS:
            if len(self._strings) >= _REMEMBERED_STRINGS:
                self._strings.clear()
            self._strings[coded] = text
        return text

    def _read_resizes(self, block: bytes) -> int:
        at = 0
        for _ in range(_MAX_RESIZES):
            if at == len(block) or block[at] & 0xE0 != RESIZE:
                break
            limit_octets, at = _read_integer(block, at, 0x1F)
            if limit_octets > self._max_table_octets:
                raise HpackError("table size above what we announced")
            self._limit_octets = limit_octets
            self._evict()
            self._moved()
        return at

    def _insert(self, field: Field) -> None:
        octets = entry_octets(field)
        self._entries.insert(FIRST_DYNAMIC_INDEX, field)
        self._sizes.insert(FIRST_DYNAMIC_INDEX, octets)
        self._octets += octets
        self._secrets += field[0] in SECRET_NAMES
        # An entry above the whole limit evicts itself last: an empty table, no error (4.4).
        self._evict()
        self._moved()

    def _evict(self) -> None:
        while self._octets > self._limit_octets:
            self._octets -= self._sizes.pop()
            self._secrets -= self._entries.pop()[0] in SECRET_NAMES

    def _moved(self) -> None:
        self.generation += 1
        self._remembered.clear()

    def _remember(self, block: bytes, fields: tuple[Field, ...]) -> None:
        # Nothing is remembered while the peer keeps a secret in its table: blocks may refer to it.
        if self._secrets or len(block) > _REMEMBERED_BLOCK_OCTETS:
            return
        if len(self._remembered) >= _REMEMBERED_BLOCKS:
            self._remembered.clear()
        self._remembered[block] = fields


def _read_integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """Return an integer whose prefix are the `mask` bits of octet `at`, and where it ends."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    for shift in range(0, _LAST_INTEGER_SHIFT + 1, 7):
        octet = block[at]
        at += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
    raise HpackError("integer too large")
