"""A gate for repeated lines: the first ones pass, the rest are counted.

A hostile peer can cause a line with every packet it sends. What it causes must fit
on the disk, and must not hide what honest callers cause; so each key (who and
what) has its own allowance, and each kind of line has one for all keys together.
"""

from collections.abc import Hashable
from dataclasses import dataclass

OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class Held:
    """`count` lines of this kind and key were held back in a window that is over."""

    kind: str
    key: Hashable
    count: int


class FloodGate:
    """Admits `each` lines a window for a key, and `in_all` for a kind; counts what it holds back.

    Windows follow each other without overlap and begin at the first line after the
    last one. At most `keys` keys are remembered; further ones share the key OTHERS.
    """

    def __init__(self, *, each: int, in_all: int, window_ns: int, keys: int = 1024) -> None:
        self._each = each
        self._in_all = in_all
        self._window_ns = window_ns
        self._keys = keys
        self._ends_at_ns: int | None = None
        self._seen: dict[tuple[str, Hashable], int] = {}
        self._passed: dict[str, int] = {}
        self._held: dict[tuple[str, Hashable], int] = {}

    def admits(self, kind: str, key: Hashable, *, now_ns: int) -> bool:
        """Say whether the line may pass; if not, it is counted. Call `ended` first."""
        if self._ends_at_ns is None:
            self._ends_at_ns = now_ns + self._window_ns
        line = (kind, key)
        if line not in self._seen and len(self._seen) >= self._keys:
            line = (kind, OTHERS)
        seen = self._seen[line] = self._seen.get(line, 0) + 1
        passed = self._passed.get(kind, 0)
        if seen > self._each or passed >= self._in_all:
            self._held[line] = self._held.get(line, 0) + 1
            return False
        self._passed[kind] = passed + 1
        return True

    def ended(self, now_ns: int) -> list[Held]:
        """Return what was held back if the window is over, and begin anew; else nothing."""
        if self._ends_at_ns is None or now_ns < self._ends_at_ns:
            return []
        return self.close()

    def close(self) -> list[Held]:
        """Return what was held back, and begin anew."""
        held = [Held(kind, key, count) for (kind, key), count in self._held.items()]
        self._ends_at_ns = None
        self._seen, self._passed, self._held = {}, {}, {}
        return held
