"""A BuildKit for the demo and the tests: the one the operator names, one that runs, or one of our own.

The order is: KILNGATE_BUILDKIT, buildkitd's usual socket, a running Docker daemon,
`buildkitd` on PATH, Debian's Docker daemon unpacked into the cache.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from proxy.lab.dockerd import OwnEngine, start_buildkitd, start_dockerd
from proxy.lab.missing import Missing
from proxy.lab.sockets import answers_http2

VARIABLE = "KILNGATE_BUILDKIT"
RUNNING = {
    "unix:///run/buildkit/buildkitd.sock": "the buildkitd of this machine",
    "docker:///var/run/docker.sock": "the Docker daemon of this machine",
}
CHOICES = f"""The choices are, any one of them:
  - set {VARIABLE} to a socket: unix:///run/buildkit/buildkitd.sock or docker:///var/run/docker.sock
  - start buildkitd, or a Docker daemon whose socket you may open
  - run as root on Debian or with its mirror: a Docker daemon is then fetched, unpacked and started, not installed"""


class Engine(Protocol):
    """A BuildKit that can be reached at `url`: `unix:///path`, or `docker:///path` for a Docker daemon's own.

    `is_own` says whether it is ours to restart.
    """

    url: str
    description: str
    is_own: bool

    def stop(self) -> None:
        """Stop it if it is ours."""


class FoundEngine:
    """Somebody else's BuildKit: used, never stopped."""

    is_own = False

    def __init__(self, url: str, description: str) -> None:
        self.url = url
        self.description = description

    def stop(self) -> None:
        """Leave it as it is."""


def find_engine(state: Path, cache: Path, environment: Mapping[str, str] = os.environ) -> Engine:
    """Return a BuildKit that answers; what we start keeps its data in `state`, what we fetch goes to `cache`.

    Raises:
        Missing: there is none; the text says what was tried and what the choices are.
    """
    if named := environment.get(VARIABLE):
        if answers_http2(named):
            return FoundEngine(named, f"the BuildKit that {VARIABLE} names")
        raise Missing(f"no BuildKit answers at {named}, which {VARIABLE} names.\n{CHOICES}")
    for url, description in RUNNING.items():
        if answers_http2(url):
            return FoundEngine(url, description)
    return start_engine(state, cache)


def start_engine(state: Path, cache: Path) -> OwnEngine:
    """Start a BuildKit of our own.

    Raises:
        Missing: as `find_engine`.
    """
    if os.geteuid() != 0:
        raise Missing(f"no BuildKit runs on this machine, and only root can start one.\n{CHOICES}")
    if shutil.which("buildkitd"):
        return start_buildkitd(state)
    try:
        return start_dockerd(state, cache)
    except Missing as missing:
        raise Missing(f"no BuildKit runs on this machine, and none can be fetched: {missing}\n{CHOICES}") from missing
