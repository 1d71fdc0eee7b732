"""A JSON Web Key Set as an issuer publishes it, reduced to the keys that may verify its tokens.

A key is bound to one algorithm: the one it names, or the one its type implies. Keys that
cannot be used are passed over, so that one odd key does not stop the others: for encryption,
private or symmetric ones (who can read them can sign), too short, of an algorithm that this
issuer may not use.

Source: RFC 7517, RFC 7518 section 6, RFC 8725 section 3.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import jwt
from jwt.exceptions import PyJWTError

from proxy.identity.tokens.compact import is_key_id
from proxy.identity.tokens.notation import NotationError, read_object

# Asymmetric ones only: with HS256 a public key would be the secret (CVE-2022-29217).
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip
RsaAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
DOCUMENT_LIMIT_OCTETS = 512 << 10
KEYS_LIMIT = 64
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}
_BY_CURVE = {curve: algorithm for algorithm, curve in _CURVES.items()}

_SIGNATURES = jwt.PyJWS(options={"verify_signature": True, "enforce_minimum_key_length": True})


class KeysUnusable(ValueError):
    """A key set cannot be taken; the text says why."""


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """Which algorithms an issuer may use, and which one an RSA key that names none is bound to."""

    algorithms: tuple[str, ...] = ("RS256", "ES256")
    rsa_default: str = "RS256"


@dataclass(frozen=True, slots=True)
class KeySet:
    """Usable public keys by key id and algorithm."""

    keys: Mapping[tuple[str | None, str], jwt.PyJWK]

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Return the key; a token without a key id fits only an issuer with one key of that algorithm."""
        if key_id is not None:
            return self.keys.get((key_id, algorithm))
        fitting = [key for (_, bound_to), key in self.keys.items() if bound_to == algorithm]
        return fitting[0] if len(fitting) == 1 else None


def read_key_set(document: bytes, policy: KeyPolicy) -> KeySet:
    """Return the usable keys of a JWKS document.

    Raises:
        KeysUnusable: it is too large, not a key set, has too many keys, or no usable one.
    """
    if len(document) > DOCUMENT_LIMIT_OCTETS:
        raise KeysUnusable(f"the key set is larger than {DOCUMENT_LIMIT_OCTETS} octets")
    try:
        listed = read_object(document).get("keys")
    except NotationError as error:
        raise KeysUnusable(f"the key set cannot be read: {error}") from None
    if not isinstance(listed, list):
        raise KeysUnusable("the key set has no list 'keys'")
    if len(listed) > KEYS_LIMIT:
        raise KeysUnusable(f"the key set has {len(listed)} keys, more than {KEYS_LIMIT}")
    keys: dict[tuple[str | None, str], jwt.PyJWK] = {}
    for written in listed:
        key = _usable(written, policy)
        if key:
            keys.setdefault((key.key_id, key.algorithm_name), key)
    if not keys:
        allowed = ", ".join(policy.algorithms)
        raise KeysUnusable(f"the key set has no usable key among {len(listed)} (algorithms: {allowed})")
    return KeySet(keys)


def verifies(token_text: str, key: jwt.PyJWK) -> bool:
    """Say whether `key` signed the token, by the algorithm that the key is bound to."""
    try:
        _SIGNATURES.decode(token_text, key, algorithms=[key.algorithm_name])
    except PyJWTError:
        return False
    return True


def _usable(written: object, policy: KeyPolicy) -> jwt.PyJWK | None:
    if not isinstance(written, dict) or not _is_public_signing_key(written):
        return None
    algorithm = _bound_algorithm(written, policy)
    if algorithm not in policy.algorithms or written.get("crv") != _CURVES.get(algorithm):
        return None
    try:
        key = jwt.PyJWK(written, algorithm)
        is_short = key.Algorithm.check_key_length(key.key)
    except (PyJWTError, ValueError, TypeError):
        return None
    return None if is_short else key


def _is_public_signing_key(written: dict[str, object]) -> bool:
    key_id, operations = written.get("kid"), written.get("key_ops", ["verify"])
    return (
        written.get("kty") in ("RSA", "EC", "OKP")
        and "d" not in written
        and written.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and (key_id is None or (isinstance(key_id, str) and is_key_id(key_id)))
    )


def _bound_algorithm(written: dict[str, object], policy: KeyPolicy) -> str:
    named, curve = written.get("alg"), written.get("crv")
    if named is not None:
        # RFC 9864 calls it Ed25519 what tokens still call EdDSA.
        return "EdDSA" if named == "Ed25519" else str(named)
    if written["kty"] == "RSA":
        return policy.rsa_default
    return _BY_CURVE.get(curve, "") if isinstance(curve, str) else ""
