"""Which files a settings file names, and what each of them is.

A key names a file if it ends in `_file`, or is `file` in the blocks `jwks`, `audit` and `store`.
Names are relative to the settings file, wherever the process was started.
"""

from collections.abc import Iterator
from enum import Enum
from posixpath import join
from typing import Any, NamedTuple

from proxy.settings.errors import Path


class Kind(Enum):
    """What is in a file."""

    CERTIFICATE = "certificate"
    PRIVATE_KEY = "private key"
    SIGNING_KEY = "signing key"
    AUTHORITIES = "authorities"
    REVOCATIONS = "revocation list"
    TOKEN_KEYS = "key set"  # noqa: S105  these keys are public
    SECRET = "secret"  # noqa: S105
    WRITTEN = "written"


class Reference(NamedTuple):
    """A file, what it should hold, and the key that names it."""

    path: Path
    kind: Kind
    file: str


KINDS = {
    "certificate_file": Kind.CERTIFICATE,
    "key_file": Kind.PRIVATE_KEY,
    "ca_file": Kind.AUTHORITIES,
    "crl_file": Kind.REVOCATIONS,
}
BLOCKS = {"jwks": Kind.TOKEN_KEYS, "audit": Kind.WRITTEN, "store": Kind.WRITTEN}
# Below these stand names that others chose: claims, and fields of a key.
OTHERS_NAMES = ("match", "inline")


def kind_of(path: Path) -> Kind | None:
    """Return what the file at the key `path` holds; None if the key names no file."""
    *above, key = path or ("",)
    block = above[-1] if above else ""
    if not isinstance(key, str) or any(name in path for name in OTHERS_NAMES):
        return None
    if key == "file":
        return BLOCKS.get(str(block))
    if key == "key_file" and path[0] == "issuer":
        return Kind.SIGNING_KEY
    return KINDS.get(key, Kind.SECRET) if key.endswith("_file") else None


def references(value: object, path: Path = ()) -> Iterator[Reference]:
    """Return each file that the values of a settings file name."""
    if isinstance(value, str) and (kind := kind_of(path)):
        yield Reference(path, kind, value)
    for step, member in _members(value):
        yield from references(member, (*path, step))


def located(value: Any, home: str, path: Path = ()) -> Any:
    """Return the values with each file's name joined to the directory `home` of the settings file."""
    if isinstance(value, dict):
        return {key: located(member, home, (*path, key)) for key, member in value.items()}
    if isinstance(value, list):
        return [located(member, home, (*path, index)) for index, member in enumerate(value)]
    return join(home, value) if value and isinstance(value, str) and kind_of(path) else value


def _members(value: object) -> list[tuple[str | int, object]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []
