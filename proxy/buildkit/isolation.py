"""The block `isolation`: how tenants of one daemon are kept apart."""

from typing import Annotated, Literal

from pydantic import Field

from proxy.record import Record


class Isolation(Record):
    """How tenants of a shared daemon are kept apart. What they give names to is always apart."""

    key_file: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """A secret of at least 32 octets that sessions and shared keys are named with. Replicas need the same one. Not
    given, it is made of the server's private key; a new one only makes contexts travel once more."""
    run_cache: Literal["tenant", "shared"] = "tenant"
    """`tenant`: the result of a RUN step is used again only for the same tenant. `shared`: for everybody, with
    whatever secrets the step was given."""
    definitions: Literal["refuse", "rewrite", "allow"] = "rewrite"
    """Build definitions (LLB) that clients make themselves: refused, or the names in them made the tenant's own,
    or passed on unread, which lets tenants reach each other."""
    unknown_fields: Literal["refuse", "pass"] = "refuse"
    """Fields of a request that came with a BuildKit newer than this kilngate, and that nobody has judged."""

    @property
    def separates_runs(self) -> bool:
        """Whether a RUN step's result is its tenant's alone."""
        return self.run_cache == "tenant"

    @property
    def takes_unknown(self) -> bool:
        """Whether fields that nobody has judged pass."""
        return self.unknown_fields == "pass"
