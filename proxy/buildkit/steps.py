"""Steps of the farm's own in a build's progress, as stock clients show them.

A client lays its clock beside the daemon's by the first step that begins. So ours,
which began before, comes behind the daemon's first: else every running step would
seem younger than it is.

Source: moby/buildkit api/services/control/control.proto, StatusResponse (1 vertexes)
and Vertex (1 digest, 3 name, 5 started, 6 completed); google/protobuf/timestamp.proto;
util/progress/progressui/display.go, `trace.update`.
"""

import hashlib

from proxy.buildkit.draft import encode_number, encode_octets
from proxy.buildkit.wire import WireError, fields
from proxy.events import DaemonStarted
from proxy.units import SECOND_NS

_VERTEXES = 1
_DIGEST, _NAME, _STARTED, _COMPLETED = 1, 3, 5, 6
_SECONDS, _NANOS = 1, 2


def daemon_started(tenant: str, *, begun_wall_ns: int, ended_wall_ns: int) -> bytes:
    """Return a StatusResponse with a finished step: the start of a daemon for `tenant`."""
    name = f"[farm] started a build daemon for {tenant}"
    # Clients tell steps by their digests; no definition has this one.
    digest = f"sha256:{hashlib.sha256(f'kilngate {begun_wall_ns} {name}'.encode()).hexdigest()}"
    vertex = (
        encode_octets(_DIGEST, digest.encode())
        + encode_octets(_NAME, name.encode())
        + encode_octets(_STARTED, _timestamp(begun_wall_ns))
        + encode_octets(_COMPLETED, _timestamp(ended_wall_ns))
    )
    return encode_octets(_VERTEXES, vertex)


def daemon_step(started: DaemonStarted) -> "OwnStep":
    """Return what shows a build that its daemon was started for it."""
    whose = started.tenant or f"pool {started.pool}"
    return OwnStep(daemon_started(whose, begun_wall_ns=started.begun_wall_ns, ended_wall_ns=started.ended_wall_ns))


class OwnStep:
    """Puts one message of ours into a Status stream, once and as early as clients take it well."""

    def __init__(self, message: bytes) -> None:
        self._message: bytes | None = message

    def feed(self, message: bytes) -> list[bytes]:
        """Return what the caller gets for one StatusResponse of the daemon's."""
        if self._message is None or not _begins_a_step(message):
            return [message]
        own, self._message = self._message, None
        return [message, own]

    def finish(self) -> list[bytes]:
        """Return what the caller gets at the end: nothing more, the stream must not outlast the daemon's."""
        return []


def _begins_a_step(message: bytes) -> bool:
    try:
        vertexes = [value for number, _, value in fields(message) if number == _VERTEXES]
        return any(
            isinstance(each, memoryview) and _STARTED in {one for one, _, _ in fields(each)} for each in vertexes
        )
    except WireError:
        return False


def _timestamp(wall_ns: int) -> bytes:
    seconds, nanos = divmod(wall_ns, SECOND_NS)
    return encode_number(_SECONDS, seconds) + encode_number(_NANOS, nanos)
