"""`Control/ListenBuildHistory`: the one request that tells nothing of anybody.

Before it prints its hint about build history, buildx asks whether the daemon keeps
one, by a ref that no build has. Refusing that would only take the hint away.

Source: docker/buildx util/confutil and build/build.go; recorded from buildx 0.29.1.
"""

from proxy.buildkit.names import is_identifier
from proxy.buildkit.wire import BYTES, VARINT, Message, Shape, Value, WireError, fields

PROBE_REF = b"buildx-test-history-api-feature"
_ACTIVE_ONLY, _REF, _EARLY_EXIT = 1, 2, 3
_PROBE = {(_ACTIVE_ONLY, VARINT, 1), (_REF, BYTES, PROBE_REF), (_EARLY_EXIT, VARINT, 1)}


def is_feature_probe(message: bytes) -> bool:
    """Tell whether a BuildHistoryRequest is exactly that probe: these three fields, once each, and no other."""
    try:
        said = [(number, wire_type, _plain(value)) for number, wire_type, value in fields(message)]
    except WireError:
        return False
    return len(said) == len(_PROBE) and set(said) == _PROBE


def _plain(value: Value) -> int | bytes:
    return value if isinstance(value, int) else bytes(value)


def asks_for_one_record(message: bytes) -> bool:
    """Tell whether a BuildHistoryRequest asks for the record of one build and no more.

    After a build with `--metadata-file`, buildx asks so for the provenance; a daemon that
    keeps no history answers with an empty list, and buildx is content.
    """
    try:
        said = Message(message, {2: Shape.TEXT, 3: Shape.FLAG})
        others = any(number not in (2, 3) for number, _, _ in fields(message))
    except WireError:
        return False
    return said.flag(3) and is_identifier(said.text(2)) and not others
