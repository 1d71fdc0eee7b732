"""A settings file, from octets to `Settings`, or to everything that is wrong with it."""

import json
from posixpath import dirname

from pydantic import ValidationError

from proxy.settings.checks import check
from proxy.settings.errors import START, Mistake, Path, SettingsErrors, Unreadable
from proxy.settings.json_schema import json_schema
from proxy.settings.mistakes import mistakes
from proxy.settings.outline import Outline
from proxy.settings.references import located
from proxy.settings.schema import Settings
from proxy.settings.tree import Tree, read_tree


def parse(text: bytes, *, file: str) -> Settings:
    """Read settings; `file` is the name that errors begin with, and relative file names are relative to.

    Raises:
        SettingsErrors: all of the mistakes in the file.
    """
    return judge(read_values(text, file=file), file=file)


def read_values(text: bytes, *, file: str) -> Tree:
    """Read the values of a settings file, right or wrong, and where each of them stands.

    Raises:
        SettingsErrors: it is not YAML, or empty.
    """
    try:
        tree = read_tree(text)
    except Unreadable as error:
        raise SettingsErrors(file, [error.mistake]) from None
    if tree.root is None and not tree.mistakes:
        raise SettingsErrors(file, [Mistake(START, (), "the file is empty; expected settings")])
    tree.root = located(tree.root, dirname(file))
    return tree


def judge(tree: Tree, *, file: str) -> Settings:
    """Return the settings that the values make.

    Raises:
        SettingsErrors: all of the mistakes in the file.
    """
    settings, found = _validated(tree)
    told = {mistake.path for mistake in tree.mistakes if mistake.path}
    found = tree.mistakes + [mistake for mistake in found if not _is_covered(mistake.path, told)]
    if settings is None or found:
        raise SettingsErrors(file, found)
    return settings


def _validated(tree: Tree) -> tuple[Settings | None, list[Mistake]]:
    if tree.root is None:
        return None, []
    try:
        # As JSON, because strict reading of JSON knows that a list may become a tuple.
        settings = Settings.model_validate_json(json.dumps(tree.root))
    except ValidationError as error:
        outline = Outline(json_schema(), tree.root)
        return None, mistakes(tree, outline, error.errors(include_url=False)) + check(tree)
    return settings, check(tree)


def _is_covered(path: Path, told: set[Path]) -> bool:
    """Tell whether a mistake at `path` or above it was told already: what follows from it only confuses."""
    return any(path[:depth] in told for depth in range(1, len(path) + 1))
