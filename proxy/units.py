"""Durations and sizes as operators write them: `10s`, `30m`, `64KiB`.

`Duration` is whole nanoseconds, `Size` is octets, after reading. `said` turns
nanoseconds back into words for a sentence; `written_...` turns a value back into
what an operator would write.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

SECOND_NS = 1_000_000_000
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)", re.ASCII)
_OCTETS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def parse_duration(text: object) -> int:
    """Return nanoseconds for text such as `500ms`, `10s`, `5m`, `24h`, `7d`.

    Raises:
        ValueError: anything else, a bare number too: its unit would be a guess.
    """
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError("a duration is a number and a unit: 500ms, 10s, 5m, 24h or 7d")
    return round(float(found[1]) * _SECONDS[found[2]] * SECOND_NS)


def parse_size(text: object) -> int:
    """Return octets for text such as `64KiB`, `16MiB`, or for a whole number.

    Raises:
        ValueError: anything else.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    found = re.fullmatch(r"([0-9]{1,12})(B|KiB|MiB|GiB)?", text, re.ASCII) if isinstance(text, str) else None
    if not found:
        raise ValueError("a size is a whole number and a unit: 512B, 64KiB, 16MiB or 1GiB")
    return int(found[1]) * _OCTETS[found[2] or ""]


def said(duration_ns: int) -> str:
    """Return a duration as people say it, to two digits or so: `250 ms`, `4 s`, `2 h`, `3 days`."""
    seconds = max(0, duration_ns) / SECOND_NS
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{round(seconds)} s"


def written_duration(duration_ns: int) -> str:
    """Return the text that `parse_duration` reads as `duration_ns` (whole microseconds), in the largest exact unit."""
    for unit in ("d", "h", "m", "s"):
        if duration_ns and duration_ns % (_SECONDS[unit] * SECOND_NS) == 0:
            return f"{duration_ns // (_SECONDS[unit] * SECOND_NS):.0f}{unit}"
    return f"{duration_ns / 1_000_000:.3f}".rstrip("0").rstrip(".") + "ms"


def written_size(octets: int) -> str:
    """Return the text that `parse_size` reads as `octets`."""
    unit = next((unit for unit in ("GiB", "MiB", "KiB") if octets and octets % _OCTETS[unit] == 0), "B")
    return f"{octets // _OCTETS[unit]}{unit}"


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(written_duration, when_used="json"),
    Field(json_schema_extra={"type": "string", "examples": ["10s"]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(written_size, when_used="json"),
    Field(json_schema_extra={"type": ["string", "integer"], "examples": ["64KiB"]}),
]
