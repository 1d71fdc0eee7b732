"""The block `store`: what must outlive a restart."""

from typing import Annotated

from pydantic import Field

from proxy.record import Record


class Store(Record):
    """Where issued certificates, used tokens and revocations are kept. Builds do not need it."""

    file: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """A SQLite file on a local disk, made at the first start (0600); a restart forgets everything if not given.
    `kilngate revoke` writes to it. A change needs a restart."""
