"""Is the build daemon there, and which one is it?

Each look dials anew, as each caller's connection will, and asks `Info` and
`ListWorkers`. Looks are seconds apart, so a daemon that polices pings or counts
connections has nothing to complain of.

Source: moby/buildkit api/services/control/control.proto, InfoResponse (1
buildkitVersion) and ListWorkersResponse (1 record); api/types/worker.proto,
BuildkitVersion (2 version).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc

from proxy.buildkit.address import UpstreamAddress
from proxy.buildkit.versions import is_older
from proxy.buildkit.wire import Message, Shape, Shapes, WireError
from proxy.edge.grpc_bridge import bridged
from proxy.edge.upstream import open_upstream
from proxy.errors import one_line
from proxy.events import Event, UpstreamChanged, Warned

INFO = "/moby.buildkit.v1.Control/Info"
LIST_WORKERS = "/moby.buildkit.v1.Control/ListWorkers"

LOOK_LIMIT_S = 10.0
UP_INTERVAL_S = 5.0
FIRST_RETRY_S = 0.5
_MIB = 1 << 20
# BuildKit's error trailers exceed gRPC's 8 KiB (6 KiB of stack trace for a trivial error).
CHANNEL_OPTIONS = (
    ("grpc.max_metadata_size", _MIB),
    ("grpc.absolute_max_metadata_size", _MIB),
    ("grpc.max_receive_message_length", 16 * _MIB),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.use_local_subchannel_pool", 1),
)

_ANSWER: Shapes = {1: Shape.MESSAGES}
_VERSION: Shapes = {2: Shape.TEXT}


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at the daemon saw; `version` is the daemon's own word, empty if it says none."""

    is_up: bool
    version: str = ""
    detail: str = ""


async def look(address: UpstreamAddress) -> Seen:
    """Return whether builds can run at `address` now; takes at most `LOOK_LIMIT_S`."""
    try:
        async with asyncio.timeout(LOOK_LIMIT_S), open_channel(address) as channel:
            return await _ask(channel)
    except grpc.aio.AioRpcError as error:
        return Seen(is_up=False, detail=await _explain(address, error))
    except TimeoutError:
        return Seen(is_up=False, detail=f"it did not answer within {LOOK_LIMIT_S:g} s")
    except (OSError, WireError) as error:
        return Seen(is_up=False, detail=one_line(error))


@asynccontextmanager
async def open_channel(address: UpstreamAddress) -> AsyncIterator[grpc.aio.Channel]:
    """Yield a gRPC channel to the daemon, for calls of our own."""
    if address.scheme == "docker":
        async with bridged(address) as path, grpc.aio.insecure_channel(f"unix:{path}", CHANNEL_OPTIONS) as channel:
            yield channel
    else:
        async with grpc.aio.insecure_channel(f"unix:{address.path}", CHANNEL_OPTIONS) as channel:
            yield channel


class HealthWatch:
    """Looks at the daemon again and again, and says when something changed.

    `emit` gets `UpstreamChanged` after the first look and at each change, and `Warned`
    for a daemon that is older than
    `minimum_version` or does not say.
    """

    def __init__(self, address: UpstreamAddress, *, minimum_version: str, emit: Callable[[Event], None]) -> None:
        self.address = address
        self._minimum_version = minimum_version
        self._emit = emit
        self.seen: Seen | None = None

    @property
    def is_up(self) -> bool:
        """Whether the daemon was there at the last look."""
        return self.seen is not None and self.seen.is_up

    async def run(self) -> None:
        """Look until cancelled: every 5 s, and sooner at first when the daemon went away."""
        retry_s = FIRST_RETRY_S
        while True:
            seen = await look(self.address)
            self._tell(seen)
            await asyncio.sleep(UP_INTERVAL_S if seen.is_up else retry_s)
            retry_s = FIRST_RETRY_S if seen.is_up else min(2 * retry_s, UP_INTERVAL_S)

    def _tell(self, seen: Seen) -> None:
        known, self.seen = self.seen, seen
        if known is not None and (known.is_up, known.version) == (seen.is_up, seen.version):
            return
        self._emit(UpstreamChanged(str(self.address), seen.is_up, seen.version, seen.detail))
        if seen.is_up and (warning := doubt(self.address, seen.version, self._minimum_version)):
            self._emit(Warned(warning))


def doubt(daemon: object, version: str, minimum_version: str) -> str:
    """Return what an operator should know about the version of `daemon`, or nothing."""
    older = is_older(version, minimum_version)
    if older is None:
        return (
            f"the build daemon {daemon} tells no version ({version or 'none'}): make sure that its BuildKit is "
            f"{minimum_version} or later (minimum_version)"
        )
    if older:
        return (
            f"the build daemon {daemon} is BuildKit {version}, older than {minimum_version} "
            "(minimum_version): known holes let a build out of its sandbox"
        )
    return ""


async def _ask(channel: grpc.aio.Channel) -> Seen:
    """Ask for version and workers.

    Raises:
        grpc.aio.AioRpcError: the daemon is away or refuses.
        WireError: an answer is no message.
    """
    version = _version_of(await _call(channel, INFO))
    workers = Message(await _call(channel, LIST_WORKERS), _ANSWER).messages(1)
    if not workers:
        return Seen(is_up=False, version=version, detail="it has no workers, so it cannot build")
    return Seen(is_up=True, version=version)


async def _call(channel: grpc.aio.Channel, method: str) -> bytes:
    """Make a call with an empty request and return the octets of its answer."""
    call = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
    answer: bytes = await call(b"")
    return answer


def _version_of(info: bytes) -> str:
    """Return the version in an InfoResponse."""
    return next((one_line(Message(one, _VERSION).text(2)) for one in Message(info, _ANSWER).messages(1)), "")


async def _explain(address: UpstreamAddress, error: grpc.aio.AioRpcError) -> str:
    """Return why the call failed: the kernel says it in fewer words than grpcio."""
    try:
        sock, _ = await open_upstream(address)
    except OSError as reason:
        return one_line(reason.strerror or reason)
    sock.close()
    return one_line(f"{error.code().name}: {error.details()}")
