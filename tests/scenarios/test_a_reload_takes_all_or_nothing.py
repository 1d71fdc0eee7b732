"""An operator edits the settings of a busy farm and sends SIGHUP.

A file with a mistake changes nothing: the old settings stay, the metric says so, and the
log names line and column. A good file takes effect for the next caller.
"""

import secrets
import socket
from pathlib import Path
from typing import Any

import pytest

from proxy.lab.context import small
from proxy.reasons import Reason
from tests.conftest import NewBuilder, StartDoor
from tests.helpers.credentials import People
from tests.helpers.h2client import HEALTH, H2Client, tls_context

SUCCESSFUL = "kilngate_config_last_reload_successful"


def settings_of(people: People, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the blocks that name the files of one's own people."""
    auth = {**settings["auth"][0], "ca_file": str(people.ca), "crl_file": str(people.crl)}
    tls = {"certificate_file": str(people.server.certificate), "key_file": str(people.server.key)}
    return {"tls": tls, "auth": [auth]}


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


def test_an_address_that_changed_is_told_to_need_a_restart_until_it_is_changed_back(start_door: StartDoor) -> None:
    door = start_door()
    before = door.settings["listen"]
    sentence = "listen.address has changed; that needs a restart"
    told = []

    for listen in ({**before, "address": "127.0.0.1:1"}, {**before, "address": "127.0.0.1:1"}, before):
        door.settings["listen"] = listen
        door.write_settings()
        door.reload()
        told.append(door.log.count(sentence))

    assert told == [1, 2, 2]
    assert door.metric(SUCCESSFUL) == 1


def test_systemd_is_told_of_start_reload_and_stop(
    start_door: StartDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        door = start_door()
        started = manager.recv(500)
        door.reload()
        reloaded = [manager.recv(500) for _ in range(2)]
        door.stop()
        stopped = manager.recv(500)

    serving = f"READY=1\nSTATUS=serving {door.address}".encode()
    assert started == reloaded[1] == serving
    assert reloaded[0].startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert stopped.startswith(b"STOPPING=1")


def test_another_socket_of_a_daemon_is_looked_at_when_a_reload_names_it(start_door: StartDoor, tmp_path: Path) -> None:
    door = start_door()
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(tmp_path / "daemon.sock"))
        (tmp_path / "daemon.sock").chmod(0o666)
        door.settings["upstream"] = {"url": f"unix://{tmp_path}/daemon.sock"}
        door.write_settings()

        door.reload()

    assert f"{tmp_path}/daemon.sock is world-writable" in door.log


def test_a_list_that_was_written_anew_ends_an_open_connection_and_judges_the_next_one(
    start_door: StartDoor, settings: dict[str, Any], tmp_path: Path
) -> None:
    people = People(tmp_path)
    door = start_door(**settings_of(people, settings))
    alice = people.client()

    with H2Client(door.address, tls_context(people.ca, alice)) as client:
        client.greet()
        before = client.call(1, HEALTH).status(1)
        people.revoke(alice)
        unread = client.call(3, HEALTH).status(3)
        door.reload()
        ended = client.hear_end()
    with H2Client(door.address, tls_context(people.ca, alice)) as client:
        client.greet()
        after = client.call(1, HEALTH)

    assert (before, unread, after.status(1)) == ("0", "0", "16")
    assert ended.goaway is not None
    assert dict(after.heads[1])[b"grpc-message"].startswith(f"[KG-{Reason.CERTIFICATE_REVOKED.number}]".encode())


def test_a_certificate_that_was_renewed_is_shown_to_the_next_caller_and_nobody_is_cut_off(
    start_door: StartDoor, settings: dict[str, Any], tmp_path: Path
) -> None:
    people = People(tmp_path)
    door = start_door(**settings_of(people, settings))
    context = tls_context(people.ca, people.client())

    with H2Client(door.address, context) as first:
        first.greet()
        people.renew_server()
        door.reload()
        with H2Client(door.address, context) as second:
            second.greet()
            shown = [client.sock.getpeercert(binary_form=True) for client in (first, second)]
            served = [client.call(1, HEALTH).status(1) for client in (first, second)]

    assert shown[0] != shown[1]
    assert served == ["0", "0"]
