"""The block `log`: what the process says of itself, on standard error."""

from typing import Literal

from proxy.record import Record


class Log(Record):
    """How the log is written, and how much of it."""

    format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important line that is written."""
