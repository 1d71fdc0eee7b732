"""How long a daemon that does not start is left alone before it is tried again."""

from proxy.units import SECOND_NS

LONGEST_NS = 60 * SECOND_NS


class Backoff:
    """Counts failures in a row: the second is tried at once, later ones wait 1 s, 2 s, 4 s ... up to a minute."""

    def __init__(self) -> None:
        self._failures = 0
        self._until_ns = 0

    def failed(self, now_ns: int) -> None:
        """Note a failure."""
        self._failures += 1
        if self._failures > 1:
            self._until_ns = now_ns + min(LONGEST_NS, SECOND_NS << min(self._failures - 2, 10))

    def wait_ns(self, now_ns: int) -> int:
        """Return how long not to try again; 0 is now."""
        return max(0, self._until_ns - now_ns)
