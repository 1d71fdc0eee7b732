"""Versions of BuildKit: which daemons are too old to be trusted with several tenants.

Source: a daemon's own words in `Control/Info`: `v0.31.1`, `v0.13.2+azure`, `v0.12.0-rc1`,
`v0.0.0+unknown` for a build without a tag.
"""

import re

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?:[-+]\S*)?", re.ASCII)


def parse_version(text: str) -> tuple[int, int, int] | None:
    """Return the numbers of a version, or None if `text` tells none: nothing is ever 0.0.0."""
    found = _VERSION.fullmatch(text)
    numbers = (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)
    return numbers if any(numbers) else None


def is_older(version: str, minimum: str) -> bool | None:
    """Tell whether `version` comes before `minimum`; None if either tells nothing."""
    have, need = parse_version(version), parse_version(minimum)
    return have < need if have and need else None
