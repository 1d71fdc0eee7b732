"""The block `drain`: how kilngate stops."""

from typing import Annotated

from pydantic import Field

from proxy.record import Record
from proxy.units import SECOND_NS, Duration


class Drain(Record):
    """What happens to builds that still run when kilngate is told to stop."""

    timeout: Annotated[Duration, Field(le=24 * 3600 * SECOND_NS)] = 30 * 60 * SECOND_NS
    """How long running builds may take to finish; then they are ended with a sentence."""
