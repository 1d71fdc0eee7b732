import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Refused
from proxy.identity.tokens.compact import is_key_id, read_bearer
from proxy.reasons import Reason
from tests.helpers.signing import coded, new_key

KEY = new_key()
LIMIT = 2048
TOKEN = KEY.sign({"iss": "https://issuer", "sub": "x"})
GOOD = f"Bearer {TOKEN}".encode()
HEADER, PAYLOAD, SIGNATURE = TOKEN.split(".")


def with_header(**members: object) -> bytes:
    return f"Bearer {KEY.sign({'iss': 'x'}, members)}".encode()


def parts(header: bytes = b'{"alg":"ES256"}', payload: bytes = b"{}", signature: bytes = b"s") -> bytes:
    return f"Bearer {coded(header)}.{coded(payload)}.{coded(signature)}".encode()


def test_no_value_is_no_token() -> None:
    assert read_bearer((), limit_octets=LIMIT) is None


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER"])
def test_a_token_is_read_under_any_case_of_its_scheme(scheme: bytes) -> None:
    token = read_bearer([scheme + GOOD[6:]], limit_octets=LIMIT)

    assert token is not None
    assert (token.text, token.algorithm, token.key_id, token.type) == (TOKEN, "ES256", "key-1", "JWT")
    assert token.issuer == "https://issuer"


def test_kid_and_typ_may_be_absent() -> None:
    token = read_bearer([parts()], limit_octets=LIMIT)

    assert token is not None
    assert (token.key_id, token.type, token.issuer) == (None, None, None)


def test_neither_the_token_nor_its_claims_are_in_its_repr() -> None:
    token = read_bearer([GOOD], limit_octets=LIMIT)

    assert TOKEN not in repr(token)
    assert "issuer" not in repr(token)


HOSTILE = {
    "two values": (GOOD, GOOD),
    "two values, one empty": (GOOD, b""),
    "empty value": (b"",),
    "scheme only": (b"Bearer",),
    "scheme and a blank": (b"Bearer ",),
    "no scheme": (TOKEN.encode(),),
    "basic": (b"Basic dXNlcjpwYXNz",),
    "a token under another scheme": (b"Basic " + TOKEN.encode(),),
    "a token under a longer scheme": (b"Bearer2 " + TOKEN.encode(),),
    "a token behind a blank": (b" " + TOKEN.encode(),),
    "two blanks": (b"Bearer  " + TOKEN.encode(),),
    "tab": (b"Bearer\t" + TOKEN.encode(),),
    "blank before": (b" " + GOOD,),
    "blank behind": (GOOD + b" ",),
    "line break behind": (GOOD + b"\n",),
    "NUL behind": (GOOD + b"\x00",),
    "comma list": (GOOD + b", " + GOOD,),
    "comma behind": (GOOD + b",",),
    "parameters behind": (GOOD + b" realm=x",),
    "larger than allowed": (b"Bearer " + b"a" * LIMIT,),
    "one part": (f"Bearer {HEADER}".encode(),),
    "two parts": (f"Bearer {HEADER}.{PAYLOAD}".encode(),),
    "four parts": (GOOD + b".AAAA",),
    "five parts (encrypted)": (GOOD + b".AAAA.AAAA",),
    "empty signature": (f"Bearer {HEADER}.{PAYLOAD}.".encode(),),
    "empty payload": (f"Bearer {HEADER}..{SIGNATURE}".encode(),),
    "empty header": (f"Bearer .{PAYLOAD}.{SIGNATURE}".encode(),),
    "padding": (GOOD + b"==",),
    "padding in the header": (f"Bearer {HEADER}=.{PAYLOAD}.{SIGNATURE}".encode(),),
    "base64 with + and /": (f"Bearer {HEADER}.{PAYLOAD}.ab+/".encode(),),
    "impossible length": (f"Bearer {HEADER}.{PAYLOAD}.AAAAA".encode(),),
    "stray bits at the end": (f"Bearer {HEADER}.{PAYLOAD}.AB".encode(),),
    "letters beyond ASCII": ("Bearer ä.ö.ü".encode(),),
    "header is a list": (parts(header=b"[]"),),
    "header is not JSON": (parts(header=b"alg"),),
    "header member twice": (parts(header=b'{"alg":"none","alg":"ES256"}'),),
    "payload is a text": (parts(payload=b'"sub"'),),
    "payload is not UTF-8": (parts(payload=b'{"sub":"\xff"}'),),
    "claim twice": (parts(payload=b'{"sub":"a","sub":"b"}'),),
    "nested claim twice": (parts(payload=b'{"x":{"a":1,"a":2}}'),),
    "NaN": (parts(payload=b'{"exp":NaN}'),),
    "Infinity": (parts(payload=b'{"exp":Infinity}'),),
    "half a surrogate pair": (parts(payload=b'{"sub":"\\ud800"}'),),
    "no algorithm": (parts(header=b"{}"),),
    "algorithm is a number": (parts(header=b'{"alg":1}'),),
    "algorithm is null": (parts(header=b'{"alg":null}'),),
    "crit": (with_header(crit=["exp"]),),
    "empty crit": (with_header(crit=[]),),
    "b64 false": (with_header(b64=False),),
    "b64 true": (with_header(b64=True),),
    "zip": (with_header(zip="DEF"),),
    "enc": (with_header(enc="A128GCM"),),
    "jku": (with_header(jku="https://evil.example/keys"),),
    "x5u": (with_header(x5u="https://evil.example/cert"),),
    "jwk": (with_header(jwk=KEY.public()),),
    "x5c": (with_header(x5c=["AAAA"]),),
    "kid is a number": (with_header(kid=1),),
    "kid is a list": (with_header(kid=["key-1"]),),
    "kid is null": (parts(header=b'{"alg":"ES256","kid":null}'),),
    "kid is empty": (with_header(kid=""),),
    "kid of 129": (with_header(kid="k" * 129),),
    "kid with a line break": (with_header(kid="key\n1"),),
    "kid with a letter beyond ASCII": (with_header(kid="key-é"),),
    "typ is a number": (with_header(typ=1),),
}


@pytest.mark.parametrize("values", HOSTILE.values(), ids=HOSTILE)
def test_what_is_not_exactly_one_well_formed_token_is_refused(values: tuple[bytes, ...]) -> None:
    with pytest.raises(Refused) as raised:
        read_bearer(values, limit_octets=LIMIT)

    assert raised.value.reason is Reason.TOKEN_MALFORMED
    assert raised.value.public_text("x").startswith("[KG-120] the token cannot be read: ")
    assert SIGNATURE not in raised.value.public_text("x") + raised.value.detail


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ((GOOD, GOOD), "more than one authorization value was sent"),
        ((GOOD + b", " + GOOD,), "the authorization value is a list"),
        ((b"Basic " + TOKEN.encode(),), "the authorization value must be 'Bearer' and a token"),
        ((GOOD + b"==",), "it is not three parts of base64url without padding"),
        ((with_header(jku="x"),), "its header has 'jku', which is not accepted"),
    ],
)
def test_a_refusal_says_what_to_mend(values: tuple[bytes, ...], why: str) -> None:
    with pytest.raises(Refused) as raised:
        read_bearer(values, limit_octets=LIMIT)

    assert raised.value.public_text("r") == f"[KG-120] the token cannot be read: {why} (ref r)"


def test_a_token_of_exactly_the_allowed_size_is_read() -> None:
    assert read_bearer([GOOD], limit_octets=len(GOOD)) is not None
    with pytest.raises(Refused, match="token-malformed"):
        read_bearer([GOOD], limit_octets=len(GOOD) - 1)


def outcome(values: list[bytes]) -> str | Reason | None:
    """Return the algorithm of the token, None if there is none, or the reason of the refusal."""
    try:
        token = read_bearer(values, limit_octets=LIMIT)
    except Refused as refused:
        return refused.reason
    return token and token.algorithm


@given(st.lists(st.binary(max_size=80), max_size=2))
def test_any_octets_are_refused(values: list[bytes]) -> None:
    assert outcome(values) is (Reason.TOKEN_MALFORMED if values else None)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "x"]), st.none() | st.integers() | st.text(max_size=3)))
def test_any_header_is_read_or_refused(header: dict[str, object]) -> None:
    assert outcome([parts(header=json.dumps(header).encode())]) in (header.get("alg"), Reason.TOKEN_MALFORMED)


def test_a_key_id_is_short_and_printable() -> None:
    assert is_key_id("k")
    assert is_key_id("k" * 128)
    assert not is_key_id("k" * 129)
    assert not is_key_id("")
    assert not is_key_id("\x7f")
