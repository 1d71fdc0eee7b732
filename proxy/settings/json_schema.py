"""The JSON Schema of a settings file, for editors, generated documents and "did you mean".

It is an aid, not the judge: it cannot see what stands between the blocks.
"""

import json
import re
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from proxy.settings.address import Endpoint
from proxy.settings.schema import Settings
from proxy.units import written_duration, written_size

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Generated titles repeat the key; bounds of a duration are in nanoseconds.
UNSAID = ("title", "ge", "le", "gt", "lt")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a settings file."""
    generated = json.dumps(Settings.model_json_schema(schema_generator=_AsWritten))
    # Each way to prove who you are, and each rule, calls its record `Config`; here it is called after its file.
    named = re.sub(r"\w+__(?:methods|rules)__(\w+)__Config", lambda found: found[1].capitalize(), generated)
    schema: dict[str, Any] = _tidied(json.loads(named))
    return {"$schema": DIALECT, "title": "kilngate settings", **schema}


class _AsWritten(GenerateJsonSchema):
    """Says a default as it would stand in a file."""

    def encode_default(self, dft: Any) -> Any:
        """Return the default as JSON."""
        return str(dft) if isinstance(dft, Endpoint) else super().encode_default(dft)


def _tidied(schema: Any, *, is_names: bool = False) -> Any:
    """Return `schema` as people would write it; `is_names` says that its keys are an operator's, not the schema's."""
    if isinstance(schema, list):
        return [_tidied(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if is_names:
        return {name: _tidied(value) for name, value in schema.items()}
    kept = {
        word: _tidied(value, is_names=word in ("properties", "$defs"))
        for word, value in schema.items()
        if word not in UNSAID and not (word == "default" and isinstance(value, dict))
    }
    return kept | _rewritten(kept)


def _rewritten(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the words of `schema` that are better said in another way."""
    words: dict[str, Any] = {}
    if "description" in schema:
        words["description"] = " ".join(schema["description"].split())
    if type(schema.get("default")) is int and "string" in schema.get("type", ""):
        is_size = isinstance(schema["type"], list)
        words["default"] = written_size(schema["default"]) if is_size else written_duration(schema["default"])
    if "patternProperties" in schema:
        words["additionalProperties"] = False
    return words
