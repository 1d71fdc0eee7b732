"""What a request's head says to us, worked out once for each distinct head of a connection."""

from dataclasses import dataclass

from proxy.buildkit.methods import BRIDGE, METHODS, SESSION, Method
from proxy.buildkit.names import is_identifier
from proxy.errors import Refused
from proxy.grpc.head import Fields, RequestHead, forwardable, parse_request
from proxy.reasons import Reason

# A client repeats a handful of heads; one that never does costs at most this many.
MOST_REMEMBERED = 64
BUILD_ID = b"buildkit-controlapi-buildid"
SESSION_ID = b"x-docker-expose-session-uuid"


@dataclass(frozen=True, slots=True)
class ReadHead:
    """A judged head. `name` is the build or the session that it names, "" if its method names none."""

    path: bytes
    authorization: tuple[bytes, ...]
    method: Method | None
    name: str
    forwarded: tuple[tuple[bytes, bytes], ...]


class Heads:
    """Reads heads, and remembers those without a secret."""

    def __init__(self) -> None:
        self._known: dict[Fields, ReadHead] = {}

    def read(self, fields: Fields) -> ReadHead:
        """Return what `fields` say.

        Raises:
            Refused: REQUEST_MALFORMED.
        """
        known = self._known.get(fields)
        if known is not None:
            return known
        head = parse_request(fields)
        method = METHODS.get(head.path)
        read = ReadHead(
            path=head.path,
            authorization=head.authorization,
            method=method,
            name=_name(head, method),
            forwarded=tuple(forwardable(fields)),
        )
        if not head.authorization and len(self._known) < MOST_REMEMBERED:
            self._known[fields] = read
        return read


def _name(head: RequestHead, method: Method | None) -> str:
    if method is None or (method.service != BRIDGE and method is not SESSION):
        return ""
    field = SESSION_ID if method is SESSION else BUILD_ID
    values = head.value(field)
    # The daemon takes the first session id and ignores a build id that occurs twice: neither is a choice for callers.
    if len(values) != 1:
        raise Refused(Reason.REQUEST_MALFORMED, why=f"it must have {field.decode()} exactly once")
    name = values[0].decode("latin-1")
    if not is_identifier(name):
        raise Refused(Reason.REQUEST_MALFORMED, why=f"{field.decode()} is not an id that BuildKit's clients make")
    return name
