"""What an operator is told about the daemon's socket."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.buildkit.address import UpstreamAddress
from proxy.edge.upstream_check import check_daemons, check_socket, read_address
from proxy.routing.routes import OnDemand, Standing, Used
from tests.helpers.own_daemons import plan, template

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        (tmp_path / "s").chmod(0o660)
        yield tmp_path / "s"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """An empty /proc."""
    (tmp_path / "proc").mkdir()
    return tmp_path / "proc"


def check(path: Path, proc: Path) -> list[str]:
    return check_socket(UpstreamAddress("unix", str(path)), proc=proc)


def test_a_socket_for_us_alone_is_fine(path: Path, proc: Path) -> None:
    assert check(path, proc) == []


def test_a_world_writable_socket_is_told(path: Path, proc: Path) -> None:
    path.chmod(0o666)

    [warning] = check(path, proc)

    assert f"{path} is world-writable (srw-rw-rw-)" in warning


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_socket_of_another_user_is_told(path: Path, proc: Path) -> None:
    os.chown(path, NOBODY, NOBODY)

    [warning] = check(path, proc)

    assert f"belongs to user {NOBODY}" in warning


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_socket_that_we_may_not_open_is_told() -> None:
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = Path(directory, "s")
        listener.bind(str(path))
        path.chmod(0o600)
        path.parent.chmod(0o755)
        os.seteuid(NOBODY)
        try:
            warnings = check(path, path.parent)
        finally:
            os.seteuid(0)

    assert len(warnings) == 1
    assert f"may not be opened by kilngate (user {NOBODY})" in warnings[0]


def test_a_missing_socket_is_told(proc: Path, tmp_path: Path) -> None:
    [warning] = check(tmp_path / "absent", proc)

    assert "No such file or directory" in warning


def test_a_missing_directory_is_told_once(proc: Path, tmp_path: Path) -> None:
    assert len(check(tmp_path / "absent" / "s", proc)) == 1


def test_a_file_is_no_socket(proc: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    [warning] = check(tmp_path / "file", proc)

    assert "is not a socket" in warning


def test_a_directory_where_anybody_may_put_a_socket_is_told(path: Path, proc: Path) -> None:
    path.parent.chmod(0o1777)

    [warning] = check(path, proc)

    assert f"{path.parent} is world-writable" in warning


def process(proc: Path, number: int, name: str, tcp: str = "", tcp6: str = "", inodes: tuple[int, ...] = ()) -> None:
    home = proc / str(number)
    (home / "fd").mkdir(parents=True)
    (home / "net").mkdir()
    (home / "comm").write_text(f"{name}\n")
    (home / "net" / "tcp").write_text("head\n" + tcp)
    (home / "net" / "tcp6").write_text("head\n" + tcp6)
    for number_, inode in enumerate(inodes):
        (home / "fd" / str(number_)).symlink_to(f"socket:[{inode}]")
    (home / "fd" / "99").write_text("")


def row(address: str, state: str, inode: int) -> str:
    return f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 x\n"


@pytest.mark.skipif(sys.byteorder != "little", reason="the addresses are written for little-endian machines")
def test_a_daemon_that_listens_on_tcp_is_told(path: Path, proc: Path) -> None:
    process(proc, 7, "buildkitd", tcp=row("0100007F:04D2", "0A", 11), inodes=(11,))
    process(proc, 8, "dockerd", tcp6=row("0" * 32 + ":0947", "0A", 12), inodes=(12,))

    warnings = check(path, proc)

    assert [warning.partition(":  ")[0].split(": whoever")[0] for warning in warnings] == [
        "buildkitd (process 7) listens on TCP 127.0.0.1:1234",
        "dockerd (process 8) listens on TCP [::]:2375",
    ]


def test_other_sockets_and_other_processes_are_not_told(path: Path, proc: Path) -> None:
    process(proc, 7, "buildkitd", tcp=row("0100007F:04D2", "01", 11) + row("0100007F:04D3", "0A", 12), inodes=(11,))
    process(proc, 8, "nginx", tcp=row("0100007F:04D2", "0A", 11), inodes=(11,))
    (proc / "9").mkdir()
    (proc / "self").mkdir()

    assert check(path, proc) == []


def test_the_real_proc_can_be_read(path: Path) -> None:
    assert isinstance(check_socket(UpstreamAddress("unix", str(path))), list)


def test_addresses_are_read_in_the_machines_byte_order() -> None:
    word = int.from_bytes(socket.inet_aton("10.1.2.3"), sys.byteorder)
    words = [
        int.from_bytes(bytes.fromhex(text), sys.byteorder) for text in ("20010db8", "00000000", "00000000", "00000001")
    ]

    assert read_address(f"{word:08X}:0050") == "10.1.2.3:80"
    assert read_address("".join(f"{word:08X}" for word in words) + ":0050") == "[2001:db8::1]:80"


# --- several daemons, and our own -----------------------------------------------------------


def own(*plans: OnDemand) -> list[str]:
    return check_daemons(Used((), plans))


def test_each_socket_is_looked_at_and_what_is_told_of_all_is_told_once(path: Path, proc: Path, tmp_path: Path) -> None:
    process(proc, 7, "buildkitd", tcp=row("0100007F:04D2", "0A", 11), inodes=(11,))
    both = [Standing(UpstreamAddress("unix", str(each)), 0, "0.12.5") for each in (path, tmp_path / "absent")]

    warnings = check_daemons(Used(tuple(both), ()), proc=proc)

    assert sum("listens on TCP" in warning for warning in warnings) == 1
    assert sum("cannot be reached" in warning for warning in warnings) == 1


def test_a_daemon_of_ours_that_can_start_is_fine(tmp_path: Path) -> None:
    assert own(plan(tmp_path), plan(tmp_path / "not" / "yet" / "there")) == []


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    command = ("buildkitd", "{socket}", "{root}")
    plans = [
        OnDemand("own", tenant, template(tmp_path, command=command, environment={"PATH": str(tmp_path)}), "0.12.5")
        for tenant in ("a", "b")
    ]

    assert own(*plans) == ["pool own: there is no program buildkitd (daemon.command)"]


def test_a_directory_that_others_can_enter_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o710)

    [warning] = own(plan(tmp_path))

    assert f"{tmp_path} can be entered by others than kilngate: chmod 700" in warning


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_directory_that_cannot_be_made_is_told() -> None:
    os.seteuid(NOBODY)
    try:
        warnings = own(plan(Path("/nowhere/daemons")))
    finally:
        os.seteuid(0)

    assert "pool own: / cannot be written by kilngate (daemon.directory is /nowhere/daemons)" in warnings
