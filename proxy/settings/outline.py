"""What a settings file may say, as a JSON Schema: which keys and words are known at a place."""

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.settings.errors import Path

Schema = Mapping[str, Any]


class Outline:
    """Answers questions about a JSON Schema by path into the values of one file.

    Where a block may have several shapes, the value of its `type` chooses; without a
    known one, all shapes count.
    """

    def __init__(self, schema: Schema, root: object) -> None:
        self._schema = schema
        self._root = root

    def keys(self, path: Path) -> list[str]:
        """Return the keys known in the block at `path`."""
        return list(dict.fromkeys(key for schema in self._at(path) for key in schema.get("properties", ())))

    def blocks_with(self, key: str) -> list[str]:
        """Return the top-level blocks that know `key`."""
        return [block for block in self.keys(()) if key in self.keys((block,))]

    def value(self, path: Path) -> object:
        """Return what the file says at `path`; None if nothing."""
        value = self._root
        for step in path:
            value = inside(value, step)
        return value

    def _at(self, path: Path) -> list[Schema]:
        found = list(self._shapes(self._schema, self._root))
        for depth, step in enumerate(path, start=1):
            value = self.value(path[:depth])
            found = [shape for schema in found for shape in self._shapes(_next(schema, step), value)]
        return found

    def _shapes(self, schema: Schema | None, value: object) -> Iterator[Schema]:
        """Return the shapes that `schema` allows `value` to have, references followed."""
        if schema is None:
            return
        if "$ref" in schema:
            yield from self._shapes(self._referred(schema["$ref"]), value)
        mapping = schema.get("discriminator", {}).get("mapping", {})
        tag = inside(value, "type")
        if isinstance(tag, str) and tag in mapping:
            yield from self._shapes(self._referred(mapping[tag]), value)
            return
        for choice in (*schema.get("oneOf", ()), *schema.get("anyOf", ()), *schema.get("allOf", ())):
            yield from self._shapes(choice, value)
        yield schema

    def _referred(self, reference: str) -> Schema:
        schema: Schema = self._schema["$defs"][reference.rpartition("/")[2]]
        return schema


def inside(value: object, step: str | int) -> object:
    """Return the member of a mapping or list; None if there is none."""
    if isinstance(value, Mapping):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def _next(schema: Schema, step: str | int) -> Schema | None:
    """Return what `schema` says of the member `step` of a value that it describes."""
    others = schema.get("additionalProperties")
    by_pattern = next(iter(schema.get("patternProperties", {}).values()), None)
    found: Schema | None = (
        schema.get("items")
        if isinstance(step, int)
        else schema.get("properties", {}).get(step) or (others if isinstance(others, Mapping) else by_pattern)
    )
    return found
