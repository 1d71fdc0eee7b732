"""The issuing authority ends next month. The operator makes a new one, lets both count for a day, and drops the old.

Nobody is turned away meanwhile; the metric and the command say when nobody uses the old one any more.
"""

import secrets
from pathlib import Path
from typing import Any

from cryptography import x509

from proxy.lab.context import small
from tests.conftest import NewBuilder, StartDoor
from tests.helpers.credentials import People, Shown
from tests.helpers.exchange import exchange, files_of, kilngate, token_of
from tests.helpers.tokens import Issuer

VALID = "kilngate_certificates_valid"


def key_id(authority: Shown) -> str:
    certificate = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest.hex()


def test_old_and_new_certificates_build_until_the_old_authority_is_dropped(
    start_door: StartDoor,
    newest_builder: NewBuilder,
    issuing: dict[str, Any],
    people: People,
    issuers: dict[str, Issuer],
    busybox: Path,
    tmp_path: Path,
) -> None:
    old, new = people.issuer("old"), people.issuer("new")
    context = small(tmp_path / "context", busybox, secrets.token_hex())
    door = start_door(
        **{**issuing, "issuer": {**issuing["issuer"], "authorities": [files_of(old)]}},
        store={"file": str(tmp_path / "store.db")},
    )
    config = ("--config", str(door.settings_file))
    first = exchange(tmp_path / "first", door.address, people.ca, token_of("people", issuers["people"])).shown

    door.settings["issuer"]["authorities"] = [files_of(new), files_of(old)]
    door.write_settings()
    door.reload()
    second = exchange(tmp_path / "second", door.address, people.ca, token_of("github", issuers["github"])).shown
    both = [newest_builder(door, shown).build(context) for shown in (first, second)]
    users = kilngate("certificates", *config, "--authority", key_id(old))
    door.wait_metric(VALID, {"authority": key_id(old)}, lambda now: now == 1, timeout_s=20)
    door.wait_metric(VALID, {"authority": key_id(new)}, lambda now: now == 1, timeout_s=20)

    kilngate("revoke", *config, "--subject", "alice@farm.test")
    door.wait_metric(VALID, {"authority": key_id(old)}, lambda now: now == 0, timeout_s=20)
    nobody = kilngate("certificates", *config, "--authority", key_id(old))
    door.settings["issuer"]["authorities"] = [files_of(new)]
    door.write_settings()
    door.reload()
    late = newest_builder(door, second).build(context)

    assert [done.returncode for done in both] == [0, 0], both
    assert "alice@farm.test" in users.stdout
    assert nobody.stdout.strip() == "none"
    assert late.returncode == 0, late.stdout
