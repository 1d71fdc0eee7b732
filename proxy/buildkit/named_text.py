"""What a daemon says in words, with its names for a client's things turned back into the client's own.

Names are {daemon's name: client's name}. They are found as whole names only, so nothing
else in a text changes, and each place in it is changed once.

Source: PROTOCOL-HTTP2.md, "Responses"; google/rpc/status.proto. Clients take code and
message from `grpc-status-details-bin`, if it is there: both must say the same.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Final

from proxy.buildkit.draft import Draft
from proxy.buildkit.wire import Shape, Shapes, WireError
from proxy.grpc.status import Field, percent_decode, percent_encode

_MESSAGE: Final = b"grpc-message"
_DETAILS: Final = b"grpc-status-details-bin"
_STATUS: Final[Shapes] = {1: Shape.NUMBER, 2: Shape.TEXT, 3: Shape.MESSAGES}
# A name goes on behind a dot if a letter follows: a full stop ends it.
_BEFORE, _BEHIND = r"(?<![A-Za-z0-9_.-])", r"(?![A-Za-z0-9_-]|\.[A-Za-z0-9_-])"

Names = Mapping[str, str]


def client_text(text: str, names: Names) -> str:
    """Return `text` with the client's names."""
    if not any(name in text for name in names):
        return text
    any_name = "|".join(map(re.escape, names))
    return re.sub(f"{_BEFORE}(?:{any_name}){_BEHIND}", lambda found: names[found[0]], text)


def client_status(octets: bytes | memoryview, names: Names) -> bytes:
    """Return a google.rpc.Status whose message has the client's names; code and details stay.

    Raises:
        WireError: it cannot be read.
    """
    status = Draft(octets, _STATUS, takes_unknown=True)
    status.set_text(2, client_text(status.text(2), names))
    return bytes(status.encode())


def client_trailers(fields: Sequence[Field], names: Names) -> Sequence[Field]:
    """Return trailers whose message has the client's names; they stay as they are if the details cannot be read."""
    try:
        return [(name, _client_value(name, value, names)) for name, value in fields]
    except (WireError, binascii.Error):
        return fields


def _client_value(name: bytes, value: bytes, names: Names) -> bytes:
    if name == _MESSAGE:
        text = percent_decode(value)
        changed = client_text(text, names)
        return value if changed == text else percent_encode(changed)
    if name == _DETAILS:
        octets = base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
        changed_octets = client_status(octets, names)
        return value if changed_octets == octets else base64.b64encode(changed_octets).rstrip(b"=")
    return value
