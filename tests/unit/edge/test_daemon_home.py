"""The home of a daemon of ours, before it starts."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from proxy.edge import daemon_home
from proxy.edge.daemon_home import Claim, last_words, open_log, prepare
from proxy.processes import ProcessId, identify
from proxy.routing.template import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(str(tmp_path / "daemons" / "own.payments"))


def prepared(home: Home) -> None:
    """Make a home ready and give it back."""
    prepare(home).close(is_empty=True)


def left(home: Home, process: ProcessId | None) -> None:
    """Leave a home as a kilngate does that is killed."""
    assert process
    claim = prepare(home)
    claim.write(process)
    claim.close(is_empty=False)


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def wrote(home: Home, text: bytes) -> None:
    descriptor = open_log(home)
    os.write(descriptor, text)
    os.close(descriptor)


def test_all_of_it_is_for_our_user_alone(home: Home) -> None:
    prepared(home)
    wrote(home, b"x")

    assert [mode(path) for path in (Path(home.path).parent, home.path, home.run, home.root)] == [0o700] * 4
    assert mode(home.log) == 0o600


def test_data_stay_and_what_lives_as_long_as_the_process_does_not(home: Home) -> None:
    prepared(home)
    for directory in (home.run, home.root):
        Path(directory, "kept").mkdir()
        Path(directory, "kept", "file").touch()
    prepared(home)

    assert (os.listdir(home.run), os.listdir(home.root)) == ([], ["kept"])


@pytest.mark.parametrize("which", ["directory", "home"])
def test_a_directory_that_others_can_enter_is_refused(home: Home, which: str) -> None:
    prepared(home)
    open_to_others = Path(home.path) if which == "home" else Path(home.path).parent
    open_to_others.chmod(0o750)

    with pytest.raises(PermissionError, match=r"must belong to kilngate's user alone .*drwxr-x---"):
        prepare(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_directory_of_another_user_is_refused(home: Home) -> None:
    prepared(home)
    os.chown(home.path, 65534, 65534)

    with pytest.raises(PermissionError, match="belongs to user 65534"):
        prepare(home)


def test_nothing_is_removed_behind_a_mount(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(home)
    Path(home.run, "kept").touch()
    mounted = f"36 35 0:1 / {os.path.realpath(home.run)}/with\\040blank rw - tmpfs none rw\n"
    real = Path.read_text

    def read_text(path: Path) -> str:
        return mounted if path == Path("/proc/self/mountinfo") else real(path)

    monkeypatch.setattr(Path, "read_text", read_text)

    with pytest.raises(OSError, match="with blank is still mounted by a daemon that ended badly"):
        prepare(home)
    assert os.listdir(home.run) == ["kept"]


def test_a_long_log_is_put_aside(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(home)
    wrote(home, b"first life\n")
    prepared(home)
    still_there = Path(home.log).read_bytes()
    monkeypatch.setattr(daemon_home, "MOST_LOG_OCTETS", 5)
    prepared(home)

    assert still_there == b"first life\n"
    assert not os.path.exists(home.log)
    assert Path(f"{home.log}.1").read_bytes() == b"first life\n"


def test_the_last_words_are_those_of_this_life(home: Home) -> None:
    prepared(home)
    wrote(home, b"first life\n")
    assert last_words(home, 11) == "its log is empty"

    wrote(home, b"x" * 9000 + b"\nflag needs an argument: \xff\n \n")

    assert last_words(home, 11) == "flag needs an argument: \N{REPLACEMENT CHARACTER}"
    assert last_words(Home("/nowhere"), 0) == "its log cannot be read (No such file or directory)"


def test_a_daemon_that_an_earlier_kilngate_left_is_ended_first(home: Home) -> None:
    words = ["sh", "-c", "sleep 60 & echo up; wait"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as one:
        assert one.stdout
        one.stdout.readline()
        left(home, identify(one.pid))

        prepared(home)

        assert one.wait(10) == -15


def test_what_a_dead_daemon_left_is_ended_too(home: Home) -> None:
    words = ["sh", "-c", "sleep 60 & echo $!; exec sleep 60"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as one:
        assert one.stdout
        child = identify(int(one.stdout.readline()))
        assert child
        left(home, identify(one.pid))
        one.kill()
        one.wait()

        prepared(home)

    assert identify(child.number) != child


def test_a_home_that_another_kilngate_has_is_left_to_it(home: Home) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as one:
        process = identify(one.pid)
        assert process
        theirs = prepare(home)
        theirs.write(process)
        Path(home.run, "daemon.sock").touch()

        with pytest.raises(BlockingIOError, match="another kilngate runs the daemon in"):
            prepare(home)

        assert one.poll() is None
        assert os.listdir(home.run) == ["daemon.sock"]
        one.kill()
    theirs.close(is_empty=True)
    prepared(home)


def test_a_home_that_could_not_be_made_ready_is_not_kept(home: Home) -> None:
    prepared(home)
    Path(home.run).rmdir()
    Path(home.run).touch()

    for _ in range(2):
        with pytest.raises(NotADirectoryError):
            prepare(home)


@pytest.mark.parametrize("text", ["", "x", "some-boot {pid} {ticks}\n", "{boot} {pid} 1\n", "a b c\n"])
def test_a_note_that_names_no_process_of_this_boot_ends_nobody(home: Home, text: str) -> None:
    prepared(home)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as bystander:
        found = identify(bystander.pid)
        assert found
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        Path(home.note).write_text(text.format(boot=boot, pid=found.number, ticks=found.start_ticks))

        prepared(home)

        assert bystander.poll() is None
        bystander.kill()


def test_the_note_names_who_lives_there_and_nobody_when_nobody_does(home: Home) -> None:
    claim = prepare(home)
    claim.write(ProcessId(12345, 67890))
    claim.write(ProcessId(7, 8))
    named = Path(home.note).read_text().split()[1:]
    claim.close(is_empty=True)

    assert named == ["7", "8"]
    assert Path(home.note).read_text() == ""
    assert mode(home.note) == 0o600


def test_a_claim_is_not_inherited_by_the_daemon(home: Home) -> None:
    claim = prepare(home)
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        claim.close(is_empty=True)
        again = Claim(home)
        again.close(is_empty=True)
        child.kill()
