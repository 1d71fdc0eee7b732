"""What every connection of the public port shares."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from proxy.call.world import TakeStart, World, no_start
from proxy.edge.buffers import new_buffer
from proxy.edge.clock import now_ns as monotonic_ns
from proxy.edge.upstream_link import UpstreamLink
from proxy.edge.watch import Poller
from proxy.errors import Refused
from proxy.events import ConnectionFault
from proxy.identity.credentials import PresentedCertificate
from proxy.routing.routes import Destination
from proxy.settings.listen import Listen

# One read takes at most this much: large enough that bulk costs few turns, small enough that nobody waits long.
READ_OCTETS = 256 * 1024
# Room for what was left of the last read, in front of the next one.
SCRATCH_OCTETS = READ_OCTETS + 64 * 1024


class Caller(Protocol):
    """Who asks for a connection to a daemon."""

    @property
    def destination(self) -> Destination:
        """The daemon that is meant."""

    def daemon_opened(self, link: UpstreamLink, early: bytes, take_start: TakeStart = no_start) -> None:
        """The connection is there, with octets that came early, and perhaps a start of the daemon to be shown."""

    def daemon_failed(self, refused: Refused) -> None:
        """No connection could be had in time."""


class Connection(Protocol):
    """A connection of the public port that is past its first octets."""

    @property
    def address(self) -> str:
        """The caller's address, by which connections are counted."""

    @property
    def certificate(self) -> PresentedCertificate | None:
        """What the caller showed in the handshake."""

    @property
    def has_build(self) -> bool:
        """A build runs on this connection."""

    def tick(self, now_ns: int) -> None:
        """Look after deadlines; called about once a second."""

    def drain(self) -> None:
        """Ask the caller to leave, if it can be asked."""

    def cut(self, refused: Refused, fault: ConnectionFault) -> None:
        """End every call with a sentence, and the connection."""


@dataclass(slots=True)
class Host:
    """The public port as its connections see it.

    `scratch` is one buffer for all connections: whoever reads into it sends or copies
    what it holds before it returns to the loop.
    """

    world: World
    listen: Listen
    loop: asyncio.AbstractEventLoop
    poller: Poller
    open_daemon: Callable[[Caller], None]
    closed: Callable[[Connection], None]
    new_api: Callable[[], asyncio.Protocol]
    scratch: memoryview = field(default_factory=lambda: new_buffer(SCRATCH_OCTETS))
    connections: int = 0
    # The clock itself: it is read in every turn.
    now_ns: Callable[[], int] = monotonic_ns

    def room_behind(self, kept: bytes) -> memoryview:
        """Put what was kept of the last read at the start of `scratch`, and return where the next one goes."""
        octets = len(kept)
        self.scratch[:octets] = kept
        return self.scratch[octets : octets + READ_OCTETS]

    def next_connection(self) -> int:
        """Return the number of a new connection."""
        self.connections += 1
        return self.connections
