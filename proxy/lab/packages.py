"""Debian packages, unpacked into a cache and never installed.

apt does the fetching, with lists, archives and settings of its own beneath the
cache, so it needs no root and leaves the machine's own package state alone. It
checks the release's signature against Debian's keyring. The mirror is the one
that the machine's own apt uses: no host is named here.

Source: apt.conf(5), apt-get(8) `indextargets`, sources.list(5).
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from proxy.lab.missing import Missing

MIRROR_VARIABLE = "KILNGATE_DEBIAN_MIRROR"
KEYRINGS = tuple(
    Path("/usr/share/keyrings", name) for name in ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")
)
CHOICES = (
    f"It needs apt and Debian's keyring (package debian-archive-keyring); on a system other than Debian, "
    f"set {MIRROR_VARIABLE} to the URL of a Debian mirror."
)
DEBIAN_SUITES = frozenset(("bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable"))
# One line of `apt-get update --print-uris`: 'http://mirror/debian/dists/bookworm/InRelease' name 0
RELEASE_FILE = re.compile(r"^'(?P<mirror>\S+?)/?/dists/(?P<suite>[^/\s]+)/InRelease'", re.MULTILINE)
MINUTES = 60


class Packages:
    """The packages of one suite, unpacked beneath `cache` when they are asked for.

    What was unpacked once is used again without asking the mirror.
    """

    def __init__(self, suite: str, cache: Path) -> None:
        self.suite = suite
        self._home = cache.absolute() / "debian" / suite

    def root_of(self, package: str) -> Path:
        """Return the directory that holds the files of `package`, fetched if it is not there yet.

        Raises:
            Missing: there is no apt, no mirror, no such package, or a signature is wrong.
        """
        root = self._home / "unpacked" / package
        if not root.is_dir():
            self._home.mkdir(parents=True, exist_ok=True)
            with locked(self._home / "lock"):
                if not root.is_dir():
                    self._unpack(package, root)
        return root

    def _unpack(self, package: str, root: Path) -> None:
        archive = self._download(package)
        fresh = root.parent / f".{package}"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        run(["dpkg-deb", "--extract", str(archive), str(fresh)], {})
        fresh.rename(root)
        archive.unlink()

    def _download(self, package: str) -> Path:
        environment = self._apt_environment()
        inbox = self._home / "inbox" / package
        shutil.rmtree(inbox, ignore_errors=True)
        inbox.mkdir(parents=True)
        if not any((self._home / "lists").glob("*_InRelease")):
            run(["apt-get", "update", "--quiet"], environment)
        try:
            run(["apt-get", "download", "--quiet", package], environment, inbox)
        except Missing:
            # Lists grow old: the mirror has a newer version by now and no longer the one that they name.
            run(["apt-get", "update", "--quiet"], environment)
            run(["apt-get", "download", "--quiet", package], environment, inbox)
        return next(inbox.glob("*.deb"))

    def _apt_environment(self) -> dict[str, str]:
        """Write the private apt root and return the environment that makes apt use it."""
        for directory in ("lists/partial", "cache/archives/partial", "parts"):
            (self._home / directory).mkdir(parents=True, exist_ok=True)
        (self._home / "status").touch()
        (self._home / "sources.list").write_text(sources(self.suite, find_mirror(os.environ), find_keyring()))
        settings = self._home / "apt.conf"
        settings.write_text(transport_settings(run(["apt-config", "dump"], {})) + private_settings(self._home))
        return {"APT_CONFIG": str(settings)}


def sources(suite: str, mirror: str, keyring: Path) -> str:
    """Return a sources.list with the one suite."""
    return f"deb [signed-by={keyring}] {mirror} {suite} main\n"


def transport_settings(dump: str) -> str:
    """Return what the machine says about fetching (proxies, certificates), from the text of `apt-config dump`."""
    kept = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv")
    return "".join(f"{line}\n" for line in dump.splitlines() if line.startswith(kept))


def private_settings(home: Path) -> str:
    """Return the settings of an apt that reads and writes nothing outside `home`, and insists on signatures."""
    settings = {
        "Dir::Etc::parts": home / "parts",
        "Dir::Etc::sourcelist": home / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": home,
        "Dir::State::lists": home / "lists",
        "Dir::State::status": home / "status",
        "Dir::Cache": home / "cache",
        "APT::Sandbox::User": "root",
        "APT::Get::AllowUnauthenticated": "false",
        "APT::Update::Error-Mode": "any",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::Languages": "none",
        "Acquire::PDiffs": "false",
        "Acquire::http::Timeout": "20",
    }
    return "".join(f'{name} "{value}";\n' for name, value in settings.items())


def find_mirror(environment: Mapping[str, str]) -> str:
    """Return the URL of the mirror that the operator named, or that the machine's apt uses.

    Raises:
        Missing: there is none.
    """
    if named := environment.get(MIRROR_VARIABLE):
        return named
    # With lists of nobody: apt then names every release file it would fetch, and fetches none.
    with tempfile.TemporaryDirectory() as nothing:
        listed = run(["apt-get", "update", "--print-uris", "--option", f"Dir::State::lists={nothing}"], {})
    if mirror := choose_mirror(listed):
        return mirror
    raise Missing(f"apt on this machine knows no Debian mirror. {CHOICES}")


def choose_mirror(listed: str) -> str | None:
    """Return the mirror of Debian's main archive among the URLs that apt printed.

    Others use the same names for their suites, but only Debian has `-updates` beside them.
    """
    suites = [(found["mirror"], found["suite"]) for found in RELEASE_FILE.finditer(listed)]
    mirrors = [mirror for mirror, suite in suites if suite in DEBIAN_SUITES]
    updated = {mirror for mirror, suite in suites if suite.endswith("-updates")}
    return next((mirror for mirror in mirrors if mirror in updated), next(iter(mirrors), None))


def find_keyring() -> Path:
    """Return the file with the keys that sign Debian's releases.

    Raises:
        Missing: it is not on this machine.
    """
    for keyring in KEYRINGS:
        if keyring.exists():
            return keyring
    raise Missing(f"Debian's keyring is not on this machine. {CHOICES}")


def run(command: list[str], environment: Mapping[str, str], directory: Path | None = None) -> str:
    """Run a tool of apt and return what it printed.

    Raises:
        Missing: it is not there, it failed, or it took more than ten minutes.
    """
    everything = {**os.environ, "LC_ALL": "C", **environment}
    try:
        done = subprocess.run(
            command, env=everything, cwd=directory, capture_output=True, text=True, timeout=10 * MINUTES, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]}: {error}. {CHOICES}") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")] or done.stderr.splitlines()
        raise Missing(f"{' '.join(command[:2])} failed: {' '.join(said[:2])}")
    return done.stdout


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file `path` for one process at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
