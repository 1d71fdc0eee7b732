"""A shared daemon has one cache and one history, and one of its tenants gets curious.

Pruning would take away what belongs to others: who may only build is told so. Of the disk
usage they hear sums, for its records say what everybody built. An admin may do all of it.
"""

import secrets
from pathlib import Path

from proxy.lab.context import small
from proxy.reasons import Reason
from tests.conftest import NewBuilder, StartDoor
from tests.helpers.door import Door

COMMANDS = {"prune": ["prune", "--force"], "du": ["du"]}


def test_a_builder_who_prunes_is_refused_with_the_role_it_would_need(door: Door, new_builder: NewBuilder) -> None:
    builder = new_builder(door)

    done = builder.buildx.run([*COMMANDS["prune"], "--builder", builder.name])

    assert done.returncode == 1
    assert "PermissionDenied" in done.stdout
    assert f"[KG-{Reason.ROLE_MISSING.number}] " in done.stdout


def test_a_builder_hears_how_full_the_disk_is_and_not_of_what(
    door: Door, new_builder: NewBuilder, busybox: Path, tmp_path: Path
) -> None:
    builder = new_builder(door)
    builder.build(small(tmp_path / "context", busybox, secrets.token_hex()))

    done = builder.buildx.run([*COMMANDS["du"], "--verbose", "--builder", builder.name])

    assert done.returncode == 0, done.stdout
    assert "Total:" in done.stdout
    assert "of the whole farm" in done.stdout
    assert "busybox" not in done.stdout


def test_an_admin_sees_and_prunes_the_cache(
    start_door: StartDoor, new_builder: NewBuilder, busybox: Path, tmp_path: Path
) -> None:
    door = start_door()
    door.settings["auth"][0]["rules"][0]["role"] = "admin"
    door.write_settings()
    door.reload()
    builder = new_builder(door)
    builder.build(small(tmp_path / "context", busybox, secrets.token_hex()))

    ends = [builder.buildx.run([*command, "--builder", builder.name]) for command in COMMANDS.values()]

    assert [done.returncode for done in ends] == [0, 0], ends
    assert all("Total:" in done.stdout for done in ends)
