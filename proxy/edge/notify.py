"""What systemd is told: ready, reloading, stopping, alive.

Source: sd_notify(3), "Well-known assignments". Without NOTIFY_SOCKET nothing is told.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping

from proxy.errors import one_line

MICROSECONDS = 1_000_000


class Notifier:
    """Tells the service manager; a manager that does not listen is no fault of ours."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the zero octet of an abstract socket; vsock is not for us.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._is_heard = address.startswith(("/", "@"))
        self.watchdog_seconds = _watchdog_seconds(environ)

    def ready(self, status: str) -> None:
        """The start, or a reload, is over."""
        self._tell("READY=1", f"STATUS={one_line(status)}")

    def reloading(self, now_ns: int) -> None:
        """A reload begins; `now_ns` is of the monotonic clock (Type=notify-reload wants it)."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={now_ns // 1000}", "STATUS=reloading")

    def stopping(self) -> None:
        """No new calls; builds may still end."""
        self._tell("STOPPING=1", "STATUS=letting builds end")

    async def watchdog(self) -> None:
        """Say twice in each interval that the event loop turns; return at once if nobody asked."""
        while self._is_heard and self.watchdog_seconds:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_seconds / 2)

    def _tell(self, *lines: str) -> None:
        if not self._is_heard:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), self._address)


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    interval = environ.get("WATCHDOG_USEC", "")
    is_for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    is_number = interval.isascii() and interval.isdigit()
    return int(interval) / MICROSECONDS if is_number and is_for_us else 0.0
