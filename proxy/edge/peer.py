"""How the other end of a connection is written, for people and for counting."""

import ipaddress


def plain_address(address: str) -> str:
    """Return an IPv4 address as such: a port that serves both families sees it as `::ffff:192.0.2.7`."""
    if not address.startswith("::"):
        return address
    mapped = ipaddress.IPv6Address(address.partition("%")[0]).ipv4_mapped
    return str(mapped) if mapped else address


def peer(address: str, port: int) -> str:
    """Return address and port as one word."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
