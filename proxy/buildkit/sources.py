"""What a daemon fetches for a source of a definition: its identifier, or what an attribute says instead.

Before v0.32 a daemon held the identifier against a source policy, and fetched `git.fullurl`.

Source: moby/buildkit source/git/source.go (Identifier) and identifier.go (String);
util/gitutil/git_url.go.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

FULL_URL: Final = "git.fullurl"
BUNDLE: Final = "git.bundle"
# A URL, or user@host:path as of ssh. What is written otherwise names no place that anybody could mean.
_PLACE = re.compile(
    r"(?:(?:https?|ssh|git)://)?(?:[A-Za-z0-9._~%+:-]+@)?([A-Za-z0-9.-]+(?::[0-9]{1,5})?)(?:/|:(?!//))([A-Za-z0-9._~/#=+-]*)"
)


def fetched(identifier: str, attrs: Mapping[str, str]) -> Iterator[str]:
    """Yield the identifiers of everything that a daemon may fetch for a source, that of the source itself first."""
    yield identifier
    if url := attrs.get(FULL_URL):
        found = _PLACE.fullmatch(url)
        yield f"git://{found[1]}/{found[2]}" if found else f"git://{url}"
    if bundle := attrs.get(BUNDLE):
        yield bundle
