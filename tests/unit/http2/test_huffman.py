"""Huffman strings against the `hpack` package, and those that are none (RFC 7541 5.2)."""

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.http2.huffman import NotHuffman, decode

REFERENCE = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@given(st.binary(max_size=400))
@example(bytes(range(256)))
def test_what_the_package_writes_is_read_back(text: bytes) -> None:
    assert decode(REFERENCE.encode(text)) == text


@given(st.text(alphabet="0123456789abcdefghijklmnopqrstuvwxyz-_./:ABCXYZ", max_size=200))
def test_texts_of_headers_are_read_back(text: str) -> None:
    assert decode(REFERENCE.encode(text.encode())) == text.encode()


@given(st.binary(max_size=60))
def test_octets_that_are_no_code_say_so_and_the_others_mean_what_they_encode(coded: bytes) -> None:
    """The code is complete and prefix-free: what decodes must encode to the same octets again."""
    try:
        text = decode(coded)
    except NotHuffman:
        return

    assert REFERENCE.encode(text) == coded


@pytest.mark.parametrize(
    "coded",
    [
        pytest.param("ff", id="5.2-padding-of-8-ones"),
        pytest.param("1fff", id="5.2-padding-longer-than-7-bits"),
        pytest.param("18", id="5.2-padding-of-zeros"),
        pytest.param("1e", id="5.2-last-bit-of-the-padding-zero"),
        pytest.param("fffffffc", id="5.2-EOS-then-zeros"),
        pytest.param("ffffffff", id="5.2-EOS-then-ones"),
        pytest.param("1fffffffff", id="5.2-EOS-after-a-symbol"),
        pytest.param("ffffffff1f", id="5.2-a-symbol-after-EOS"),
        pytest.param("fffffffc" + "ff" * 60, id="5.2-much-after-EOS"),
    ],
)
def test_eos_and_wrong_padding_are_refused(coded: str) -> None:
    with pytest.raises(NotHuffman):
        decode(bytes.fromhex(coded))


def test_padding_of_seven_ones_or_none_is_right() -> None:
    # "&" is 8 bits: 11111000; "0" is 5 bits: 00000; ":" is 7 bits: 1011100.
    assert decode(bytes([0b11111000])) == b"&"
    assert decode(bytes([0b00000_111])) == b"0"
    assert decode(bytes([0b11111000, 0b1011100_1])) == b"&:"
    assert decode(b"") == b""
