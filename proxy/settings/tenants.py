"""The block `tenants`: who shares the farm."""

from typing import Annotated, Literal

from proxy.caller import DEFAULT_POLICY
from proxy.identity.rules import PolicyName
from proxy.limits.tenant import Limits
from proxy.record import Record
from proxy.settings.nothing import OrNothing
from proxy.settings.upstream import PoolName


class Tenant(Record):
    """One tenant, and where it differs from the others."""

    limits: Limits = Limits()
    """Limits of this tenant; what is not given here is taken from the block `limits`."""
    pool: PoolName | None = None
    """The pool whose daemon builds for this tenant; `upstream` if not given."""
    isolation: Literal["shared", "dedicated"] = "shared"
    """`dedicated` makes sure that no other tenant has this tenant's daemon: settings in which one has are
    refused. The pool itself decides which daemon it is."""
    policy: PolicyName = DEFAULT_POLICY
    """What this tenant's builds may ask for: a name of the block `policies`. A rule in `auth` may say another."""


AnyTenant = Annotated[Tenant, OrNothing]
