"""The Huffman code of HPACK, read a whole octet at a time.

Every inner node of the code's tree is a state. A state knows, for each octet
that may follow, which symbols that octet completes and in which state it ends;
the answer is worked out when it is first asked for. 256 states by 256 octets
bound what a hostile peer can make us work out: about 6 MiB, once a process.

Source: RFC 7541 section 5.2; the code itself (appendix B) from the `hpack` package.
"""

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

_EOS = 256
_OCTET_BITS = range(7, -1, -1)


class NotHuffman(ValueError):
    """These octets are no Huffman-coded string."""


class _State(dict[int, tuple[bytes, "_State"]]):
    """An inner node: octet -> (symbols completed, state after it), filled as it is asked."""

    __slots__ = ("children", "may_end", "symbols")

    def __init__(self) -> None:
        super().__init__()
        self.children: list[_State | None] = [None, None]
        self.symbols: list[int | None] = [None, None]
        # The padding is at most seven bits, all ones: the start of EOS.
        self.may_end = False

    def __missing__(self, octet: int) -> tuple[bytes, "_State"]:
        said = bytearray()
        state = self
        for bit in _OCTET_BITS:
            state = state.follow(octet >> bit & 1, said)
        answer = self[octet] = bytes(said), state
        return answer

    def grow(self, bit: int) -> "_State":
        """Return the inner node behind `bit`, planted if it is not there yet."""
        child = self.children[bit]
        if child is None:
            child = self.children[bit] = _State()
        return child

    def follow(self, bit: int, said: bytearray) -> "_State":
        """Return the state after one more bit; a symbol that it completes is added to `said`."""
        child = self.children[bit]
        if child is not None:
            return child
        symbol = self.symbols[bit]
        if symbol is None or symbol == _EOS:
            return _NOWHERE
        said.append(symbol)
        return _START


def _plant() -> _State:
    root = _State()
    for symbol, (code, bits) in enumerate(zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)):
        state = root
        for bit in range(bits - 1, 0, -1):
            state = state.grow(code >> bit & 1)
        state.symbols[code & 1] = symbol
    ones = root
    for _ in range(8):
        ones.may_end = True
        ones = ones.grow(1)
    return root


# After EOS nothing is right any more: this state leads to itself and may not end (5.2).
_NOWHERE = _State()
_START = _plant()


def decode(coded: bytes) -> bytes:
    """Return the octets that `coded` stands for.

    Raises:
        NotHuffman: EOS inside, or padding that is longer than seven bits or not all ones.
    """
    said = []
    state = _START
    for octet in coded:
        symbols, state = state[octet]
        said.append(symbols)
    if not state.may_end:
        raise NotHuffman
    return b"".join(said)
