"""JSON and base64url as strictly as signatures deserve: one way to write a thing, one way to read it.

Two readers that disagree about a document are how a checked token becomes another one. So
repeated members, NaN and infinities, lone surrogates, padding and non-canonical endings are
all refused.

Source: RFC 8259 section 4 (repeated names), RFC 7515 section 2 (base64url without padding).
"""

import base64
import binascii
import json
import re

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class NotationError(ValueError):
    """The octets are not written as they must be; the text says how, and quotes nothing."""


def read_object(octets: bytes) -> dict[str, object]:
    """Return the JSON object in `octets`.

    Raises:
        NotationError: it is not UTF-8, not JSON, not an object, nested too deeply, repeats
            a member, or has numbers or characters that do not exist.
    """
    try:
        found = json.loads(octets.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_no_constant)
        if _SURROGATE_ESCAPE.search(octets):
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except NotationError:
        raise
    except (ValueError, RecursionError) as error:  # UnicodeError and JSONDecodeError are ValueErrors
        raise NotationError("it is not JSON in UTF-8") from error
    if not isinstance(found, dict):
        raise NotationError("it is not a JSON object")
    return found


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotationError("it has the same JSON member twice")
    return found


def _no_constant(_: str) -> object:
    raise NotationError("it has a number that is not one")


def read_base64url(text: str) -> bytes:
    """Return the octets that `text` spells in base64url without padding.

    Raises:
        NotationError: another alphabet, padding, an impossible length, or stray bits at the end.
    """
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotationError("it is not base64url") from error
    if base64.urlsafe_b64encode(octets).rstrip(b"=") != text.encode("ascii"):
        raise NotationError("it is not base64url without padding")
    return octets
