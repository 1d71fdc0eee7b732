"""A door: an address to dial, and the processes behind it whose cost is counted. The direct ways are doors too."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.child import Child
from bench.ground import Ground, program
from bench.packages import Unavailable, run

LOAD_S = 120.0


@dataclass(frozen=True, slots=True)
class Door:
    """An open door. `to` is what the load dials; `alpn` what it must offer; `child` is None for the direct ways."""

    name: str
    version: str
    to: str
    tls: bool
    child: Child | None
    alpn: bool = True

    def cpu_seconds(self) -> float:
        """Return the CPU time of the door so far; 0 for the direct ways."""
        return self.child.cpu_seconds() if self.child else 0.0

    def close(self) -> None:
        """End the door's process."""
        if self.child:
            self.child.stop()


# Opens a door before the upstream socket that the ground names.
Opener = Callable[[Ground], Door]


def open_direct(ground: Ground) -> Door:
    """No door: the daemon's own socket."""
    return Door(name="direct", version="", to=f"unix:{ground.socket}", tls=False, child=None)


def open_direct_tls(ground: Ground) -> Door:
    """No door, but TLS with client certificates, ended by the sink itself in C."""
    return Door(name="direct TLS", version="", to=str(ground.tls_port), tls=True, child=None)


def load_command(ground: Ground, door: Door, *arguments: str) -> list[str]:
    """Return the command of one load through a door."""
    pki = ground.certificates
    tls = ["--ca", str(pki.ca), "--certificate", str(pki.client), "--key", str(pki.client_key)] if door.tls else []
    alpn = ["--alpn"] if door.tls and door.alpn else []
    return [str(program("client")), "--to", door.to, *tls, *alpn, *arguments]


def run_load(ground: Ground, door: Door, *arguments: str) -> dict[str, Any]:
    """Run one load to its end and return what client.c printed.

    Raises:
        Unavailable: calls failed; the text says how.
    """
    done = run(load_command(ground, door, *arguments), within_s=LOAD_S)
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = f"; the door ended: {door.child.said()}" if door.child and not door.child.is_alive else ""
        raise Unavailable(f"the load ended with {done.returncode}: {done.stderr.strip()[-200:]}{said}") from None
    if door.child and not door.child.is_alive:
        raise Unavailable(f"the door ended: {door.child.said()}")
    if result["failed"]:
        raise Unavailable(f"{result['failed']} calls failed: {result['complaint']}")
    return result
