"""Anchored patterns over names with slashes: `refs/heads/release-*`, `spiffe://farm.example/ci/**`.

`*` is any run of characters of one segment (no `/`), `**` any run at all, all else is itself, letter
case included. A pattern without a star is equality. The whole value must match.

Values are chosen by callers (a branch may be called anything), so matching never backtracks:
the time is at most the value's length times the number of stars.
"""

import re
from functools import lru_cache

# A longer value names nothing that a rule could mean.
VALUE_LIMIT = 4096


def is_glob(pattern: str) -> bool:
    """Say whether `pattern` can match more than one value."""
    return "*" in pattern


def matches(pattern: str, value: str) -> bool:
    """Say whether the whole of `value` is what `pattern` describes."""
    if not is_glob(pattern):
        return pattern == value
    if len(value) > VALUE_LIMIT:
        return False
    reached = {0}
    for part in _parts(pattern):
        reached = _step(part, value, reached)
    return len(value) in reached


def _step(part: str, value: str, reached: set[int]) -> set[int]:
    """Return every place in `value` that one part of a pattern leads to from the places `reached`."""
    if not reached:
        return reached
    if part == "**":
        return set(range(min(reached), len(value) + 1))
    if part == "*":
        return _rest_of_segments(value, reached)
    return {at + len(part) for at in reached if value.startswith(part, at)}


def _rest_of_segments(value: str, reached: set[int]) -> set[int]:
    found: set[int] = set()
    for start in sorted(reached):
        if start in found:  # a place before it in the same segment went through here already
            continue
        end = value.find("/", start)
        found.update(range(start, (len(value) if end < 0 else end) + 1))
    return found


@lru_cache(maxsize=4096)
def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"(\*\*|\*)", pattern) if part)
