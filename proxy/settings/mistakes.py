"""What pydantic found, as sentences: what is wrong, what was expected, what was perhaps meant."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from proxy.settings.errors import Mistake, Path
from proxy.settings.outline import Outline, inside
from proxy.settings.references import Kind, kind_of
from proxy.settings.tree import Tree
from proxy.units import parse_duration, written_duration, written_size

# pydantic's error type -> what it wanted
KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
}
BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
SECRETIVE = ("password", "passphrase", "secret", "token", "private_key", "key")
Details = Mapping[str, Any]


def mistakes(tree: Tree, outline: Outline, errors: Iterable[Details]) -> list[Mistake]:
    """Return a mistake for each error, in the words of the file.

    `errors` are those of `ValidationError.errors()`, found when reading `tree.root`.
    """
    found = [(_path(tree.root, details), details) for details in errors]
    parents = {path[:depth] for path, _ in found for depth in range(len(path))}
    return [
        _one(tree, outline, path, details)
        for path, details in found
        # a list is short of the items that are wrong, which are told already
        if not (details["type"] == "too_short" and path in parents)
    ]


def _path(root: object, details: Details) -> Path:
    """Return the path of an error in the file: pydantic's own also names the shape that it chose by `type`."""
    path: list[str | int] = []
    value = root
    *above, last = details["loc"] or ("",)
    for step in above:
        if isinstance(step, int) or (isinstance(value, Mapping) and step in value and step != value.get("type")):
            path.append(step)
            value = inside(value, step)
    is_key = isinstance(last, int) or details["type"] == "missing" or (isinstance(value, Mapping) and last in value)
    return (*path, last) if is_key else tuple(path)


def _one(tree: Tree, outline: Outline, path: Path, details: Details) -> Mistake:
    kind = details["type"]
    if kind == "extra_forbidden":
        return Mistake(tree.key_mark(path), path, _unknown_key(outline, path))
    if kind == "missing":
        return Mistake(tree.key_mark(path[:-1]), path, "the key is missing; expected a value")
    mark = tree.key_mark(path) if "[key]" in details["loc"] else tree.value_mark(path)
    return Mistake(mark, path, _wrong_value(path, details))


def _unknown_key(outline: Outline, path: Path) -> str:
    """Say that a key is not known, and which one was perhaps meant."""
    key = str(path[-1])
    known = outline.keys(path[:-1])
    if close := difflib.get_close_matches(key, known, n=1):
        return f"unknown key; did you mean {close[0]!r}?"
    if key.lower() in SECRETIVE or f"{key}_file" in known:
        files = [name for name in known if name.endswith("_file")]
        return f"unknown key; secrets are read from files: expected {_listed(files or ['a *_file key'])}"
    if blocks := outline.blocks_with(key):
        return f"unknown key here; did you mean '{blocks[0]}.{key}'?"
    return f"unknown key; expected {_listed(known)}" if known else "unknown key"


def _wrong_value(path: Path, details: Details) -> str:
    kind, got = details["type"], _got(path, details)
    if kind in KINDS:
        return f"wrong kind of value{got}; expected {KINDS[kind]}{_quotes(kind, details['input'])}"
    if kind in BOUNDS:
        name, words = BOUNDS[kind]
        return f"out of range{got}; expected {words} {_in_unit(details['ctx'][name], details['input'])}"
    if kind in SENTENCES:
        return SENTENCES[kind](details, got)
    return f"{details['msg'][0].lower()}{details['msg'][1:]}{got}"


def _unknown_word(details: Details, got: str) -> str:
    expected = details["ctx"]["expected"]
    return f"unknown value{got}; expected {expected}{_meant(details['input'], expected)}"


def _unknown_type(details: Details, _got: str) -> str:
    tag, expected = details["ctx"]["tag"], details["ctx"]["expected_tags"]
    return f"unknown type (got {tag!r}); expected {expected}{_meant(tag, expected)}"


def _said_by_validator(details: Details, got: str) -> str:
    """Put what was read before the first `;` of a validator's own sentence; a whole block needs no repeating."""
    what, semicolon, rest = str(details["ctx"]["error"]).partition(";")
    is_plain = isinstance(details["input"], str | int | float)
    return f"{what}{got if is_plain else ''}{semicolon}{rest}"


SENTENCES: Mapping[str, Callable[[Details, str], str]] = {
    "literal_error": _unknown_word,
    "enum": _unknown_word,
    "union_tag_invalid": _unknown_type,
    "union_tag_not_found": lambda _details, _got: "the key 'type' is missing; it says what the rest means",
    "too_short": lambda details, _got: f"too few values; expected at least {details['ctx']['min_length']}",
    "string_too_short": lambda details, got: (
        f"too short{got}; expected at least {details['ctx']['min_length']} characters"
    ),
    "string_pattern_mismatch": lambda details, got: (
        f"not in the right form{got}; expected the pattern {details['ctx']['pattern']}"
    ),
    "value_error": _said_by_validator,
}


def _got(path: Path, details: Details) -> str:
    """Return ` (got ...)` for a short plain value; never what may be a secret put into the wrong place."""
    given = details["input"]
    if given is None:
        return " (got nothing)"
    if isinstance(given, Mapping):
        return " (got keys and values)"
    if isinstance(given, list | tuple):
        return " (got a list)"
    text = {True: "true", False: "false"}[given] if isinstance(given, bool) else repr(given)
    is_secretive = kind_of(path) is Kind.SECRET or "eyJ" in text or "-----" in text
    return "" if len(text) > 60 or is_secretive else f" (got {text})"


def _quotes(kind: str, given: object) -> str:
    is_bare = kind == "string_type" and isinstance(given, int | float)
    return f'; put it in quotes: "{str(given).lower() if isinstance(given, bool) else given}"' if is_bare else ""


def _in_unit(bound: object, given: object) -> str:
    """Return a bound in the unit of the text that broke it: nanoseconds mean nothing to an operator."""
    if not isinstance(given, str) or not isinstance(bound, int):
        return f"{bound}"
    try:
        parse_duration(given)
    except ValueError:
        return written_size(bound)
    return written_duration(bound)


def _meant(given: object, expected: str) -> str:
    """Return a suggestion from choices such as `'text' or 'json'`."""
    choices = expected.split("'")[1::2]
    if not isinstance(given, str):
        is_choice = str(given) in choices
        return f'; put it in quotes: "{given}"' if is_choice else ""
    close = difflib.get_close_matches(given.lower(), choices, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _listed(names: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
