"""What a request's head says to us, worked out once for each distinct head of a connection."""

import re
from dataclasses import dataclass

from proxy.buildkit.methods import BRIDGE, METHODS, SESSION, Method
from proxy.buildkit.names import is_identifier
from proxy.buildkit.namespace import Namespace
from proxy.errors import Refused
from proxy.grpc.head import Fields, RequestHead, forwardable, parse_request
from proxy.reasons import Reason

# A client repeats a handful of heads; one that never does costs at most this many.
MOST_REMEMBERED = 64
BUILD_ID = b"buildkit-controlapi-buildid"
SESSION_ID = b"x-docker-expose-session-uuid"
SHARED_KEY = b"x-docker-expose-session-sharedkey"
TRACE = b"traceparent"
_NAMED_ANEW = frozenset({BUILD_ID, SESSION_ID, SHARED_KEY, TRACE})
# W3C Trace Context, section 3.2.2: version 00, trace id, parent id, flags.
_TRACEPARENT = re.compile(r"(00-)([0-9a-f]{32})(-[0-9a-f]{16}-[0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class ReadHead:
    """A judged head. `name` is the build or the session that it names, "" if its method names none.

    `shared_key` is what a Session call says its copies of directories may be found by,
    `trace` is a traceparent, cut before and behind its trace id.
    """

    path: bytes
    authorization: tuple[bytes, ...]
    method: Method | None
    name: str
    shared_key: str
    trace: tuple[str, str, str] | None
    forwarded: tuple[tuple[bytes, bytes], ...]

    def named(self, names: Namespace) -> tuple[tuple[bytes, bytes], ...]:
        """Return the fields that the daemon gets, with the caller's names made its tenant's own.

        A session always gets a shared key: without one the daemon finds its directories
        among those of everybody who sends none, as buildctl does.
        """
        if not self.name and self.trace is None:
            return self.forwarded
        changed: dict[bytes, str] = {}
        if self.method is SESSION:
            changed = {SESSION_ID: names.session(self.name), SHARED_KEY: names.shared_key(self.shared_key)}
        elif self.name:
            changed[BUILD_ID] = names.ref(self.name)
        if self.trace is not None:
            before, trace_id, behind = self.trace
            changed[TRACE] = before + names.trace(trace_id) + behind
        return (*self.forwarded, *[(name, value.encode()) for name, value in changed.items()])


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
            shared_key=_shared_key(head) if method is SESSION else "",
            trace=_trace(head),
            forwarded=tuple(field for field in forwardable(fields) if field[0] not in _NAMED_ANEW),
        )
        if not head.authorization and len(self._known) < MOST_REMEMBERED:
            self._known[fields] = read
        return read


def _trace(head: RequestHead) -> tuple[str, str, str] | None:
    """Return the parts of a traceparent; one that is odd, or one of several, is not passed on."""
    values = head.value(TRACE)
    found = _TRACEPARENT.fullmatch(values[0].decode("latin-1")) if len(values) == 1 else None
    return (found[1], found[2], found[3]) if found else None


def _shared_key(head: RequestHead) -> str:
    values = head.value(SHARED_KEY)
    if len(values) > 1:
        raise Refused(Reason.REQUEST_MALFORMED, why=f"it has {SHARED_KEY.decode()} more than once")
    return values[0].decode("latin-1") if values else ""


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
