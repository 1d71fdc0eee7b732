import errno
import os
from pathlib import Path

import pytest

from proxy.sinks.audit_file import AuditFile, Tail, read_tail
from proxy.sinks.chain import GENESIS, Chain, digest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def lines(count: int) -> list[bytes]:
    chain = Chain()
    return [chain.link({"number": number}) for number in range(count)]


def test_a_new_file_is_readable_by_its_group_only(path: Path) -> None:
    file = AuditFile(path)

    assert file.open() == Tail(0, GENESIS)
    assert path.stat().st_mode & 0o137 == 0
    file.close()


def test_lines_are_appended_and_the_end_is_found_again(path: Path) -> None:
    written = lines(3)
    file = AuditFile(path)
    file.open()
    file.append(written[0])
    file.append(b"".join(written[1:]))
    file.close()

    assert path.read_bytes() == b"".join(written)
    assert AuditFile(path).open() == Tail(3, digest(written[-1]))


def test_a_second_writer_is_kept_out(path: Path) -> None:
    first = AuditFile(path)
    first.open()

    with pytest.raises(BlockingIOError, match="another kilngate writes this audit log"):
        AuditFile(path).open()
    first.close()


def test_nothing_can_be_appended_to_a_file_that_is_not_open(path: Path) -> None:
    with pytest.raises(OSError, match="not open"):
        AuditFile(path).append(b"x\n")


def test_a_torn_line_is_seen(path: Path) -> None:
    whole = lines(2)
    path.write_bytes(b"".join(whole) + b'{"seq":3,"pr')
    file = AuditFile(path)

    assert file.open() == Tail(2, digest(b'{"seq":3,"pr'), is_torn=True, is_open=True)
    file.close()


@pytest.mark.parametrize(
    ("end", "tail"),
    [
        (b"", Tail()),
        (lines(2)[0] + lines(2)[1].rstrip(b"\n"), Tail(2, digest(lines(2)[1]), is_open=True)),
        (b"junk\n", Tail(0, digest(b"junk"), is_torn=True)),
        (lines(1)[0] + b"\n", Tail(1, digest(b""), is_torn=True)),
    ],
)
def test_the_end_of_a_file_is_read(end: bytes, tail: Tail) -> None:
    assert read_tail(end) == tail


def test_a_rotated_file_is_noticed(path: Path) -> None:
    file = AuditFile(path)
    never_opened = file.is_moved()
    file.open()
    unmoved = file.is_moved()
    path.rename(path.with_suffix(".1"))
    gone = file.is_moved()
    path.touch()

    assert (never_opened, unmoved, gone, file.is_moved()) == (True, False, True, True)
    file.close()


def test_half_a_batch_does_not_stay_when_the_disk_fills_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = lines(3)
    file = AuditFile(path)
    file.open()
    file.append(written[0])
    real = os.write
    answers = iter([10, OSError(errno.ENOSPC, "No space left on device")])

    def filling_up(fd: int, octets: bytes) -> int:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return real(fd, octets[:answer])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", filling_up)
        with pytest.raises(OSError, match="No space"):
            file.append(b"".join(written[1:]))
    after_failure = path.read_bytes()
    file.append(b"".join(written[1:]))

    assert after_failure == written[0]
    assert path.read_bytes() == b"".join(written)
    file.close()


def test_a_half_line_that_could_not_be_cut_is_cut_before_the_next_write(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = AuditFile(path)
    file.open()

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        patch.setattr(os, "ftruncate", broken)
        with pytest.raises(OSError, match="Input"):
            file.append(b"half")
    file.append(b"whole\n")

    assert path.read_bytes() == b"whole\n"
    file.close()


def test_what_is_not_a_regular_file_is_written_and_never_read_back(path: Path) -> None:
    os.mkfifo(path)
    file = AuditFile(path)
    tail = file.open()
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file.append(b"line\n")

    assert tail == Tail()
    assert os.read(reader, 100) == b"line\n"
    os.close(reader)
    file.close()
