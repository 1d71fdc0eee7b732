import json
from dataclasses import replace
from typing import Any

import jwt
import pytest

from proxy.identity.tokens.keys import KEYS_LIMIT, KeyPolicy, KeysUnusable, read_key_set, verifies
from tests.helpers.signing import SigningKey, key_set, new_key

EC = new_key("ES256", "ec")
RSA = new_key("RS256", "rsa")
P384 = new_key("ES384", "p384")
EDDSA = new_key("EdDSA", "ed")
EVERYTHING = KeyPolicy(("RS256", "PS256", "ES256", "ES384", "EdDSA"))
USUAL = KeyPolicy()


def document(*keys: Any) -> bytes:
    return json.dumps(key_set(*keys)).encode()


def test_keys_are_found_by_id_and_algorithm() -> None:
    keys = read_key_set(document(EC, RSA), USUAL)

    assert len(keys) == 2
    found = keys.find("ec", "ES256")
    assert found is not None
    assert found.key_id == "ec"
    assert keys.find("ec", "RS256") is None
    assert keys.find("none", "ES256") is None


def test_a_token_without_a_key_id_fits_only_one_key_of_its_algorithm() -> None:
    found = read_key_set(document(EC, RSA), USUAL).find(None, "ES256")

    assert found is not None
    assert found.key_id == "ec"
    assert read_key_set(document(EC, new_key(key_id="ec2")), USUAL).find(None, "ES256") is None


@pytest.mark.parametrize("key", [EC, RSA, P384, EDDSA], ids=lambda key: key.algorithm)
def test_a_key_verifies_what_it_signed_and_nothing_else(key: SigningKey) -> None:
    found = read_key_set(document(key), EVERYTHING).find(key.key_id, key.algorithm)
    token = key.sign({"sub": "x"})
    header, payload, signature = token.split(".")

    assert found is not None
    assert verifies(token, found)
    assert not verifies(key.sign({"sub": "x"}, {"alg": "RS512"}), found)
    assert not verifies(f"{header}.{payload}A.{signature}", found)
    assert not verifies(replace(new_key(key.algorithm), key_id=key.key_id).sign({"sub": "x"}), found)


@pytest.mark.parametrize(
    ("written", "algorithm"),
    [
        pytest.param(RSA.public(alg=None), "RS256", id="RSA"),
        pytest.param(EC.public(alg=None), "ES256", id="P-256"),
        pytest.param(P384.public(alg=None), "ES384", id="P-384"),
        pytest.param(EDDSA.public(alg=None), "EdDSA", id="Ed25519"),
        pytest.param(EDDSA.public(alg="Ed25519"), "EdDSA", id="Ed25519 by its new name"),
    ],
)
def test_a_key_without_an_algorithm_is_bound_by_its_type(written: dict[str, object], algorithm: str) -> None:
    found = read_key_set(document(written), EVERYTHING).find(str(written["kid"]), algorithm)

    assert found is not None
    assert found.algorithm_name == algorithm


def test_an_rsa_key_without_an_algorithm_is_bound_to_the_configured_one() -> None:
    signs_pss = replace(RSA, algorithm="PS256")
    keys = read_key_set(document(RSA.public(alg=None)), KeyPolicy(("RS256", "PS256"), "PS256"))
    found = keys.find("rsa", "PS256")

    assert keys.find("rsa", "RS256") is None
    assert found is not None
    assert verifies(signs_pss.sign({}), found)
    assert not verifies(RSA.sign({}), found)


UNUSABLE = {
    "not a mapping": "key",
    "symmetric": {"kty": "oct", "k": "AAAA", "kid": "x", "alg": "HS256"},
    "symmetric that says RS256": {"kty": "oct", "k": "AAAA", "kid": "x", "alg": "RS256"},
    "private": jwt.get_algorithm_by_name("ES256").to_jwk(EC.private, as_dict=True)
    | {"kid": "x", "alg": "ES256", "key_ops": ["sign", "verify"]},
    "for encryption": EC.public(use="enc"),
    "for other operations": EC.public(key_ops=["deriveKey"]),
    "operations as a text": EC.public(key_ops="verify"),
    "an algorithm off the list": P384.public(),
    "an algorithm of another type": EC.public(alg="RS256"),
    "an algorithm of another curve": P384.public(alg="ES256"),
    "an algorithm that is a list": EC.public(alg=["ES256"]),
    "alg none": EC.public(alg="none"),
    "HS256 on an RSA key": RSA.public(alg="HS256"),
    "RSA of 1024 bits": new_key("RS256", "weak", rsa_bits=1024).public(),
    "a curve nobody knows": EC.public(crv="P-999", alg=None),
    "a curve that is a list": EC.public(crv=["P-256"], alg=None),
    "a point off the curve": EC.public(x="AAAA"),
    "no modulus": {"kty": "RSA", "kid": "x", "alg": "RS256", "e": "AQAB"},
    "a modulus that is a number": RSA.public(n=5),
    "an RSA key with a curve": RSA.public(crv="P-256"),
    "no type": {"kid": "x"},
    "a type nobody knows": EC.public(kty="XX"),
    "a key id that is a number": EC.public(kid=5),
    "a key id too long": EC.public(kid="k" * 129),
}


@pytest.mark.parametrize("odd", UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_that_cannot_be_used_is_passed_over_and_stops_no_other(odd: Any) -> None:
    keys = read_key_set(json.dumps({"keys": [odd, new_key(key_id="good").public()]}).encode(), USUAL)

    assert [key_id for key_id, _ in keys.keys] == ["good"]
    with pytest.raises(KeysUnusable, match="no usable key among 1"):
        read_key_set(json.dumps({"keys": [odd]}).encode(), USUAL)


def test_of_two_keys_of_one_name_the_first_counts() -> None:
    found = read_key_set(document(EC, new_key(key_id="ec")), USUAL).find("ec", "ES256")

    assert found is not None
    assert verifies(EC.sign({}), found)


@pytest.mark.parametrize(
    ("octets", "what"),
    [
        pytest.param(b"", "cannot be read", id="nothing"),
        pytest.param(b"<html>", "cannot be read", id="HTML"),
        pytest.param(b"[]", "cannot be read", id="a list"),
        pytest.param(b'{"keys":[],"keys":[]}', "member twice", id="member twice"),
        pytest.param(b"{}", "no list 'keys'", id="no keys"),
        pytest.param(b'{"keys":{}}', "no list 'keys'", id="keys as a mapping"),
        pytest.param(b'{"keys":[]}', "no usable key among 0", id="empty"),
        pytest.param(b" " * ((512 << 10) + 1), "larger than", id="huge"),
    ],
)
def test_what_is_no_key_set_is_refused(octets: bytes, what: str) -> None:
    with pytest.raises(KeysUnusable, match=what):
        read_key_set(octets, USUAL)


def test_a_key_set_may_be_as_large_as_allowed() -> None:
    octets = document(EC)

    assert read_key_set(octets + b" " * ((512 << 10) - len(octets)), USUAL)


def test_a_key_set_has_at_most_so_many_keys() -> None:
    keys = [EC.public(kid=f"k{number}") for number in range(KEYS_LIMIT + 1)]

    assert len(read_key_set(document(*keys[1:]), USUAL)) == KEYS_LIMIT
    with pytest.raises(KeysUnusable, match="has 65 keys"):
        read_key_set(document(*keys), USUAL)
