"""In which order a BuildKit is looked for, and what is said when there is none."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.lab import engine
from proxy.lab.dockerd import dockerd_command, start_buildkitd
from proxy.lab.engine import FoundEngine, find_engine, start_engine
from proxy.lab.missing import Missing
from proxy.lab.sockets import LONGEST_DIRECTORY, answers_http2, free_port, socket_directory

SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
FAKE_BUILDKITD = """#!/usr/bin/env python3
import socket, sys
path = sys.argv[sys.argv.index("--addr") + 1].removeprefix("unix://")
with socket.socket(socket.AF_UNIX) as listener:
    listener.settimeout(60)
    listener.bind(path)
    listener.listen()
    while True:
        connection, _ = listener.accept()
        with connection:
            # Read the whole preface first: a unix socket that is closed with octets unread resets its peer.
            if len(connection.recv(33, socket.MSG_WAITALL)) == 33:
                connection.sendall(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
                connection.recv(1)
"""


@contextmanager
def answering(path: Path, answers: bytes, *, after: int) -> Iterator[None]:
    """Listen on `path`; give each connection `answers` after so many octets of it."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(after)
                connection.sendall(answers)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1024):
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_socket_that_speaks_http2_answers(tmp_path: Path) -> None:
    with answering(tmp_path / "s", SETTINGS, after=24):
        assert answers_http2(f"unix://{tmp_path}/s")


def test_a_docker_daemon_answers_after_the_upgrade(tmp_path: Path) -> None:
    with answering(tmp_path / "s", b"HTTP/1.1 101 UPGRADED\r\nUpgrade: h2c\r\n\r\n" + SETTINGS, after=200):
        assert answers_http2(f"docker://{tmp_path}/s")


@pytest.mark.parametrize("said", [b"HTTP/1.1 404 Not Found\r\n\r\n", b"HTTP/1.1 ", b""])
def test_a_daemon_without_buildkit_does_not_answer(tmp_path: Path, said: bytes) -> None:
    with answering(tmp_path / "s", said, after=200):
        assert not answers_http2(f"docker://{tmp_path}/s")


def test_a_socket_that_is_not_there_does_not_answer(tmp_path: Path) -> None:
    assert not answers_http2(f"unix://{tmp_path}/s")


def test_the_engine_that_the_operator_names_is_used(tmp_path: Path) -> None:
    with answering(tmp_path / "s", SETTINGS, after=24):
        found = find_engine(tmp_path, tmp_path, {"KILNGATE_BUILDKIT": f"unix://{tmp_path}/s"})

    assert isinstance(found, FoundEngine)
    assert found.url == f"unix://{tmp_path}/s"
    assert not found.is_own


def test_a_named_engine_that_does_not_answer_is_not_replaced_by_another(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="which KILNGATE_BUILDKIT names"):
        find_engine(tmp_path, tmp_path, {"KILNGATE_BUILDKIT": f"unix://{tmp_path}/s"})


def test_a_running_engine_is_used_before_one_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RUNNING", {f"unix://{tmp_path}/1": "first", f"unix://{tmp_path}/2": "second"})
    with answering(tmp_path / "2", SETTINGS, after=24):
        found = find_engine(tmp_path, tmp_path, {})

    assert found.description == "second"


def test_who_is_not_root_is_told_the_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(Missing, match=r"(?s)only root.*KILNGATE_BUILDKIT.*Docker daemon"):
        start_engine(tmp_path, tmp_path)


def test_without_any_package_the_choices_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Missing, match=r"(?s)none can be fetched.*KILNGATE_BUILDKIT"):
        start_engine(tmp_path, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root")
def test_a_buildkitd_on_path_is_started_restarted_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "buildkitd").write_text(FAKE_BUILDKITD)
    (tmp_path / "buildkitd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    own = start_buildkitd(tmp_path / "state")
    first = own.pid

    own.restart()

    assert own.pid != first
    assert answers_http2(own.url)
    own.stop()
    assert not answers_http2(own.url)


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root")
def test_the_daemon_of_a_run_that_was_cut_short_makes_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "buildkitd").write_text(FAKE_BUILDKITD)
    (tmp_path / "buildkitd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    cut_short = start_buildkitd(tmp_path / "state")

    second = start_buildkitd(tmp_path / "state")

    assert cut_short._child.wait(5.0) < 0
    assert answers_http2(second.url)
    second.stop()


def test_a_daemon_of_ours_listens_on_unix_sockets_only() -> None:
    command = dockerd_command("/run/s", "/run", "/data", "--debug")

    assert [command[at + 1] for at, word in enumerate(command) if word == "--host"] == ["unix:///run/s"]
    assert command[-1] == "/data"


def test_a_long_path_gets_a_short_socket_directory_always_the_same(tmp_path: Path) -> None:
    wanted = tmp_path / ("x" * 100)

    chosen = socket_directory(wanted)

    assert chosen == socket_directory(wanted)
    assert len(str(chosen)) <= LONGEST_DIRECTORY
    chosen.rmdir()


def test_a_short_path_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert socket_directory(Path("run")) == tmp_path / "run" or len(str(tmp_path)) > LONGEST_DIRECTORY - 4


def test_a_free_port_can_be_bound() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))
