"""The issuer of people's tokens is down, before a login and in the middle of a working day.

Who needs its keys is told so at once, and others notice nothing. Certificates that were issued before
go on, for they need no issuer; so does a build that runs.
"""

import secrets
from pathlib import Path
from typing import Any

import pytest

from proxy.lab.context import write_context
from proxy.lab.issuer import issuer_url
from proxy.lab.program import start_issuer
from proxy.lab.sockets import free_port, is_taken
from proxy.reasons import Reason
from tests.conftest import NewBuilder, StartDoor
from tests.helpers.builders import wait_step
from tests.helpers.credentials import People
from tests.helpers.exchange import DONE, exchange, issuing_settings, token_of
from tests.helpers.tokens import Issuer


@pytest.fixture
def away(tmp_path: Path) -> Issuer:
    """An issuer that nobody started yet."""
    directory, port = tmp_path / "away", free_port()
    directory.mkdir()
    return Issuer(issuer_url(port), directory)


@pytest.fixture
def slow(busybox: Path, tmp_path: Path) -> tuple[Path, str]:
    """Return a context whose build takes three seconds, and the step to know them by."""
    step = f"/bin/busybox sleep {1_000_000 + secrets.randbelow(1_000_000)}"
    steps = f"RUN --network=none /bin/busybox timeout 3 {step}; true\n"
    return write_context(tmp_path / "slow", busybox, steps), step


def test_a_login_while_the_issuer_is_down_is_told_so_and_works_when_it_is_back(
    start_door: StartDoor,
    settings: dict[str, Any],
    people: People,
    issuers: dict[str, Issuer],
    away: Issuer,
    tmp_path: Path,
) -> None:
    urls = {name: issuer.url for name, issuer in issuers.items()} | {"people": away.url}
    door = start_door(**issuing_settings(settings, people.issuer("away"), urls))

    refused = exchange(tmp_path / "refused", door.address, people.ca, token_of("people", away))
    other = exchange(tmp_path / "other", door.address, people.ca, token_of("github", issuers["github"]))
    child = start_issuer(away.directory, int(away.url.rpartition(":")[2]))
    try:
        child.wait_ready(lambda: is_taken(int(away.url.rpartition(":")[2])), 20)
        door.restart()
        back = exchange(tmp_path / "back", door.address, people.ca, token_of("people", away))
    finally:
        child.stop()

    assert (refused.status, refused.code) == (503, f"KG-{Reason.KEYS_UNAVAILABLE.number}")
    assert other.status == DONE, other.text
    assert back.status == DONE, back.text


def test_a_build_and_its_certificate_outlive_the_issuer(
    start_door: StartDoor,
    newest_builder: NewBuilder,
    settings: dict[str, Any],
    people: People,
    issuers: dict[str, Issuer],
    away: Issuer,
    slow: tuple[Path, str],
) -> None:
    (context, step), tmp_path = slow, away.directory.parent
    port = int(away.url.rpartition(":")[2])
    child = start_issuer(away.directory, port)
    urls = {name: issuer.url for name, issuer in issuers.items()} | {"people": away.url}
    try:
        child.wait_ready(lambda: is_taken(port), 20)
        door = start_door(**issuing_settings(settings, people.issuer("gone"), urls))
        shown = exchange(tmp_path / "shown", door.address, people.ca, token_of("people", away)).shown
        builder = newest_builder(door, shown)
        with builder.building(context) as running:
            wait_step(step, runs=True, timeout_s=30)
            child.stop()
            done = running.finish()
    finally:
        child.stop()
    again = builder.build(context)

    assert done.returncode == 0, done.stdout
    assert again.returncode == 0, again.stdout
