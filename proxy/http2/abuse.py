"""What an attacker repeats, and how often it may.

Each budget refills with time, so that a connection that lives for hours and behaves
never meets one. The numbers are far above what build clients do: in an 11 s build
that moved 540 MB, buildx sent 849 PINGs (each after DATA from us, which costs
nothing here), 16 heads, 2 SETTINGS and not one early reset.

Source: RFC 9113 section 10.5; CVE-2019-9511 to 9518, CVE-2023-44487 (rapid reset),
CVE-2024-27316 (CONTINUATION), CVE-2025-8671 (resets that a peer provokes).
"""

from typing import Final

from proxy.http2.frames import ErrorCode, ProtocolFault

SECOND_NS: Final = 1_000_000_000
# More than 8 CONTINUATIONs after a HEADERS of 16 KiB is more than any header list we take.
MAX_CONTINUATIONS: Final = 8
MAX_BLOCK_OCTETS: Final = 65_536
# A connection may spend this much on frames that carry nothing before its payload counts.
OVERHEAD_OCTETS: Final = 1 << 20


class Budget:
    """Admits `burst` of something at once and `per_second` in the long run."""

    __slots__ = ("_burst", "_left", "_per_second", "_refilled_ns", "_what")

    def __init__(self, what: str, *, burst: int, per_second: float) -> None:
        self._what = what
        self._burst = float(burst)
        self._per_second = per_second
        self._left = float(burst)
        self._refilled_ns = 0

    def spend(self, now_ns: int) -> None:
        """Take one.

        Raises:
            ProtocolFault: ENHANCE_YOUR_CALM, nothing is left.
        """
        earned = (now_ns - self._refilled_ns) * self._per_second / SECOND_NS
        self._left = min(self._burst, self._left + earned)
        self._refilled_ns = now_ns
        if self._left < 1:
            raise ProtocolFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {self._what}")
        self._left -= 1


class Budgets:
    """All that one caller's connection may repeat."""

    __slots__ = ("empty_data", "noise", "pings", "refusals", "resets", "settings", "wire_octets", "work_octets")

    def __init__(self) -> None:
        self.resets = Budget("resets of calls that had no answer yet", burst=100, per_second=10)
        self.refusals = Budget("calls that were refused", burst=100, per_second=10)
        self.settings = Budget("SETTINGS", burst=20, per_second=1)
        self.pings = Budget("PINGs without anything to measure", burst=20, per_second=1)
        self.empty_data = Budget("empty DATA frames", burst=100, per_second=1)
        self.noise = Budget("PRIORITY and unknown frames", burst=200, per_second=10)
        self.wire_octets = 0
        self.work_octets = 0

    def check_overhead(self) -> None:
        """Refuse a connection whose frames carry next to nothing, whatever their type.

        Raises:
            ProtocolFault: ENHANCE_YOUR_CALM, an eighth of the octets received is more
                than payload in both directions and a fixed allowance together.
        """
        if self.wire_octets > (self.work_octets + OVERHEAD_OCTETS) * 8:
            raise ProtocolFault(ErrorCode.ENHANCE_YOUR_CALM, "frames that carry nothing")
