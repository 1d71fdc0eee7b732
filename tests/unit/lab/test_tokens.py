"""Tokens of the lab's issuer are tokens to everybody."""

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from proxy.lab.tokens import mint, public_keys

KEY = ec.generate_private_key(ec.SECP256R1())


@given(st.dictionaries(st.text(min_size=1).map("x".__add__), st.text() | st.integers()))
def test_a_minted_token_is_proven_by_the_published_key(claims: dict[str, object]) -> None:
    key = jwt.PyJWKSet.from_dict(public_keys(KEY)).keys[0]

    assert jwt.decode(mint(KEY, claims), key, algorithms=["ES256"]) == claims


def test_the_published_key_holds_no_private_part() -> None:
    assert "d" not in public_keys(KEY)["keys"][0]  # type: ignore[index]
