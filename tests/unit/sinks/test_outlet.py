import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.sinks.outlet import Outlet


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def test_lines_reach_a_pipe_whole(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])

    assert outlet.put(b"one\n")
    assert outlet.put(b"two\n")
    assert os.read(pipe[0], 100) == b"one\ntwo\n"
    outlet.close()


def test_a_pipe_that_nobody_reads_never_makes_it_wait(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])
    line = b"x" * 999 + b"\n"

    taken = [outlet.put(line) for _ in range(200)]
    os.set_blocking(pipe[0], False)
    received = os.read(pipe[0], 1 << 20)
    again = outlet.put(b"after\n")

    assert not all(taken)
    assert again
    rest = os.read(pipe[0], 1 << 20)
    assert (received + rest).count(b"\n") == sum(taken) + 1
    assert (received + rest).endswith(b"\nafter\n")
    outlet.close()


def test_the_flags_of_the_shared_descriptor_stay_as_they_are(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])

    assert os.get_blocking(pipe[1])
    outlet.close()


@pytest.mark.parametrize("is_own", [True, False])
def test_a_pipe_of_somebody_else_does_not_make_it_wait_either(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, is_own: bool
) -> None:
    real = os.open

    def refused(path: str, flags: int, mode: int = 0o777) -> int:
        if not is_own and path.startswith("/proc/self/fd/"):
            raise PermissionError(13, "Permission denied")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refused)
    outlet = Outlet(pipe[1])

    taken = [outlet.put(b"y" * 4000 + b"\n") for _ in range(40)]

    assert taken[0]
    assert not taken[-1]
    outlet.close()


def test_a_long_line_goes_out_whole_even_in_parts(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])
    line = b"z" * 20_000 + b"\n"
    outlet.put(line)

    assert os.read(pipe[0], 1 << 20) == line
    outlet.close()


def test_a_line_that_went_out_in_part_is_finished_before_the_next(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])
    long = b"z" * 200_000 + b"\n"
    is_begun = outlet.put(long)
    is_next_taken = outlet.put(b"lost\n")
    os.set_blocking(pipe[0], False)
    received = b""
    for _ in range(10):
        received += os.read(pipe[0], 1 << 20)
        if outlet.put(b"after\n"):
            break
    received += os.read(pipe[0], 1 << 20)

    assert (is_begun, is_next_taken) == (True, False)
    assert received == long + b"after\n"
    outlet.close()


def test_a_reader_that_went_away_is_survived(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])
    os.close(pipe[0])

    assert not outlet.put(b"one\n")
    assert not outlet.put(b"two\n")
    outlet.close()


def test_a_descriptor_that_was_closed_from_the_start_is_survived(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    outlet = Outlet(pipe[1])

    assert not outlet.put(b"one\n")
    outlet.close()


def test_nothing_is_taken_after_the_end(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])
    outlet.close()
    outlet.close()

    assert not outlet.put(b"one\n")


def test_a_regular_file_is_continued_and_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(fd, b"before\n")
    outlet = Outlet(fd)
    outlet.put(b"line\n")
    os.write(fd, b"after\n")
    outlet.close()
    os.close(fd)

    assert path.read_bytes() == b"before\nline\nafter\n"


def test_a_full_device_is_survived() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    outlet = Outlet(fd)

    assert not outlet.put(b"one\n")
    outlet.close()
    os.close(fd)


def test_a_journal_socket_gets_lines_and_never_makes_it_wait() -> None:
    near, far = socket.socketpair()
    with near, far:
        outlet = Outlet(near.fileno())
        outlet.put(b"one\n")
        first = far.recv(100)
        began = time.monotonic()
        taken = [outlet.put(b"x" * 9999 + b"\n") for _ in range(200)]

        assert first == b"one\n"
        assert not all(taken)
        assert time.monotonic() - began < 30
        outlet.close()
