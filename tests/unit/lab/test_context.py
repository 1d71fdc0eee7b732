"""Build contexts: what is in them, and how their files are compared."""

import hashlib
import os
from pathlib import Path

import pytest

from proxy.lab.context import digests, find_busybox, is_static, random_files, small, write_context
from proxy.lab.missing import Missing


@pytest.fixture
def busybox(tmp_path: Path) -> Path:
    path = tmp_path / "busybox"
    path.write_bytes(b"\x7fELF" + bytes(8192))
    path.chmod(0o755)
    return path


def test_a_context_begins_from_scratch_and_needs_no_network(tmp_path: Path, busybox: Path) -> None:
    lines = (small(tmp_path / "context", busybox, "hello") / "Dockerfile").read_text().splitlines()

    assert lines[0].startswith("FROM scratch")
    assert all("--network=none" in line for line in lines if line.startswith("RUN"))


def test_files_are_written_beside_the_dockerfile(tmp_path: Path, busybox: Path) -> None:
    context = write_context(tmp_path / "context", busybox, "COPY nonce /\n", {"nonce": b"\0\1"})

    assert sorted(os.listdir(context)) == ["Dockerfile", "busybox", "nonce"]
    assert (context / "nonce").read_bytes() == b"\0\1"


def test_random_files_are_new_and_of_the_size_asked_for(tmp_path: Path) -> None:
    first, second = random_files(tmp_path / "1", 1 << 12), random_files(tmp_path / "2", 1 << 12)

    assert len(first) == 16
    assert not set(first.values()) & set(second.values())
    assert sum(path.stat().st_size for path in (tmp_path / "1").iterdir()) == 1 << 12


def test_files_are_known_by_their_path_and_sha256(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below/file").write_bytes(b"octets")

    assert digests(tmp_path) == {"below/file": hashlib.sha256(b"octets").hexdigest()}


def test_a_static_busybox_on_path_serves_where_debians_cannot_be_had(
    tmp_path: Path, busybox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_busybox(tmp_path / "cache") == busybox


def test_a_busybox_that_needs_libraries_does_not_serve(
    tmp_path: Path, busybox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busybox.write_bytes(b"\x7fELF" + bytes(60) + b"/lib64/ld-linux-x86-64.so.2\0")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert not is_static(busybox)
    with pytest.raises(Missing):
        find_busybox(tmp_path / "cache")
