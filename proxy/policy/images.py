"""Names of images, read as a daemon reads them.

`alpine`, `docker.io/alpine` and `index.docker.io/library/alpine:latest` are one image. A
name is brought to its long form before it is judged, and what has none is refused: who
looked at the letters could be walked around by spelling.

Source: github.com/distribution/reference normalize.go and regexp.go.
"""

import re
from dataclasses import dataclass
from typing import Final

LATEST: Final = "latest"
HUB: Final = "docker.io"
_OLD_HUB: Final = "index.docker.io"
_MOST_LENGTH: Final = 1024
_MOST_REPOSITORY_LENGTH: Final = 255

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-f0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LONG = re.compile(
    rf"(?P<repository>{_HOST}/{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-f]{32,}))?"
)
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image in its long form: `docker.io/library/alpine`, and tag and digest, empty if not given."""

    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def tag_in_force(self) -> str:
        """The tag that decides which image it is; empty if the digest does."""
        return "" if self.digest else self.tag or LATEST


def read_image_name(text: str) -> ImageName:
    """Return the image that a daemon takes `text` for.

    Raises:
        ValueError: it is no name of an image.
    """
    found = _LONG.fullmatch(long_form(text)) if len(text) <= _MOST_LENGTH else None
    if found is None or _IDENTIFIER.fullmatch(text) or len(found["repository"]) > _MOST_REPOSITORY_LENGTH:
        raise ValueError("not the name of an image")
    return ImageName(found["repository"], found["tag"] or "", found["digest"] or "")


def long_form(text: str) -> str:
    """Return `text` with its registry in front, in lower case as names of hosts are; it may still be no name."""
    first, slash, rest = text.partition("/")
    if not slash:
        return f"{HUB}/library/{text}"
    # What stands before the first slash is a registry, or else a part of the name.
    if first != "localhost" and not any(mark in first for mark in ".:*") and first == first.lower():
        return f"{HUB}/{text}"
    if first in (HUB, _OLD_HUB):
        return f"{HUB}/{rest}" if "/" in rest else f"{HUB}/library/{rest}"
    return f"{first.lower()}/{rest}"
