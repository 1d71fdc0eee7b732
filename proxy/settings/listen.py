"""The block `listen`: the public port."""

from typing import Annotated

from pydantic import Field

from proxy.record import Record
from proxy.settings.address import Address, Endpoint, Network
from proxy.units import SECOND_NS, Duration

# Long enough for a caller on a bad line, short enough that silent connections do not pile up.
Patience = Annotated[Duration, Field(ge=SECOND_NS // 10, le=300 * SECOND_NS)]


class Listen(Record):
    """The public port: where it is, and how much it bears before anybody is known."""

    address: Address = Endpoint("0.0.0.0", 8443)  # noqa: S104  refused without a trust source (checks.py)
    """Where callers connect: an IP address and a port. A change needs a restart."""
    proxy_protocol_from: tuple[Network, ...] = ()
    """Load balancers (networks in CIDR form) whose PROXY protocol header names the caller; from
    these a connection without the header is refused, from all others one with it."""
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Connections open at once, of all callers."""
    max_connections_per_address: Annotated[int, Field(ge=1, le=100_000)] = 64
    """Connections open at once from one IP address (IPv6: one /64)."""
    handshake_timeout: Patience = 10 * SECOND_NS
    """How long a TLS handshake may take."""
    preface_timeout: Patience = 10 * SECOND_NS
    """How long after the handshake the HTTP/2 preface may take."""
    first_request_timeout: Patience = 10 * SECOND_NS
    """How long after the preface the first call may take, and its identity to be proven."""
