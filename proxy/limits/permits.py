"""Permits: at most so many at once, each given back once."""


class NoPermit(Exception):
    """All permits are taken."""


class Permit:
    """One of a limited number, until it is given back."""

    __slots__ = ("_permits",)

    def __init__(self, permits: "Permits") -> None:
        self._permits: Permits | None = permits

    def give_back(self) -> None:
        """Give the permit back; a second time does nothing."""
        permits, self._permits = self._permits, None
        if permits is not None:
            permits.in_use -= 1


class Permits:
    """Hands out at most `limit` permits at once.

    The limit may be changed at any time. If it falls below what is in use, nobody
    loses a permit, and none is handed out until enough came back.
    """

    __slots__ = ("in_use", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_use = 0

    def take(self) -> Permit:
        """Return a permit, which its owner must give back.

        Raises:
            NoPermit: as many as `limit` are in use.
        """
        if self.in_use >= self.limit:
            raise NoPermit
        self.in_use += 1
        return Permit(self)
