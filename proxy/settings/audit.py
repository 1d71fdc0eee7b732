"""The block `audit`: who did what, for later."""

from typing import Annotated, Literal

from pydantic import Field

from proxy.record import Record


class Audit(Record):
    """The audit log: JSON lines, each chained to the one before by its hash."""

    file: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Where the lines are appended; none are written if absent."""
    sync: bool = False
    """Wait for the disk after every batch of lines."""
    on_failure: Literal["refuse", "continue"] = "refuse"
    """What to do with calls while the file cannot be written."""
