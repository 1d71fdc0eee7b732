"""The log: one line for each fact an operator needs, as text or JSON, to standard error.

Nothing that a caller sends can break a line, forge one, or fill the disk: values are
made printable and escaped, and repeated lines are held back and counted.
"""

import json
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Literal, Protocol

from proxy.events import Event, LoopLagged
from proxy.sinks.flood import FloodGate, Held
from proxy.sinks.stamp import SECOND_NS, stamp
from proxy.sinks.wording import WORDS, Level, Line, level_of, say

TEXT_LIMIT = 300
# The detail of a failed reload names every error of the file.
DETAIL_LIMIT = 3000
# Lines a minute: of one event about one caller, and of one event in all. Lines for debugging are not counted.
EACH, IN_ALL = 20, 600
# A value that needs no quotes in a text line.
PLAIN = re.compile(r"[A-Za-z0-9_.:/@+*()\[\]-]+", re.ASCII)

Format = Literal["text", "json"]


class Takes(Protocol):
    """Where lines go, such as `outlet.Outlet`."""

    def put(self, line: bytes) -> bool:
        """Take a line without waiting, or say that it was not taken."""
        ...


class LogSink:
    """Writes a line for each event of `level` or above; `lost` counts lines that nobody took.

    `now_ns` reads the monotonic clock (for the windows of repeated lines), `wall_ns` the
    wall clock (for the time stamps).
    """

    def __init__(
        self,
        outlet: Takes,
        *,
        now_ns: Callable[[], int],
        wall_ns: Callable[[], int],
        form: Format = "text",
        level: Level = Level.INFO,
    ) -> None:
        self.lost = 0
        self._outlet = outlet
        self._now_ns = now_ns
        self._wall_ns = wall_ns
        self.configure(form=form, level=level)
        self._gate = FloodGate(each=EACH, in_all=IN_ALL, window_ns=60 * SECOND_NS)
        self._lost_told = 0

    def configure(self, *, form: Format, level: Level) -> None:
        """Write in another form, or more or less."""
        self._write = json_line if form == "json" else text_line
        self._level = level

    def takes(self, kind: type) -> bool:
        """Say whether events of this kind can be important enough, or tell the time."""
        level = WORDS[kind][0]
        return kind is LoopLagged or not isinstance(level, Level) or level >= self._level

    def __call__(self, event: Event) -> None:
        """Log `event`."""
        level = level_of(event)
        is_clock = type(event) is LoopLagged
        # A tick in time is no news, not even for debugging.
        if level >= self._level and not (is_clock and level is Level.DEBUG):
            self._log(level, say(event))
        elif is_clock:  # a clock that ticks: a flood that stopped is told, too
            self._tell_held(self._gate.ended(self._now_ns()))

    def close(self) -> None:
        """Say what was held back."""
        self._tell_held(self._gate.close())

    def _log(self, level: Level, line: Line) -> None:
        now_ns = self._now_ns()
        self._tell_held(self._gate.ended(now_ns))
        if level is Level.DEBUG or self._gate.admits(line.event, line.key, now_ns=now_ns):
            self._put(level, line)

    def _tell_held(self, held: list[Held]) -> None:
        for one in held:
            self._put(Level.WARNING, Line("repeated", {"of": one.kind, "about": _about(one.key), "count": one.count}))

    def _put(self, level: Level, line: Line) -> None:
        if missing := self.lost - self._lost_told:
            gap = Line("lines lost, for nobody read them", {"count": missing})
            if not self._outlet.put(self._write(self._wall_ns(), Level.WARNING, gap)):
                self.lost += 1
                return
            self._lost_told = self.lost
        self.lost += not self._outlet.put(self._write(self._wall_ns(), level, line))


def json_line(wall_ns: int, level: Level, line: Line) -> bytes:
    """Return the line as one JSON object, ASCII only."""
    head = {"ts": stamp(wall_ns), "level": level.name.lower(), "event": line.event}
    return json.dumps(head | _shown(line.fields), ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def text_line(wall_ns: int, level: Level, line: Line) -> bytes:
    """Return the line as text: time, level, words, then `name=value`, quoted where it must be."""
    fields = "".join(f" {name}={_quoted(value)}" for name, value in _shown(line.fields).items())
    return f"{stamp(wall_ns)} {level.name:<7} {line.event}{fields}\n".encode("ascii")


def _shown(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: _clean(name, value) for name, value in fields.items() if value is not None and value != ""}


def _clean(name: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    limit = DETAIL_LIMIT if name == "detail" else TEXT_LIMIT
    text = "".join(c if c.isprintable() else "?" for c in value[: limit + 1].strip().replace("\n", "; "))
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _quoted(value: object) -> str:
    if isinstance(value, str) and not PLAIN.fullmatch(value):
        return json.dumps(value, ensure_ascii=True)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _about(key: object) -> str:
    parts = key if isinstance(key, tuple) else (key,)
    return " ".join(_about(part) if isinstance(part, tuple) else _named(part) for part in parts if part is not None)


def _named(part: object) -> str:
    label = getattr(part, "label", None)
    return str(label if label is not None else part.value if isinstance(part, Enum) else part)
