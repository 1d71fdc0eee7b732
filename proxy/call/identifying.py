"""Who calls on one connection: judged when a call starts, remembered while the proof holds."""

from collections.abc import Callable

from proxy.call.world import World
from proxy.caller import Caller
from proxy.identity.credentials import Credentials, PresentedCertificate


class Identifying:
    """The callers of one connection, usually one.

    A connection counts against its tenant's limit from the first proven call on. `last` is
    who made the call that was judged last, None if nobody was proven.
    """

    def __init__(self, world: World, certificate: PresentedCertificate | None) -> None:
        self._world = world
        self._certificate = certificate
        self._held: dict[str, Callable[[], None]] = {}
        self._authorization: tuple[bytes, ...] = ()
        self._generation = -1
        self._known: Caller | None = None
        self.last: Caller | None = None
        self.tenant: str | None = None

    def caller(self, authorization: tuple[bytes, ...]) -> Caller:
        """Return who makes a call that shows `authorization`.

        Raises:
            Refused: nobody that this farm knows.
            KeysNeeded: fetch the issuer's keys and ask again.
        """
        generation = self._world.generation
        wall_ns = self._world.wall_ns()
        known = self.last = self._known
        if (
            known is not None
            and generation.number == self._generation
            and authorization == self._authorization
            and wall_ns < known.judged_until_ns
        ):
            return known
        self.last = self._known = None
        caller = generation.authenticator.authenticate(
            Credentials(self._certificate, authorization), now_wall_ns=wall_ns
        )
        self.last = caller
        self._count(caller)
        self._known, self._authorization, self._generation = caller, authorization, generation.number
        return caller

    def close(self) -> None:
        """Give back the connection's places."""
        while self._held:
            self._held.popitem()[1]()

    def _count(self, caller: Caller) -> None:
        if caller.tenant not in self._held:
            permit = self._world.limits.open_connection(caller.tenant)
            self._held[caller.tenant] = permit.give_back
            self.tenant = self.tenant or caller.tenant
