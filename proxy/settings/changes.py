"""What a new generation of settings changes, for the log of a reload."""

from typing import Any

from proxy.settings.errors import Path, dotted
from proxy.settings.schema import Settings

# The port is opened once; a process cannot move while builds run on its connections. So is the store.
# Builds that run would be looked for under other names.
FIXED = ("listen.address", "admin.address", "store.file", "isolation.key_file")


def changed(before: Settings, after: Settings) -> tuple[str, ...]:
    """Return the dotted paths of the keys whose values differ, in the order of the schema."""
    return tuple(dotted(path) for path in _differing(before.model_dump(mode="json"), after.model_dump(mode="json"), ()))


def needing_restart(changes: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the changes that a reload cannot make."""
    return tuple(path for path in changes if path in FIXED)


def _differing(before: Any, after: Any, path: Path) -> list[Path]:
    """Return where the values differ; a list or a value that appears or goes is one change."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [] if before == after else [path]
    return [
        found
        for key in dict.fromkeys((*before, *after))
        for found in _differing(before.get(key), after.get(key), (*path, key))
    ]
