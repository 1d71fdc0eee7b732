"""Real components for the scenarios: an engine, stock clients, a door; fetched or found once a session."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from proxy.lab.child import Child
from proxy.lab.client import SUITES, Buildx, find_buildx
from proxy.lab.context import find_busybox
from proxy.lab.engine import Engine, find_engine
from proxy.lab.issuer import issuer_url
from proxy.lab.missing import Missing
from proxy.lab.program import start_issuer
from proxy.lab.sockets import free_port, is_taken
from tests.helpers.builders import Builder
from tests.helpers.credentials import People, Shown, create_builder
from tests.helpers.door import Door
from tests.helpers.exchange import issuing_settings
from tests.helpers.tokens import AUDIENCE, Issuer

CACHE = Path(os.environ.get("KILNGATE_CACHE", Path(__file__).parents[1] / ".kilngate" / "cache"))
numbers = itertools.count(1)
StartDoor = Callable[..., Door]
NewBuilder = Callable[..., Builder]


def absent(missing: Missing) -> NoReturn:
    """Skip what needs a component that cannot be had here; fail where CI says that it must be there."""
    if os.environ.get("KILNGATE_LAB") == "required":
        pytest.fail(str(missing))
    pytest.skip(str(missing))


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A real BuildKit, as the demo finds it."""
    state = tmp_path_factory.mktemp("engine")
    try:
        found = find_engine(state, CACHE)
    except Missing as missing:
        absent(missing)
    yield found
    found.stop()
    shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Buildx | Missing]:
    """Each version of stock docker buildx, or why it cannot be had: the oldest and the newest that Debian has."""
    found: dict[str, Buildx | Missing] = {}
    for suite in SUITES:
        try:
            found[suite] = find_buildx(suite, CACHE, tmp_path_factory.mktemp(f"buildx-{suite}"))
        except Missing as missing:
            found[suite] = missing
    return found


@pytest.fixture(scope="session", params=SUITES)
def buildx(request: pytest.FixtureRequest, versions: dict[str, Buildx | Missing]) -> Buildx:
    """One version of buildx after the other."""
    found = versions[request.param]
    return absent(found) if isinstance(found, Missing) else found


@pytest.fixture(scope="session")
def every_buildx(versions: dict[str, Buildx | Missing]) -> list[Buildx]:
    """All versions at once, for what takes each of them long."""
    found = [version for version in versions.values() if isinstance(version, Buildx)]
    return found or absent(next(version for version in versions.values() if isinstance(version, Missing)))


@pytest.fixture(scope="session")
def busybox() -> Path:
    """A static busybox, all there is in the images that are built here."""
    try:
        return find_busybox(CACHE)
    except Missing as missing:
        absent(missing)


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    """Certificates, good and bad."""
    return People(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """A token issuer that runs."""
    directory, port = tmp_path_factory.mktemp("issuer"), free_port()
    child = start_issuer(directory, port)
    child.wait_ready(lambda: is_taken(port), 20)
    yield Issuer(issuer_url(port), directory)
    child.stop()


@pytest.fixture(scope="session")
def issuers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Issuer]]:
    """Issuers that play GitHub, GitLab and a company's own, each with keys of its own."""
    running: dict[str, tuple[Issuer, Child]] = {}
    for name in ("github", "gitlab", "people"):
        directory, port = tmp_path_factory.mktemp(name), free_port()
        child = start_issuer(directory, port)
        running[name] = Issuer(issuer_url(port), directory), child
        child.wait_ready(lambda port=port: is_taken(port), 20)  # type: ignore[misc]
    yield {name: issuer for name, (issuer, _) in running.items()}
    for _, child in running.values():
        child.stop()


@pytest.fixture(scope="session")
def issuing(settings: dict[str, Any], people: People, issuers: dict[str, Issuer]) -> dict[str, Any]:
    """Settings of a farm that issues certificates: for jobs of GitHub and GitLab, and for people."""
    return issuing_settings(settings, people.issuer(), {name: issuer.url for name, issuer in issuers.items()})


@pytest.fixture(scope="session")
def settings(engine: Engine, people: People, issuer: Issuer) -> dict[str, Any]:
    """Settings of a farm with two tenants: payments comes with certificates, platform with tokens."""
    return {
        "tls": {"certificate_file": str(people.server.certificate), "key_file": str(people.server.key)},
        "upstream": {"url": engine.url},
        "auth": [
            {
                "type": "mtls",
                "name": "people",
                "ca_file": str(people.ca),
                "crl_file": str(people.crl),
                "rules": [{"match": {"uri": "spiffe://farm.test/payments/*"}, "tenant": "payments"}],
            },
            {
                "type": "jwt",
                "name": "ci",
                "preset": "generic",
                "issuer": issuer.url,
                "audiences": [AUDIENCE],
                "algorithms": ["ES256"],
                "rules": [{"match": {"sub": "ci:platform"}, "tenant": "platform"}],
            },
        ],
        "tenants": {"payments": {}, "platform": {}},
    }


@pytest.fixture(scope="session")
def door(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door that tests share: they read it, and change nothing that others would see."""
    running = Door(tmp_path_factory.mktemp("door"), settings)
    yield running
    running.stop()


@pytest.fixture
def start_door(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartDoor]:
    """Start a door for one test alone: `start_door(limits={...})` changes blocks of the settings."""
    running: list[Door] = []

    def start(**changes: Any) -> Door:
        running.append(Door(tmp_path_factory.mktemp("own-door"), {**settings, **changes}))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def new_builder(buildx: Buildx, people: People) -> NewBuilder:
    """Create a builder: `new_builder(door)` is payments' own; `shown` and `address` may be others."""
    return builders_of(buildx, people)


@pytest.fixture
def newest_builder(every_buildx: list[Buildx], people: People) -> NewBuilder:
    """Create builders of the newest buildx alone, where its version makes no difference."""
    return builders_of(every_buildx[-1], people)


def builders_of(buildx: Buildx, people: People) -> NewBuilder:
    """Return what creates builders in one version of buildx."""

    def create(door: Door, shown: Shown | None = None) -> Builder:
        name = f"farm-{next(numbers)}"
        create_builder(buildx, name, door.address, people, shown or people.client())
        return Builder(buildx, name)

    return create
