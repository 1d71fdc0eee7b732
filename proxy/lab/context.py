"""Build contexts that need no registry: `FROM scratch`, with Debian's static busybox copied in.

Steps say `RUN --network=none`: the engine of the lab has no network to give.
"""

import hashlib
import os
import shutil
from pathlib import Path

from proxy.lab.missing import Missing
from proxy.lab.packages import Packages

SUITE = "trixie"
BASE = """\
FROM scratch AS base
COPY busybox /bin/busybox
SHELL ["/bin/busybox", "sh", "-c"]
"""
SMALL = """\
RUN --network=none /bin/busybox --install -s /bin
COPY greeting /greeting
RUN --network=none cat /greeting && sha256sum /greeting > /digest
"""
CHUNK_OCTETS = 1 << 20


def find_busybox(cache: Path) -> Path:
    """Return a statically linked busybox: Debian's, or one on PATH.

    Raises:
        Missing: there is none.
    """
    try:
        root = Packages(SUITE, cache).root_of("busybox-static")
        return next(path for name in ("usr/bin", "bin") if (path := root / name / "busybox").exists())
    except Missing:
        found = shutil.which("busybox")
        if found and is_static(Path(found)):
            return Path(found)
        raise


def is_static(program: Path) -> bool:
    """Return whether a program names no interpreter and so runs in an empty root."""
    return b"/ld-" not in program.read_bytes()[:4096]


def write_context(directory: Path, busybox: Path, steps: str, files: dict[str, bytes] | None = None) -> Path:
    """Write a context whose Dockerfile is BASE and then `steps`; return its directory."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(busybox, directory / "busybox")
    (directory / "Dockerfile").write_text(BASE + steps)
    for name, octets in (files or {}).items():
        (directory / name).write_bytes(octets)
    return directory


def small(directory: Path, busybox: Path, greeting: str) -> Path:
    """Write a context of four steps; another greeting makes the last two of them run anew."""
    return write_context(directory, busybox, SMALL, {"greeting": greeting.encode() + b"\n"})


def random_files(directory: Path, octets: int, files: int = 16) -> dict[str, str]:
    """Fill a directory with new random files of `octets` in all; return the SHA-256 of each by its name."""
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        with (directory / f"random-{number:02}").open("wb") as file:
            for start in range(0, octets // files, CHUNK_OCTETS):
                file.write(os.urandom(min(CHUNK_OCTETS, octets // files - start)))
    return digests(directory)


def digests(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of each file beneath a directory by its relative path."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                found[str(path.relative_to(directory))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
