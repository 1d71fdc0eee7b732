"""A token bucket: a steady rate with room for a burst.

Kept in the virtual-scheduling form (GCRA): one timestamp, no token count and no
refill. In whole nanoseconds that is exact, so a caller who waits as long as it
was told to wait is admitted.

Source: RFC 2697 section 3 (rate CIR, depth CBS); ITU-T I.371, GCRA.
"""

from proxy.errors import Refused
from proxy.reasons import Reason
from proxy.units import SECOND_NS


class TokenBucket:
    """Admits `rate` tokens a second in the long run and `burst` tokens at once.

    Units: a token is a call or an octet, as the owner decides; times are whole
    nanoseconds of a clock that never runs backwards. The cost of a token is
    rounded to a nanosecond: within 1 % up to 20 million tokens a second.
    """

    __slots__ = ("_depth_ns", "_full_at_ns", "_token_ns")

    def __init__(self, *, rate: float, burst: int) -> None:
        self._full_at_ns = 0
        self.change(rate=rate, burst=burst)

    def change(self, *, rate: float, burst: int) -> None:
        """Take a new rate and depth; the time until the bucket is full again stays.

        Raises:
            ValueError: a rate that is not within 0 < rate <= 1e9, or no burst.
        """
        if not 0 < rate <= SECOND_NS or burst < 1:
            raise ValueError(f"need 0 < rate <= 1e9 and burst >= 1, got {rate=} {burst=}")
        self._token_ns = round(SECOND_NS / rate)
        self._depth_ns = burst * self._token_ns

    def wait_ns(self, tokens: int, *, now_ns: int) -> int:
        """Return how long until `take` succeeds if nobody else takes; 0 is now.

        Raises:
            ValueError: `tokens` is negative or more than a full bucket holds.
        """
        cost_ns = tokens * self._token_ns
        if not 0 <= cost_ns <= self._depth_ns:
            raise ValueError(f"this bucket cannot give {tokens} tokens")
        return max(0, self._full_at_ns - now_ns + cost_ns - self._depth_ns)

    def take(self, tokens: int, *, now_ns: int) -> None:
        """Take all of `tokens`, or none.

        Raises:
            Refused: RATE_LIMITED, with `retry_after_ns` from `wait_ns`. It carries no
                facts for a sentence: who speaks to a caller asks `wait_ns` first.
            ValueError: as `wait_ns`.
        """
        if wait_ns := self.wait_ns(tokens, now_ns=now_ns):
            raise Refused(Reason.RATE_LIMITED, retry_after_ns=wait_ns)
        self._full_at_ns = max(self._full_at_ns, now_ns) + tokens * self._token_ns
