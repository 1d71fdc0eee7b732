"""Session ids that are in use, and whose they are.

The daemon keeps sessions in one table: whoever opens a session under a live id takes
its place, and whoever names an id in a Solve makes the daemon ask that client for
files and secrets. So an id belongs to the tenant that named it first, for as long as
a session or a build uses it, and has one live session at a time.

Source: moby/buildkit session/manager.go, `HandleConn` and `Get`.
"""

from collections.abc import Callable, Iterable

from proxy.errors import Refused
from proxy.reasons import Reason


class Sessions:
    """Session ids in use, in this process."""

    def __init__(self) -> None:
        self._tenants: dict[str, str] = {}
        self._uses: dict[str, int] = {}
        self._open: set[str] = set()

    def open(self, session: str, tenant: str) -> Callable[[], None]:
        """Take `session` for a Session call; return what gives it back.

        Raises:
            Refused: SESSION_LIVE, it is open already; FOREIGN_SESSION, it is another tenant's.
        """
        self._check(session, tenant)
        if session in self._open:
            raise Refused(Reason.SESSION_LIVE)
        self._open.add(session)
        give_back = self._use(session, tenant)

        def close() -> None:
            self._open.discard(session)
            give_back()

        return close

    def name(self, sessions: Iterable[str], tenant: str) -> list[Callable[[], None]]:
        """Take the ids that a build names; return what gives each back.

        Raises:
            Refused: FOREIGN_SESSION, one of them is another tenant's; then none is taken.
        """
        named = list(sessions)
        for session in named:
            self._check(session, tenant)
        return [self._use(session, tenant) for session in named]

    def _check(self, session: str, tenant: str) -> None:
        if self._tenants.get(session, tenant) != tenant:
            raise Refused(Reason.FOREIGN_SESSION, tenant=tenant)

    def _use(self, session: str, tenant: str) -> Callable[[], None]:
        self._tenants[session] = tenant
        self._uses[session] = self._uses.get(session, 0) + 1

        def give_back() -> None:
            self._uses[session] -= 1
            if not self._uses[session]:
                del self._uses[session], self._tenants[session]

        return give_back
