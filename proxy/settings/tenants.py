"""The block `tenants`: who shares the farm."""

from typing import Annotated, Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from proxy.limits.tenant import Limits
from proxy.record import Record
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


class _OrNothing:
    """Reads `payments:` with nothing behind it as a tenant like any other."""

    @staticmethod
    def __get_pydantic_core_schema__(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda given: {} if given is None else given, handler(source)
        )

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"type": "null"}]}


AnyTenant = Annotated[Tenant, _OrNothing]
