"""YAML text to plain values, and the place of each of them in the file.

ruamel.yaml reads the syntax (YAML 1.2); this file builds the values itself from
the parser's events, because it refuses what settings have no use for: anchors
and aliases (eight lines can stand for gigabytes), tags, a second document, keys
that are not text. A key given twice is a mistake, never a silent choice.
"""

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from proxy.settings.errors import START, Mark, Mistake, Path, Unreadable
from proxy.settings.scalar import is_fit, plain
from proxy.settings.text import decoded, mark_at, tabs

Value = Any
# Far above any real file (a rule has about ten nodes); reading as many takes a few seconds.
MAX_NODES = 100_000
MAX_DEPTH = 24


@dataclass(slots=True)
class Tree:
    """The values of a file; `keys` and `values` say where each path's key and value stand."""

    root: Value = None
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def key_mark(self, path: Path) -> Mark:
        """Return where the key of `path` stands, or the nearest key or value that does."""
        while path and path not in self.keys:
            if path in self.values:
                return self.values[path]
            path = path[:-1]
        return self.keys.get(path) or self.values.get((), START)

    def value_mark(self, path: Path) -> Mark:
        """Return where the value of `path` stands; an empty value stands at its key."""
        return self.values.get(path) or self.key_mark(path)


@dataclass(slots=True)
class _Open:
    """A mapping or sequence whose end was not seen yet; `key` is the next value's."""

    path: Path
    value: dict[str, Value] | list[Value]
    key: str | None = None

    @property
    def next_path(self) -> Path:
        return (*self.path, len(self.value) if isinstance(self.value, list) else self.key or "")


def read_tree(text: bytes) -> Tree:
    """Read a YAML document of at most 1 MiB.

    Raises:
        Unreadable: the text is too large, not UTF-8, not YAML, or too deep.
    """
    characters = decoded(text)
    tree = Tree(mistakes=tabs(characters))
    if tree.mistakes:
        return tree
    try:
        _build(tree, characters)
    except YAMLError as error:
        raise _unreadable(characters, error) from None
    return tree


def _unreadable(characters: str, error: YAMLError) -> Unreadable:
    """Return where ruamel.yaml stopped, and why; its messages differ by layer."""
    if isinstance(error, ReaderError):
        return Unreadable(mark_at(characters, error.position or 0), "a character that YAML does not allow")
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return Unreadable(Mark(mark.line + 1, mark.column + 1) if mark else START, f"not YAML: {problem}")


def _build(tree: Tree, characters: str) -> None:
    stack: list[_Open] = []
    documents = nodes = 0
    for event in YAML(typ="safe", pure=True).parse(characters):
        documents += isinstance(event, DocumentStartEvent)
        nodes += isinstance(event, NodeEvent)
        _guard(event, documents=documents, nodes=nodes, depth=len(stack))
        if isinstance(event, CollectionEndEvent):
            stack.pop()
        elif isinstance(event, NodeEvent):
            _take(tree, stack, event)


def _guard(event: Event, *, documents: int, nodes: int, depth: int) -> None:
    """Stop before a file costs more than settings can be worth."""
    mark = _mark(event)
    if isinstance(event, DocumentStartEvent) and (event.version or event.tags):
        raise Unreadable(mark, "a YAML directive; expected none")
    if documents > 1:
        raise Unreadable(mark, "a second document; expected one")
    if nodes > MAX_NODES:
        raise Unreadable(mark, f"more than {MAX_NODES} values")
    if depth > MAX_DEPTH:
        raise Unreadable(mark, f"nested more than {MAX_DEPTH} deep")


def _take(tree: Tree, stack: list[_Open], event: NodeEvent) -> None:
    """Put the node of `event` where it belongs: a key, or a value of the innermost open collection."""
    top = stack[-1] if stack else None
    if top is not None and isinstance(top.value, dict) and top.key is None:
        _take_key(tree, top, event)
        return
    path = top.next_path if top else ()
    value = _value(tree, path, event)
    tree.values[path] = _mark(event)
    if value is None and path in tree.keys:
        del tree.values[path]
    if top is None:
        tree.root = value
    elif isinstance(top.value, list):
        top.value.append(value)
    else:
        top.value[top.key or ""] = value
        top.key = None
    if isinstance(value, dict | list):
        stack.append(_Open(path, value))


def _take_key(tree: Tree, top: _Open, event: NodeEvent) -> None:
    if not isinstance(event, ScalarEvent):
        raise Unreadable(_mark(event), "a key that is not text")
    _refuse_sharing(tree, (*top.path, event.value), event)
    top.key = event.value
    path = top.next_path
    if path in tree.keys:
        what = f"the key stands here and in line {tree.keys[path].line}; expected once"
        tree.mistakes.append(Mistake(_mark(event), path, what))
    elif not is_fit(event.value):
        tree.mistakes.append(Mistake(_mark(event), top.path, "a key with a control character"))
    tree.keys.setdefault(path, _mark(event))


def _value(tree: Tree, path: Path, event: NodeEvent) -> Value:
    """Return the value that begins with `event`: complete if a scalar, else still empty."""
    _refuse_sharing(tree, path, event)
    if isinstance(event, MappingStartEvent):
        return {}
    if isinstance(event, SequenceStartEvent):
        return []
    if not isinstance(event, ScalarEvent):
        return None
    if not is_fit(event.value):
        tree.mistakes.append(Mistake(_mark(event), path, "a control character in the text"))
        return ""
    return plain(event.value) if event.implicit[0] else event.value


def _refuse_sharing(tree: Tree, path: Path, event: NodeEvent) -> None:
    """Note an alias, an anchor or a tag: none has a meaning in settings."""
    if isinstance(event, AliasEvent):
        tree.mistakes.append(Mistake(_mark(event), path, f"an alias (*{event.anchor}); write the value out"))
    elif event.anchor is not None:
        tree.mistakes.append(Mistake(_mark(event), path, f"an anchor (&{event.anchor}); write the value out"))
    elif tag := getattr(event, "tag", None):
        tree.mistakes.append(Mistake(_mark(event), path, f"a tag ({tag}); expected a plain value"))


def _mark(event: Event) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)
