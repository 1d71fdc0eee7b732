"""The writing half of HPACK: fields to header blocks for one peer.

Source: RFC 7541; the numbers in parentheses are its sections.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from proxy.http2.hpack_table import (
    DEFAULT_TABLE_OCTETS,
    FIRST_DYNAMIC_INDEX,
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

# The first of several entries with a name wins: the shortest index.
_STATIC_INDEX: Final = {field: index for index, field in enumerate(STATIC_TABLE, 1)}
_STATIC_NAME_INDEX: Final = {name: index for index, (name, _) in reversed(list(enumerate(STATIC_TABLE, 1)))}

_REMEMBERED_BLOCKS: Final = 64


class Encoder:
    """Writes blocks for one peer; they must go out in the order in which they were written.

    Names whose values repeat enter the table, secrets are marked never to be indexed
    by anybody, everything else is a literal that enters no table. Without Huffman:
    the octets are local and few, the time is not.
    """

    __slots__ = (
        "_entries",
        "_inserted",
        "_limit_octets",
        "_lowest_octets",
        "_max_table_octets",
        "_names",
        "_numbers",
        "_octets",
        "_remembered",
        "generation",
    )

    def __init__(self, max_table_octets: int = DEFAULT_TABLE_OCTETS) -> None:
        self.generation = 0
        self._max_table_octets = max_table_octets
        self._limit_octets = DEFAULT_TABLE_OCTETS
        # The smallest limit since the last block, if it changed: the peer must hear of it (4.2).
        self._lowest_octets: int | None = None
        self._octets = 0
        # Oldest first. Entries are numbered from 0 as they come; the maps hold those numbers.
        self._entries: deque[Field] = deque()
        self._inserted = 0
        self._numbers: dict[Field, int] = {}
        self._names: dict[bytes, int] = {}
        self._remembered: dict[tuple[Field, ...], bytes] = {}
        self.set_peer_table_size(DEFAULT_TABLE_OCTETS)

    def set_peer_table_size(self, octets: int) -> None:
        """Keep within the HEADER_TABLE_SIZE that the peer announced; the next block says so."""
        limit_octets = min(octets, self._max_table_octets)
        if limit_octets == self._limit_octets:
            return
        lowest_octets = limit_octets if self._lowest_octets is None else self._lowest_octets
        self._lowest_octets = min(limit_octets, lowest_octets)
        self._limit_octets = limit_octets
        self._evict()
        self._moved()

    def encode(self, fields: Iterable[Field]) -> bytes:
        """Return the next header block."""
        key = tuple(fields)
        remembered = self._remembered.get(key)
        if remembered is not None:
            return remembered
        block = bytearray()
        literals = self._write_resizes(block)
        for field in key:
            index = _STATIC_INDEX.get(field)
            if index is None:
                number = self._numbers.get(field)
                if number is None:
                    self._write_literal(block, field)
                    literals += 1
                    continue
                index = self._inserted - number + FIRST_DYNAMIC_INDEX - 1
            if index < 0x7F:
                block.append(INDEXED | index)
            else:
                _write_integer(block, index, 0x7F, INDEXED)
        said = bytes(block)
        if not literals:
            self._remember(key, said)
        return said

    def _write_resizes(self, block: bytearray) -> int:
        lowest_octets, self._lowest_octets = self._lowest_octets, None
        if lowest_octets is None:
            return 0
        if lowest_octets < self._limit_octets:
            _write_integer(block, lowest_octets, 0x1F, RESIZE)
        _write_integer(block, self._limit_octets, 0x1F, RESIZE)
        return 1

    def _write_literal(self, block: bytearray, field: Field) -> None:
        name, value = field
        first, mask = 0, 0x0F
        if name in SECRET_NAMES or type(field) is NeverIndexed:
            first = NEVER_INDEXED
        # A field that would push out half the table costs more than it saves; an empty one (grpc-message) says nothing.
        elif (name in REPEATING_NAMES or not value) and 2 * entry_octets(field) <= self._limit_octets:
            first, mask = INDEXING, 0x3F
        index = self._name_index(name)
        _write_integer(block, index, mask, first)
        if not index:
            _write_string(block, name)
        _write_string(block, value)
        if first == INDEXING:
            self._insert(field)

    def _name_index(self, name: bytes) -> int:
        index = _STATIC_NAME_INDEX.get(name)
        if index is not None:
            return index
        number = self._names.get(name)
        return 0 if number is None else self._inserted - number + FIRST_DYNAMIC_INDEX - 1

    def _insert(self, field: Field) -> None:
        self._entries.append(field)
        self._numbers[field] = self._names[field[0]] = self._inserted
        self._inserted += 1
        self._octets += entry_octets(field)
        self._evict()
        self._moved()

    def _evict(self) -> None:
        while self._octets > self._limit_octets:
            field = self._entries.popleft()
            self._octets -= entry_octets(field)
            number = self._numbers.pop(field)
            # A younger entry may have taken over the name.
            if self._names[field[0]] == number:
                del self._names[field[0]]

    def _moved(self) -> None:
        self.generation += 1
        self._remembered.clear()

    def _remember(self, fields: tuple[Field, ...], block: bytes) -> None:
        if len(self._remembered) >= _REMEMBERED_BLOCKS:
            self._remembered.clear()
        self._remembered[fields] = block


def _write_integer(block: bytearray, value: int, mask: int, first: int) -> None:
    """Append `value` behind the pattern `first`, whose free low bits are `mask` (5.1)."""
    if value < mask:
        block.append(first | value)
        return
    block.append(first | mask)
    value -= mask
    while value >= 0x80:
        block.append(value & 0x7F | 0x80)
        value >>= 7
    block.append(value)


def _write_string(block: bytearray, text: bytes) -> None:
    _write_integer(block, len(text), 0x7F, 0)
    block += text
