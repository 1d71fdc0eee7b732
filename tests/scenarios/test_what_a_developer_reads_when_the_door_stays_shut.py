"""A developer cannot get in, and wants to know why without asking anybody.

Through a door that refuses in the TLS handshake all of these look the same: 20 seconds of
silence, then `context deadline exceeded`. kilngate finishes the handshake and says what is
wrong, at once. What is wrong on the developer's own side of the handshake, before kilngate
can say a word, stays as buildx has it.
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.lab.client import Buildx
from proxy.lab.context import write_context
from proxy.lab.sockets import free_port
from proxy.reasons import Reason
from tests.conftest import NewBuilder
from tests.helpers.builders import Builder, Done
from tests.helpers.credentials import SERVER_NAME, People, Shown
from tests.helpers.door import Door

AT_ONCE_S = 5.0
BUILDX_GIVES_UP_S = 30.0
SILENCE = "context deadline exceeded"
REFUSED: dict[str, tuple[Callable[[People], Shown], Reason]] = {
    "expired": (People.expired, Reason.CERTIFICATE_EXPIRED),
    "not yet valid": (People.not_yet_valid, Reason.CERTIFICATE_NOT_YET_VALID),
    "server purpose": (People.server_purpose, Reason.CERTIFICATE_WRONG_PURPOSE),
    "revoked": (People.revoked, Reason.CERTIFICATE_REVOKED),
}


@pytest.fixture
def context(tmp_path: Path, busybox: Path) -> Path:
    return write_context(tmp_path / "context", busybox, "")


def number_told(done: Done) -> int:
    """Return the number of the refusal in the last line, which is what a developer looks at first."""
    last = done.stdout.strip().splitlines()[-1]
    found = re.match(r"ERROR: (failed to build: )?Unauthenticated: \[KG-(\d+)\] \w", last)  # 0.13.1 says less
    assert found, done.stdout
    return int(found[2])


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_certificate_is_refused_at_once_with_the_reason(
    door: Door, new_builder: NewBuilder, people: People, context: Path, case: str
) -> None:
    shown, reason = REFUSED[case]

    done = new_builder(door, shown(people)).build(context, timeout_s=AT_ONCE_S)

    assert done.returncode == 1
    assert number_told(done) == reason.number


def test_no_certificate_is_refused_at_once_with_what_to_show(
    door: Door, buildx: Buildx, people: People, context: Path
) -> None:
    buildx.create_builder("bare", f"tcp://{door.address}", {"cacert": people.ca, "servername": SERVER_NAME})

    done = Builder(buildx, "bare").build(context, timeout_s=AT_ONCE_S)

    assert number_told(done) == Reason.NO_CREDENTIALS.number


def test_a_certificate_of_another_authority_is_refused_at_once(
    door: Door, new_builder: NewBuilder, people: People, context: Path
) -> None:
    # Go's TLS would withhold a certificate whose authority the server does not name, so the server names none.
    done = new_builder(door, people.foreign()).build(context, timeout_s=AT_ONCE_S)

    assert number_told(done) == Reason.CERTIFICATE_UNKNOWN_CA.number


def test_what_fails_before_kilngate_can_speak_stays_as_buildx_has_it(
    door: Door, every_buildx: list[Buildx], people: People, context: Path
) -> None:
    good = people.client().options(people.ca)
    cases: dict[str, tuple[str, dict[str, str | Path]]] = {
        "nobody-listens": (f"127.0.0.1:{free_port()}", good),
        "other-server-authority": (door.address, {**good, "cacert": people.foreign_ca}),
        "other-server-name": (door.address, {**good, "servername": "elsewhere.test"}),
        "plaintext": (door.address, {}),
    }
    # Each takes buildx 20 s: all of them at once, in all versions.
    running = {
        (buildx.version, name): start(buildx, name, f"tcp://{address}", options, context)
        for buildx in every_buildx
        for name, (address, options) in cases.items()
    }

    ended = {key: process.communicate(timeout=BUILDX_GIVES_UP_S)[0] for key, process in running.items()}

    assert {key: text for key, text in ended.items() if not text.strip().endswith(SILENCE)} == {}
    assert {process.returncode for process in running.values()} == {1}


def start(
    buildx: Buildx, name: str, endpoint: str, options: dict[str, str | Path], context: Path
) -> subprocess.Popen[str]:
    """Create a builder and start a build on it."""
    buildx.create_builder(name, endpoint, options)
    return subprocess.Popen(
        buildx.command(["build", "--builder", name, str(context)]),
        env=buildx.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
