"""Write what is generated: the pages errors, config, policy and metrics, and the JSON Schema (`make docs`).

The pages say what the code says, so that neither can be wrong alone: refusals come
from proxy/reasons.py, keys and defaults from the settings records, metrics from their table.
"""

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from proxy.policy.engine import RULES
from proxy.policy.rule import AnyRule
from proxy.reasons import Blame, Reason
from proxy.settings.json_schema import json_schema
from proxy.sinks.metric_table import metrics_page

ROOT = Path(__file__).parents[1]
GENERATED = "<!-- Written by `make docs`; changes here are lost. -->\n"
CHAPTERS = {
    1: "Who calls",
    2: "What a caller may do",
    3: "How much a caller may do",
    4: "How a call is written, and what a build asks for",
    5: "The farm",
    6: "The HTTPS API",
}
MENDERS = {Blame.CALLER: "the caller", Blame.OPERATOR: "the operator of the farm", Blame.OURSELVES: "kilngate's makers"}

Schema = Mapping[str, Any]


def errors_page() -> str:
    """Return docs/errors.md: each refusal with its cause and what mends it."""
    explained = tomllib.loads((ROOT / "tools" / "errors.toml").read_text())
    lines = [
        GENERATED,
        "# What a refusal means\n",
        "kilngate refuses in a sentence that `docker buildx` prints, such as",
        "`[KG-302] tenant payments runs 4 of 4 builds. Retry when ... (ref 7f-3)`.",
        "The number leads here, the reference to the line in the farm's log and audit log.\n",
    ]
    chapter = 0
    for reason in Reason:
        if reason.number // 100 != chapter:
            chapter = reason.number // 100
            lines.append(f"## {CHAPTERS[chapter]}\n")
        lines += _refusal(reason, explained[reason.label])
    return "\n".join(lines)


def _refusal(reason: Reason, explained: Mapping[str, str]) -> list[str]:
    return [
        f'<a id="kg-{reason.number}"></a>\n',
        f"### KG-{reason.number} {reason.label}\n",
        f"> {_escaped(reason.sentence)}\n",
        f"- Cause: {explained['cause']}",
        f"- Fix: {explained['fix']}",
        f"- Mended by {MENDERS[reason.blame]}; {_statuses(reason)}.\n",
    ]


def _statuses(reason: Reason) -> str:
    is_of_http = reason.number // 100 == 6
    return f"HTTP status {reason.http_status}" if is_of_http else f"gRPC status {reason.code.name}"


def config_page() -> str:
    """Return docs/config.md: every key of a settings file, its type and its default."""
    schema = json_schema()
    lines = [
        GENERATED,
        "# Every key of the settings file\n",
        "The file is YAML. `kilngate check-config FILE` tells everything that is wrong with it at once;",
        "`kilngate config show FILE` prints it with all defaults. Commented samples are in [config/](../config).",
        "Editors complete keys if the first line is `# yaml-language-server: $schema=kilngate.schema.json`.\n",
        "A duration is a number and a unit (`500ms`, `10s`, `5m`, `24h`, `7d`); a size is octets or `64KiB`, `16MiB`.",
        "Names of files are relative to the settings file. A key that is not listed here is an error.\n",
    ]
    for name, block in schema["properties"].items():
        lines += _block(schema, name, block, is_required=name in schema.get("required", ()))
    return "\n".join(lines)


def _block(schema: Schema, name: str, block: Schema, *, is_required: bool) -> list[str]:
    lines = [f"## `{name}`\n"]
    if is_required:
        lines.append("Must be given.\n")
    for title, record in _records(schema, name, block):
        lines += [f"{block['description']}\n", f"### {title}\n"] if title else []
        lines += _table(schema, record)
    return lines


def _records(schema: Schema, name: str, block: Schema) -> Iterator[tuple[str, Schema]]:
    """Return each record that a block may hold, with a heading where there are several."""
    if "items" in block:
        for kind, reference in block["items"]["discriminator"]["mapping"].items():
            yield f"`{name}[]` with `type: {kind}`", _referred(schema, reference)
    elif "patternProperties" in block:
        [named] = block["patternProperties"].values()
        yield f"`{name}.NAME`", _referred(schema, named.get("$ref") or named["anyOf"][0]["$ref"])
    else:
        yield "", _referred(schema, str(_reference(block)))


def _table(schema: Schema, record: Schema) -> list[str]:
    rows = ["| key | what | default |", "|---|---|---|"]
    rows += [f"| `{key}` | {what} | {default} |" for key, what, default in _rows(schema, record, "")]
    return [f"{record['description']}\n", *rows, ""]


def _rows(schema: Schema, record: Schema, prefix: str) -> Iterator[tuple[str, str, str]]:
    required = record.get("required", ())
    for key, words in record["properties"].items():
        within = None if _elsewhere(words) else _inner(schema, words)
        yield f"{prefix}{key}", _what(words), _default(words, is_required=key in required)
        if within and prefix.count(".") < 2:
            yield from _rows(schema, within[1], f"{prefix}{key}{within[0]}.")


def _inner(schema: Schema, words: Schema) -> tuple[str, Schema] | None:
    """Return the record that a key holds, with `[]` if it holds several."""
    reference = _reference(words) or words.get("items", {}).get("$ref", "")
    record = _referred(schema, reference) if reference else None
    if record is None or "properties" not in record:
        return None
    return ("[]" if "items" in words else "", record)


def _elsewhere(words: Schema) -> str:
    """Return where the keys of the record that a key holds are told, if not below it."""
    choices = (words, *words.get("anyOf", ()))
    names = {choice["$ref"].rpartition("/")[2] for choice in choices if "$ref" in choice}
    if "Limits" in names:
        return "[`limits`](#limits)"
    rule = next((rule.name for rule in RULES if rule.name.capitalize() in names), "")
    return f"[policy](policy.md#{rule})" if rule else ""


def _reference(words: Schema) -> str | None:
    """Return which record a key holds, also where it may be left out."""
    choices = [words, *words.get("anyOf", ())]
    return next((choice["$ref"] for choice in choices if "$ref" in choice), None)


def _what(words: Schema) -> str:
    told = words.get("description", "")
    if place := _elsewhere(words):
        told += f" Keys as in {place}."
    kind = _kind(words)
    return " ".join(filter(None, (f"{kind}." if kind else "", _escaped(told))))


def _kind(words: Schema) -> str:
    """Return the type of a key's value in words."""
    if "enum" in words:
        return " or ".join(f"`{_written(choice)}`" for choice in words["enum"])
    if "const" in words:
        return f"`{words['const']}`"
    if "anyOf" in words:
        return " or ".join(filter(None, (_kind(choice) for choice in words["anyOf"] if choice.get("type") != "null")))
    if words.get("type") == "array":
        of = _kind(words["items"])
        return f"List of {of if of.startswith('`') else of.lower()}" if of else "List"
    return _named(words)


def _named(words: Schema) -> str:
    if words.get("examples") == ["10s"]:
        return "Duration"
    if isinstance(words.get("type"), list):
        return "Size"
    names = {"string": "Text", "integer": "Whole number", "number": "Number", "boolean": "`true` or `false`"}
    name = names.get(str(words.get("type")), "")
    low, high = words.get("minimum", words.get("exclusiveMinimum")), words.get("maximum")
    if low is not None and high is not None:
        return f"{name}, {low} to {high}"
    return name


def _default(words: Schema, *, is_required: bool) -> str:
    if is_required:
        return "must be given"
    default = words.get("default")
    return f"`{_written(default)}`" if default not in (None, {}) else ""


def _written(value: object) -> str:
    """Return a value as it would stand in YAML."""
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    is_misread = isinstance(value, str) and (value[:1] == "{" or (value[:1].isdigit() and value.count(".")))
    return f'"{value}"' if is_misread else str(value)


def _referred(schema: Schema, reference: str) -> Schema:
    record: Schema = schema["$defs"][reference.rpartition("/")[2]]
    return record


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def policy_page() -> str:
    """Return docs/policy.md: each rule of a policy with its settings, its sentence and an example."""
    schema = json_schema()
    lines = [GENERATED, (ROOT / "tools" / "policy.md").read_text()]
    for rule in RULES:
        lines += _rule(schema, rule)
    return "\n".join(lines)


def _rule(schema: Schema, rule: type[AnyRule]) -> list[str]:
    record = schema["$defs"][rule.name.capitalize()]
    sentence = rule.reason.sentence
    return [
        f"## {rule.name}\n",
        f"{_escaped(record['description'])}\n",
        f"{_escaped((rule.__doc__ or '').strip())}\n",
        "| key | what | default |",
        "|---|---|---|",
        *(f"| `{key}` | {what} | {default} |" for key, what, default in _rows(schema, record, "")),
        "",
        "```yaml",
        rule.example,
        "```\n",
        f"Refused as [KG-{rule.reason.number}](errors.md#kg-{rule.reason.number}):\n",
        f"> {_escaped(sentence)}\n",
    ]


def schema_file() -> str:
    """Return config/kilngate.schema.json."""
    return json.dumps(json_schema(), indent=2) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/errors.md": errors_page,
    "docs/config.md": config_page,
    "docs/policy.md": policy_page,
    "docs/metrics.md": metrics_page,
    "config/kilngate.schema.json": schema_file,
}


def main() -> None:
    """Write every page that differs."""
    for name, page in PAGES.items():
        file, text = ROOT / name, page()
        if not file.exists() or file.read_text() != text:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
            print(f"written: {name}")


if __name__ == "__main__":
    main()
