"""The base of every settings record."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Checked once when the file is read: strict types, no unknown keys, frozen."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)
