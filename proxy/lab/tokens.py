"""Tokens as an OIDC issuer makes them: ES256, one key, and that key's public half as a JSON Web Key.

Source: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 section 3.4 (ES256: r and s, 32 octets each) and 6.2.1.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

KEY_ID = "demo-1"


def mint(key: EllipticCurvePrivateKey, claims: Mapping[str, object]) -> str:
    """Return a signed token with these claims; `key` is on the curve P-256."""
    header = {"alg": "ES256", "typ": "JWT", "kid": KEY_ID}
    signed = f"{coded(as_json(header))}.{coded(as_json(claims))}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ECDSA(SHA256())))
    return f"{signed}.{coded(r.to_bytes(32) + s.to_bytes(32))}"


def public_keys(key: EllipticCurvePrivateKey) -> dict[str, object]:
    """Return the JSON Web Key Set that proves tokens of `key`."""
    point = key.public_key().public_numbers()
    x, y = (coded(number.to_bytes(32)) for number in (point.x, point.y))
    return {"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID, "x": x, "y": y}]}


def as_json(value: object) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def coded(octets: bytes) -> str:
    """Return base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode()
