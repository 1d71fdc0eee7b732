import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.identity.tokens.notation import NotationError, read_base64url, read_object

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), values, max_size=4), st.booleans())
def test_every_object_is_read_back(written: dict[str, object], is_ascii: bool) -> None:
    assert read_object(json.dumps(written, ensure_ascii=is_ascii).encode()) == written


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"a":1', id="cut"),
        pytest.param(b'{"a":1}}', id="more behind"),
        pytest.param(b'{"a":1}\x00', id="NUL behind"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":-Infinity}', id="Infinity"),
        pytest.param(b'{"a":1,"a":1}', id="member twice"),
        pytest.param(b'{"b":{"a":1,"\\u0061":2}}', id="member twice, escaped, nested"),
        pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
        pytest.param('{"a":"b"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', id="byte order mark"),
        pytest.param(b'{"a":"\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"\\uDFFF":1}', id="half a surrogate pair as a name"),
        pytest.param(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep"),
        pytest.param(b'{"a":' + b"1" * 5000 + b"}", id="a number of 5000 digits"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(octets: bytes) -> None:
    with pytest.raises(NotationError):
        read_object(octets)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert read_object(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


@given(st.binary(max_size=40))
def test_every_octet_string_is_read_back(octets: bytes) -> None:
    assert read_base64url(base64.urlsafe_b64encode(octets).rstrip(b"=").decode()) == octets


@given(st.text("AQgw-_=+/ \n\té", max_size=8))
def test_each_octet_string_is_spelled_in_one_way(text: str) -> None:
    try:
        octets = read_base64url(text)
    except NotationError:
        return

    assert base64.urlsafe_b64encode(octets).rstrip(b"=").decode() == text


@pytest.mark.parametrize("text", ["A", "AA==", "AA=", "AB", "A A", "AA\n", "+/", "é", "AAA=A"])
def test_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(NotationError):
        read_base64url(text)
