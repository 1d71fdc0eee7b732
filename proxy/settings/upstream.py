"""The block `upstream`: the build daemon behind the door."""

from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field

from proxy.record import Record
from proxy.units import SECOND_NS, Duration

SCHEMES: dict[str, Literal["unix", "docker"]] = {"unix": "unix", "docker": "docker"}


class UpstreamAddress(NamedTuple):
    """A unix socket that speaks BuildKit at once (`unix`) or after an upgrade (`docker`)."""

    scheme: Literal["unix", "docker"]
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"


def parse_upstream(url: str) -> UpstreamAddress:
    """Read `unix:///run/buildkit/buildkitd.sock` or `docker:///var/run/docker.sock`.

    Raises:
        ValueError: another scheme, or no absolute path. TCP is refused on purpose: whoever
            reaches a BuildKit by TCP needs no door.
    """
    scheme, _, path = url.partition("://")
    if scheme not in SCHEMES or not path.startswith("/") or path.endswith("/") or len(path) > 107:
        raise ValueError(
            "not a socket kilngate can use; expected unix:///run/buildkit/buildkitd.sock or docker:///var/run/docker.sock"
        )
    return UpstreamAddress(SCHEMES[scheme], path)


def _checked(url: str) -> str:
    return str(parse_upstream(url))


class Upstream(Record):
    """The build daemon: its socket, and how long callers wait for it."""

    url: Annotated[str, AfterValidator(_checked), Field(pattern="^(unix|docker):///")] = (
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
