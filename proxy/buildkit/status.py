"""`Control/Status`: whose build is asked for, and the steps counted from the answer.

Source: moby/buildkit api/services/control/control.proto; the counting is that of
solver/llbsolver/history/buildhistory.go, `ImportStatus`, so the numbers are those of
the daemon's own history record (fields 15, 16, 17 and 19).
"""

from proxy.buildkit.names import IDENTIFIER_RULE, is_identifier
from proxy.buildkit.wire import BYTES, VARINT, Message, Shape, Shapes, WireError, fields
from proxy.errors import Refused
from proxy.events import BuildSteps
from proxy.reasons import Reason

_REQUEST: Shapes = {1: Shape.TEXT}
_VERTEX, _WARNING = 1, 4
_DIGEST, _CACHED, _COMPLETED = 1, 4, 6
# A definition of 16 MiB has some 300,000 steps; what counts them must not outgrow it.
MOST_STEPS = 400_000


def read_status_request(message: bytes) -> str:
    """Return the ref of the build that is asked for.

    Raises:
        Refused: MESSAGE_UNREADABLE.
    """
    try:
        ref = Message(message, _REQUEST).text(1)
    except WireError as error:
        raise _unreadable(str(error)) from None
    if not is_identifier(ref):
        raise _unreadable(f"the ref is not {IDENTIFIER_RULE}")
    return ref


class StepCounter:
    """Counts the steps of one build from the messages of its Status stream.

    A step is a vertex, told again whenever it changes. It is cached, or completed, if
    it ever was. Logs are most of the octets: they are skipped by their length.
    """

    __slots__ = ("_cached", "_completed", "_is_readable", "_seen", "_warnings")

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._cached: set[bytes] = set()
        self._completed: set[bytes] = set()
        self._warnings = 0
        self._is_readable = True

    def feed(self, message: bytes | memoryview) -> None:
        """Count what a StatusResponse tells; never raises, for a count must not end a build."""
        if not self._is_readable:
            return
        try:
            self._count(message)
        except WireError:
            self._is_readable = False
        self._is_readable = self._is_readable and len(self._seen) <= MOST_STEPS

    def steps(self) -> BuildSteps | None:
        """Return the counts so far, or None if a message could not be read."""
        if not self._is_readable:
            return None
        return BuildSteps(
            total=len(self._seen),
            cached=len(self._cached),
            completed=len(self._completed),
            warnings=self._warnings,
        )

    def _count(self, message: bytes | memoryview) -> None:
        for number, wire_type, value in fields(message):
            if wire_type != BYTES or isinstance(value, int):
                continue
            if number == _VERTEX:
                self._count_vertex(value)
            elif number == _WARNING:
                self._warnings += 1

    def _count_vertex(self, octets: memoryview) -> None:
        digest, is_cached, is_completed = b"", False, False
        for number, wire_type, value in fields(octets):
            if number == _DIGEST and wire_type == BYTES:
                digest = bytes(value)
            elif number == _CACHED and wire_type == VARINT:
                is_cached = bool(value)
            elif number == _COMPLETED:
                is_completed = True
        self._seen.add(digest)
        if is_cached:
            self._cached.add(digest)
        if is_completed:
            self._completed.add(digest)


def _unreadable(why: str) -> Refused:
    return Refused(Reason.MESSAGE_UNREADABLE, method="Control/Status", why=why)
