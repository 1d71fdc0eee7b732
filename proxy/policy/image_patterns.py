"""The patterns that a policy allows images by, and the same as regular expressions for a daemon."""

import re
from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import AfterValidator

from proxy import glob
from proxy.policy.images import LATEST, ImageName, long_form, read_image_name

EVERYTHING: Final = "**"

_PATTERN = re.compile(
    r"(?P<repository>(?:[a-z0-9*._\[\]:-]+/)?[a-z0-9*._/-]+?)"
    r"(?::(?P<tag>>=[0-9]{1,6}\.[0-9]{1,6}|[A-Za-z0-9_.*-]+))?"
    r"(?:@(?P<digest>[a-z0-9]+:[0-9a-f]{32,}))?"
)
_VERSION = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})(?:\.[0-9]{1,6})?(?:-[A-Za-z0-9_.-]+)?")
_MAJOR = re.compile(r"([0-9]{1,6})(?:-labs)?")
# Tags that are moved to every new release.
_NEWEST: Final = frozenset({LATEST, "labs"})

# A part of a path never begins with a dot: `..` would lead to another repository.
_PART = "[a-z0-9][a-z0-9._-]*"
_ANY_TAG = "(?::[A-Za-z0-9_.-]+)?"
_ANY_DIGEST = "(?:@[a-z0-9+._-]+:[0-9a-f]+)?"


class ImagePattern:
    """A repository, in which `*` is any run without a slash and `**` any run, and perhaps a tag or a digest.

    Without a tag it allows every tag and digest. With a tag (`*` may stand in it) it allows no digests, for
    where there is one the tag says nothing. `:>=1.4` allows that version and newer ones, and the tags that are
    moved to every release: `latest`, `labs`, and a bare major number.
    """

    def __init__(self, text: str) -> None:
        """Read a pattern as an operator writes it.

        Raises:
            ValueError: it is none.
        """
        found = _PATTERN.fullmatch(text)
        if found is None:
            raise ValueError("not a pattern of images; expected such as 'registry.example.com/team/**' or 'alpine:3.*'")
        self.is_everything = text == EVERYTHING
        if "*" in found["repository"] and "/" not in found["repository"] and not self.is_everything:
            raise ValueError("not a pattern of images; write '**' for all, or 'docker.io/library/*'")
        self.repository = EVERYTHING if self.is_everything else long_form(found["repository"])
        self.tag: str = found["tag"] or ""
        self.digest: str = found["digest"] or ""

    def allows(self, image: ImageName) -> bool:
        """Tell whether `image` is one of those."""
        if self.digest:
            is_version = image.digest == self.digest
        elif self.tag:
            is_version = bool(image.tag_in_force) and _is_tag(self.tag, image.tag_in_force)
        else:
            is_version = True
        return is_version and glob.matches(self.repository, image.repository)

    def regex(self) -> str:
        """Return what finds these images in a daemon's source identifiers, behind `docker-image://`; not anchored.

        A daemon's own identifiers have tag and digest, so here a tag may have any digest behind it.
        """
        if self.is_everything:
            return ".*"
        if self.digest:
            return f"{_repository_regex(self.repository)}{_ANY_TAG}@{re.escape(self.digest)}"
        if self.tag and not self.tag.startswith(">="):
            tag = "".join("[A-Za-z0-9_.-]*" if "*" in part else re.escape(part) for part in _parts(self.tag))
            return f"{_repository_regex(self.repository)}:{tag}{_ANY_DIGEST}"
        return f"{_repository_regex(self.repository)}{_ANY_TAG}{_ANY_DIGEST}"


def _is_tag(pattern: str, tag: str) -> bool:
    if not pattern.startswith(">="):
        return glob.matches(pattern, tag)
    if tag in _NEWEST:
        return True
    least = [int(number) for number in pattern[2:].split(".")]
    if found := _VERSION.fullmatch(tag):
        return [int(found[1]), int(found[2])] >= least
    found = _MAJOR.fullmatch(tag)
    return found is not None and int(found[1]) >= least[0]


def _repository_regex(repository: str) -> str:
    said = ""
    for part in _parts(repository):
        if "*" not in part:
            said += re.escape(part)
        elif said.endswith("/"):
            said += f"(?:{_PART}(?:/{_PART})*/?)?" if part == "**" else f"(?:{_PART})?"
        else:
            rest = "[a-z0-9._-]*" if "/" in said else r"[a-z0-9.:\[\]-]*"
            said += f"{rest}(?:/{_PART})*/?" if part == "**" else rest
    return said


def _parts(pattern: str) -> list[str]:
    return [part for part in re.split(r"(\*\*|\*)", pattern) if part]


class ImagePatterns:
    """The images that a policy allows: those of any of its patterns. Without patterns there are none."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.texts = tuple(patterns)
        self._patterns = tuple(map(ImagePattern, self.texts))
        self.allows_everything = EVERYTHING in self.texts

    def allows(self, image: ImageName) -> bool:
        """Tell whether `image` is one of those."""
        return any(pattern.allows(image) for pattern in self._patterns)

    def allows_text(self, text: str) -> bool:
        """Tell whether `text` names one of those; what names no image does only if everything is allowed."""
        try:
            return self.allows_everything or self.allows(read_image_name(text))
        except ValueError:
            return False


def _checked(text: str) -> str:
    ImagePattern(text)
    return text


ImagePatternText = Annotated[str, AfterValidator(_checked)]
