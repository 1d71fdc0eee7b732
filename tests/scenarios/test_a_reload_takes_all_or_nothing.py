"""An operator edits the settings of a busy farm and sends SIGHUP.

A file with a mistake changes nothing: the old settings stay, the metric says so, and the
log names line and column. A good file takes effect for the next caller.
"""

import secrets
from pathlib import Path

from proxy.lab.context import small
from proxy.reasons import Reason
from tests.conftest import NewBuilder, StartDoor

SUCCESSFUL = "kilngate_config_last_reload_successful"


def test_a_broken_file_keeps_the_old_settings(
    start_door: StartDoor, new_builder: NewBuilder, busybox: Path, tmp_path: Path
) -> None:
    door = start_door()
    builder = new_builder(door)
    door.settings["limits"] = {"concurrent_bilds": 1}
    door.write_settings()

    door.reload()

    assert door.metric(SUCCESSFUL) == 0
    assert "concurrent_bilds" in door.log
    assert str(door.settings_file) in door.log
    assert builder.build(small(tmp_path / "context", busybox, secrets.token_hex())).returncode == 0


def test_a_missing_file_that_the_settings_name_keeps_the_old_ones(
    start_door: StartDoor, new_builder: NewBuilder, busybox: Path, tmp_path: Path
) -> None:
    door = start_door()
    builder = new_builder(door)
    door.settings["tls"] = {**door.settings["tls"], "certificate_file": str(tmp_path / "nothing.pem")}
    door.write_settings()

    door.reload()

    assert door.metric(SUCCESSFUL) == 0
    assert builder.build(small(tmp_path / "context", busybox, secrets.token_hex())).returncode == 0


def test_a_good_file_judges_the_next_caller(
    start_door: StartDoor, new_builder: NewBuilder, busybox: Path, tmp_path: Path
) -> None:
    door = start_door()
    builder = new_builder(door)
    context = small(tmp_path / "context", busybox, secrets.token_hex())
    door.settings["auth"][0]["rules"] = [{"match": {"uri": "spiffe://farm.test/others/*"}, "tenant": "payments"}]
    first = builder.build(context).returncode
    door.write_settings()

    door.reload()
    second = builder.build(context)

    assert first == 0
    assert door.metric(SUCCESSFUL) == 1
    assert f"PermissionDenied: [KG-{Reason.NO_RULE_MATCHED.number}] " in second.stdout
