"""What both halves of HPACK share: fields, their size, the marks of a representation, the static table.

Source: RFC 7541 sections 4.1 (size of an entry), 6 (representations) and appendix A (the static table).
"""

from typing import Final

# A name and a value. Names are lower case on the wire; nothing here changes case.
Field = tuple[bytes, bytes]

# What an entry costs beyond its octets (4.1).
ENTRY_OVERHEAD_OCTETS: Final = 32
DEFAULT_TABLE_OCTETS: Final = 4096

# The first octet of each representation above its free bits (6.1, 6.2.1, 6.3, 6.2.3), and the mark of a string (5.2).
INDEXED: Final = 0x80
INDEXING: Final = 0x40
RESIZE: Final = 0x20
NEVER_INDEXED: Final = 0x10
HUFFMAN: Final = 0x80

# Values under these names are secrets: they enter no table and no memory of ours.
SECRET_NAMES: Final = frozenset({b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"})

# Names whose values come again from call to call and identify nobody: worth a place in a table.
REPEATING_NAMES: Final = frozenset(
    {
        b":authority",
        b":method",
        b":path",
        b":scheme",
        b":status",
        b"accept-encoding",
        b"content-type",
        b"grpc-accept-encoding",
        b"grpc-encoding",
        b"grpc-status",
        b"server",
        b"te",
        b"trailer",
        b"user-agent",
    }
)

STATIC_TABLE: Final[tuple[Field, ...]] = (
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
)
# The dynamic table is counted from here, newest first (2.3.3).
FIRST_DYNAMIC_INDEX: Final = len(STATIC_TABLE) + 1


class NeverIndexed(tuple[bytes, bytes]):
    """A field whose sender asked that nobody may ever index it (6.2.3).

    It reads like any field, but is equal only to another such field: what may be
    compressed and what may not must never be taken for one another in a memory.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is NeverIndexed and tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((NeverIndexed, *self))


def entry_octets(field: Field) -> int:
    """Return what a field counts in a table and in a header list."""
    return len(field[0]) + len(field[1]) + ENTRY_OVERHEAD_OCTETS
