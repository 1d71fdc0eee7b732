"""A certificate was stolen, and somebody builds with it right now.

The operator types one command. Within five seconds the build ends with a sentence, new calls are
refused, and the published list names the certificate; a restart changes nothing of that. Nobody else
notices.
"""

import secrets
import subprocess
import time
from pathlib import Path
from typing import Any

from cryptography import x509

from proxy.lab.context import small, write_context
from proxy.reasons import Reason
from tests.conftest import NewBuilder, StartDoor
from tests.helpers.builders import wait_step
from tests.helpers.credentials import People
from tests.helpers.door import Door
from tests.helpers.exchange import DONE, exchange, kilngate, token_of
from tests.helpers.tokens import Issuer

MAY_TAKE_S = 5.0
REVOKED = f"[KG-{Reason.CERTIFICATE_REVOKED.number}] "


def serial_of(file: Path) -> str:
    return f"{x509.load_pem_x509_certificate(file.read_bytes()).serial_number:x}"


def test_a_revocation_ends_the_build_that_runs_and_lasts(
    start_door: StartDoor,
    new_builder: NewBuilder,
    issuing: dict[str, Any],
    people: People,
    issuers: dict[str, Issuer],
    busybox: Path,
    tmp_path: Path,
) -> None:
    door = start_door(**issuing, store={"file": str(tmp_path / "store.db")})
    stolen = exchange(tmp_path / "stolen", door.address, people.ca, token_of("github", issuers["github"])).shown
    other = exchange(tmp_path / "other", door.address, people.ca, token_of("people", issuers["people"])).shown
    step = f"/bin/busybox sleep {1_000_000 + secrets.randbelow(1_000_000)}"
    context = write_context(
        tmp_path / "context", busybox, f'RUN --network=none ["{step.replace(" ", chr(34) + "," + chr(34))}"]\n'
    )
    quick = small(tmp_path / "quick", busybox, secrets.token_hex())
    thief, colleague = new_builder(door, stolen), new_builder(door, other)

    with thief.building(context) as running:
        wait_step(step, runs=True, timeout_s=30)
        told = kilngate("revoke", "--config", str(door.settings_file), serial_of(stolen.certificate))
        wait_step(step, runs=False, timeout_s=MAY_TAKE_S)
        done = running.finish()
    again = thief.build(quick, timeout_s=MAY_TAKE_S)
    door.restart()
    later = thief.build(quick, timeout_s=MAY_TAKE_S)

    assert told.returncode == 0, told.stderr
    assert (done.returncode, REVOKED in done.stdout) == (1, True), done.stdout
    assert (again.returncode, REVOKED in again.stdout) == (1, True), again.stdout
    assert (later.returncode, REVOKED in later.stdout) == (1, True), later.stdout
    assert colleague.build(quick).returncode == 0
    taken = door.wait_audited("revocations-taken")[0]
    assert (taken["revoked"], taken["serials"]) == (1, [serial_of(stolen.certificate)])
    assert taken["connections_ended"] >= 1  # one buildx may hold several
    assert serial_of(stolen.certificate) in listed(door, people, tmp_path)


def listed(door: Door, people: People, directory: Path) -> set[str]:
    """Return the serials in the list that everybody can fetch."""
    port = door.address.rpartition(":")[2]
    url, file = f"https://localhost:{port}/v1/crl", directory / "crl"
    subprocess.run(["curl", "-sSf", "--cacert", people.ca, "-o", file, url], check=True)
    return {f"{each.serial_number:x}" for each in x509.load_der_x509_crl(file.read_bytes())}


def test_whoever_is_revoked_as_a_subject_needs_a_token_from_after_that(
    start_door: StartDoor, issuing: dict[str, Any], people: People, issuers: dict[str, Issuer], tmp_path: Path
) -> None:
    door = start_door(**issuing, store={"file": str(tmp_path / "store.db")})
    before = token_of("people", issuers["people"])
    first = exchange(tmp_path / "first", door.address, people.ca, before)
    listing = kilngate("certificates", "--config", str(door.settings_file), "--subject", "alice@farm.test")

    told = kilngate("revoke", "--config", str(door.settings_file), "--subject", "alice@farm.test")
    again = exchange(tmp_path / "again", door.address, people.ca, before)
    after = token_of("people", issuers["people"], iat=int(time.time()) + 2)
    fresh = exchange(tmp_path / "fresh", door.address, people.ca, after)

    assert first.status == DONE
    assert serial_of(first.shown.certificate) in listing.stdout
    assert serial_of(first.shown.certificate) in told.stdout
    assert (again.status, again.code) == (401, f"KG-{Reason.TOKEN_CUT_OFF.number}")
    assert fresh.status == DONE, fresh.text
