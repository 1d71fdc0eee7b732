"""The block `tenants`: who shares the farm."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from proxy.limits.tenant import Limits
from proxy.record import Record


class Tenant(Record):
    """One tenant, and where it differs from the others."""

    limits: Limits = Limits()
    """Limits of this tenant; what is not given here is taken from the block `limits`."""


def _empty_is_plain(given: Any) -> Any:
    """Read `payments:` with nothing behind it as a tenant like any other."""
    return {} if given is None else given


AnyTenant = Annotated[Tenant, BeforeValidator(_empty_is_plain)]
