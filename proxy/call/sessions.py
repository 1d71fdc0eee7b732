"""Session ids that are in use.

The daemon keeps sessions in one table: whoever opens a session under a live id takes
its place, and when they leave the entry is gone. Each tenant has names of its own
(`buildkit.namespace`); within a tenant an id has one live session at a time.

Source: moby/buildkit session/manager.go, `HandleConn`.
"""

from collections.abc import Callable

from proxy.errors import Refused
from proxy.reasons import Reason


class Sessions:
    """Sessions that are open, in this process."""

    def __init__(self) -> None:
        self._open: set[tuple[str, str]] = set()

    def open(self, session: str, tenant: str) -> Callable[[], None]:
        """Take `session` for a Session call; return what gives it back.

        Raises:
            Refused: SESSION_LIVE, the tenant has one open under this id.
        """
        name = (tenant, session)
        if name in self._open:
            raise Refused(Reason.SESSION_LIVE)
        self._open.add(name)
        return lambda: self._open.discard(name)
