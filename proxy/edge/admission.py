"""How many connections may be open, in all and from one address, before anybody is known."""

import ipaddress
from collections import Counter

from proxy.events import ConnectionFault


class Admission:
    """Counts open connections. An IPv6 caller owns a whole /64, so that is what counts as an address."""

    def __init__(self, *, most: int, most_per_address: int) -> None:
        self.most = most
        self.most_per_address = most_per_address
        self._open: Counter[str] = Counter()

    def fault(self, address: str | None) -> ConnectionFault | None:
        """Say why one more connection from `address` is not taken; None if it is.

        A balancer's own connections are of many callers: for them `address` is None.
        """
        if self._open.total() >= self.most:
            return ConnectionFault.TOO_MANY
        if address is not None and self._open[_network(address)] >= self.most_per_address:
            return ConnectionFault.TOO_MANY_FROM_ADDRESS
        return None

    def enter(self, address: str) -> None:
        """Count a connection."""
        self._open[_network(address)] += 1

    def leave(self, address: str) -> None:
        """Forget a connection that was counted."""
        network = _network(address)
        self._open[network] -= 1
        if self._open[network] <= 0:
            del self._open[network]


def _network(address: str) -> str:
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
