"""A bearer token before its signature is checked: exactly one, small, and written in the one strict form.

Nothing that a header says is obeyed, but for `kid` and `alg`, and those only choose among
keys that the issuer's own key set offers. Headers that would change how a token is read or
verified make it unacceptable.

Source: RFC 6750 section 2.1, RFC 7515 sections 4.1 and 7.1, RFC 8725.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.errors import Refused
from proxy.identity.tokens.notation import NotationError, read_base64url, read_object
from proxy.reasons import Reason

# Where a key comes from (jku, x5u, jwk, x5c), how the payload is written (b64, zip, enc), what else must be understood.
FORBIDDEN_HEADERS = frozenset({"crit", "b64", "zip", "enc", "jku", "x5u", "jwk", "x5c"})
KEY_ID_LIMIT = 128
_COMPACT = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class Token:
    """A well-formed token that nobody has verified yet. The repr keeps its secret."""

    text: str = field(repr=False)
    algorithm: str
    key_id: str | None
    type: str | None
    claims: dict[str, object] = field(repr=False)

    @property
    def issuer(self) -> object:
        """Who the token says it comes from."""
        return self.claims.get("iss")


def read_bearer(values: Sequence[bytes], *, limit_octets: int) -> Token | None:
    """Return the one token among the values of the `authorization` field; None if there are no values.

    Raises:
        Refused: TOKEN_MALFORMED, whenever anything is there that is not exactly one bearer token.
    """
    if not values:
        return None
    if len(values) > 1:
        raise _malformed("more than one authorization value was sent")
    if len(values[0]) > limit_octets:
        raise _malformed(f"it is larger than {limit_octets} octets")
    scheme, _, written = values[0].partition(b" ")
    if scheme.lower() != b"bearer":
        raise _malformed("the authorization value must be 'Bearer' and a token")
    if b"," in written:
        raise _malformed("the authorization value is a list")
    return read_compact(written)


def read_compact(written: bytes) -> Token:
    """Return the token that `written` spells.

    Raises:
        Refused: TOKEN_MALFORMED.
    """
    parts = _COMPACT.fullmatch(written)
    if not parts:
        raise _malformed("it is not three parts of base64url without padding")
    header_text, payload_text, signature_text = (part.decode("ascii") for part in parts.groups())
    try:
        header = read_object(read_base64url(header_text))
        claims = read_object(read_base64url(payload_text))
        read_base64url(signature_text)
    except NotationError as error:
        raise _malformed(str(error)) from None
    return _token(written.decode("ascii"), header, claims)


def _token(text: str, header: dict[str, object], claims: dict[str, object]) -> Token:
    forbidden = sorted(FORBIDDEN_HEADERS & header.keys())
    if forbidden:
        raise _malformed(f"its header has {forbidden[0]!r}, which is not accepted")
    algorithm, type_ = header.get("alg"), header.get("typ")
    if not isinstance(algorithm, str):
        raise _malformed("its header names no algorithm")
    if not isinstance(type_, str | None):
        raise _malformed("its 'typ' is not a text")
    return Token(text=text, algorithm=algorithm, key_id=_key_id(header), type=type_, claims=claims)


def _key_id(header: dict[str, object]) -> str | None:
    if "kid" not in header:
        return None
    key_id = header["kid"]
    if not isinstance(key_id, str) or not is_key_id(key_id):
        raise _malformed(f"its key id is not 1 to {KEY_ID_LIMIT} printable ASCII characters")
    return key_id


def is_key_id(text: str) -> bool:
    """Say whether `text` may name a key: 1 to 128 printable ASCII characters."""
    return 0 < len(text) <= KEY_ID_LIMIT and text.isascii() and text.isprintable()


def _malformed(why: str) -> Refused:
    return Refused(Reason.TOKEN_MALFORMED, detail=why, why=why)
