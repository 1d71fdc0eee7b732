"""The blocks `upstream` and `pools`: the build daemons behind the door."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from proxy.buildkit.address import UpstreamAddress, parse_upstream
from proxy.record import Record
from proxy.routing.routes import EachTenant, OnDemand, Pool, Standing
from proxy.routing.template import Template
from proxy.units import SECOND_NS, Duration

WAIT_NS = 10 * SECOND_NS
NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"


def _checked(url: str) -> str:
    try:
        return str(parse_upstream(url))
    except ValueError as error:
        raise ValueError(f"not a socket that kilngate can use; {error}") from None


PoolName = Annotated[str, Field(pattern=NAME)]
Url = Annotated[str, AfterValidator(_checked), Field(json_schema_extra={"pattern": "^(unix|docker):///"})]
Wait = Annotated[Duration, Field(le=60 * SECOND_NS)]
Version = Annotated[str, Field(pattern=r"^[0-9]{1,4}(\.[0-9]{1,4}){1,2}$")]


class Upstream(Record):
    """The build daemon of all tenants without a pool: its socket, and how long callers wait for it."""

    url: Url = "unix:///run/buildkit/buildkitd.sock"
    """`unix:///path` of a buildkitd, or `docker:///path` of a Docker daemon, whose BuildKit is used."""
    wait: Wait = WAIT_NS
    """How long a call waits while the daemon is away, before it is refused."""
    minimum_version: Version = "0.12.5"
    """Warn about a BuildKit older than this, in quotes. 0.12.5 closed four ways out of a build."""

    @property
    def address(self) -> UpstreamAddress:
        """The url, read."""
        return parse_upstream(self.url)

    @property
    def standing(self) -> Standing:
        """The daemon."""
        return Standing(self.address, self.wait, self.minimum_version)


class PoolSettings(Record):
    """Another build daemon: one that runs already (`url`), or one that kilngate runs itself (`daemon`)."""

    url: Url | None = None
    """As `upstream.url`: a daemon that somebody else runs."""
    daemon: Template | None = None
    """A daemon that kilngate runs, from the first call until nobody needs it."""
    wait: Wait = WAIT_NS
    """With `url`: how long a call waits while the daemon is away, before it is refused."""
    minimum_version: Version = "0.12.5"
    """Warn about a BuildKit older than this, in quotes."""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.url is None) == (self.daemon is None):
            raise ValueError("expected either a url or a daemon")
        # Not by what was set: `config show` prints defaults, and what it prints is a settings file.
        if self.daemon is not None and self.wait != WAIT_NS:
            raise ValueError("wait belongs to a url; callers wait for a daemon of ours as long as its start_timeout")
        return self

    def named(self, pool: str) -> Pool:
        """Return the daemon or daemons of this pool."""
        if self.url is not None:
            return Standing(parse_upstream(self.url), self.wait, self.minimum_version)
        assert self.daemon is not None
        if self.daemon.tenants_each:
            return EachTenant(pool, self.daemon, self.minimum_version)
        return OnDemand(pool, "", self.daemon, self.minimum_version)
