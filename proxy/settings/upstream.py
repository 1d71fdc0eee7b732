"""The block `upstream`: the build daemon behind the door."""

from typing import Annotated

from pydantic import AfterValidator, Field

from proxy.buildkit.address import UpstreamAddress, parse_upstream
from proxy.record import Record
from proxy.units import SECOND_NS, Duration


def _checked(url: str) -> str:
    try:
        return str(parse_upstream(url))
    except ValueError as error:
        raise ValueError(f"not a socket that kilngate can use; {error}") from None


class Upstream(Record):
    """The build daemon: its socket, and how long callers wait for it."""

    url: Annotated[str, AfterValidator(_checked), Field(json_schema_extra={"pattern": "^(unix|docker):///"})] = (
        "unix:///run/buildkit/buildkitd.sock"
    )
    """`unix:///path` of a buildkitd, or `docker:///path` of a Docker daemon, whose BuildKit is used."""
    wait: Annotated[Duration, Field(le=60 * SECOND_NS)] = 10 * SECOND_NS
    """How long a call waits while the daemon is away, before it is refused."""
    minimum_version: Annotated[str, Field(pattern=r"^[0-9]{1,4}(\.[0-9]{1,4}){1,2}$")] = "0.12.5"
    """Warn about a BuildKit older than this, in quotes. 0.12.5 closed four ways out of a build."""

    @property
    def address(self) -> UpstreamAddress:
        """The url, read."""
        return parse_upstream(self.url)
