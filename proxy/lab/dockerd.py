"""The two daemons that can be started here: buildkitd, and Debian's Docker daemon with the BuildKit inside it.

Both get a mount namespace of their own: whatever they mount is gone when they
are, and their data can be removed. Both need root.
"""

import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from proxy.lab.child import Child, ChildFailed
from proxy.lab.missing import Missing
from proxy.lab.packages import Packages
from proxy.lab.sockets import answers_http2, remove_sockets, socket_directory
from proxy.processes import identify, stop_process

SUITE = "trixie"
# Trixie's runc is linked against this glibc; on an older one bookworm's runs, with the rest of trixie.
RUNC_GLIBC = (2, 38)
PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "private")
# No network of its own: steps run with `--network=none`, so neither a bridge nor iptables is needed.
NO_NETWORK = ("--iptables=false", "--ip6tables=false", "--bridge=none")
# The daemon chooses a storage driver by itself, as a rule rightly; plain copies work everywhere.
ATTEMPTS: tuple[tuple[str, ...], ...] = ((), ("--storage-driver=vfs",))
START_S = 30.0


class OwnEngine:
    """A BuildKit that we started, with its data in a directory of ours."""

    is_own = True

    def __init__(
        self, command: Sequence[str], url: str, description: str, *, log: Path, environment: Mapping[str, str]
    ) -> None:
        self.url = url
        self.description = description
        self.log = log
        self._command = command
        self._environment = environment
        self._child = self._started()

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether the daemon's process runs."""
        return self._child.exit_code is None

    def stop(self) -> None:
        """Stop it in good order, with its children."""
        self._child.stop()
        self._forget()

    def kill(self) -> None:
        """End it at once, as a crash would, with its children."""
        self._child.kill()
        self._forget()

    def start(self) -> None:
        """Start it again after `stop` or `kill`, at the same address with the same data."""
        self._child = self._started()

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def _started(self) -> Child:
        self._end_leftover()
        self._runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        child = Child(self._command, self.log, environment=self._environment)
        self._pid_file.write_text(str(child.pid))
        try:
            child.wait_ready(lambda: answers_http2(self.url), START_S)
        except ChildFailed:
            child.kill()
            self._forget()
            raise
        return child

    def _end_leftover(self) -> None:
        """End the daemon of a run that was cut short: it holds the data directory."""
        if not self._pid_file.exists():
            return
        process = identify(int(self._pid_file.read_text() or 0))
        if process and self._is_ours(process.number):
            stop_process(process, 15.0)
        self._forget()

    def _is_ours(self, pid: int) -> bool:
        path = Path(f"/proc/{pid}/cmdline")
        return bool(path.exists()) and self._command[-1].encode() in path.read_bytes().split(b"\0")

    def _forget(self) -> None:
        self._pid_file.unlink(missing_ok=True)
        # A killed daemon leaves its sockets, and the pid of its containerd, for which the next one would wait 10 s.
        remove_sockets(self._runtime)

    @property
    def _runtime(self) -> Path:
        return Path(self.url.partition("://")[2]).parent

    @property
    def _pid_file(self) -> Path:
        return self.log.parent / "engine.pid"


def start_buildkitd(state: Path) -> OwnEngine:
    """Start the `buildkitd` on PATH.

    Raises:
        Missing: it does not start here.
    """
    url = f"unix://{socket_directory(state / 'run')}/buildkitd.sock"
    command = [
        *PRIVATE_MOUNTS, "buildkitd", "--containerd-worker=false",
        "--addr", url,
        "--root", str(state.absolute() / "data"),
    ]  # fmt: skip
    state.mkdir(parents=True, exist_ok=True)
    try:
        return OwnEngine(
            command, url, f"buildkitd of {shutil.which('buildkitd')}", log=state / "engine.log", environment=os.environ
        )
    except ChildFailed as failed:
        raise Missing(f"buildkitd does not start here: it {failed}") from failed


def start_dockerd(state: Path, cache: Path) -> OwnEngine:
    """Fetch Debian's Docker daemon if it is not in the cache, and start it.

    Raises:
        Missing: it cannot be had, or it does not start here.
    """
    directories = docker_directories(cache)
    environment = {**os.environ, "PATH": os.pathsep.join((*map(str, directories), os.environ["PATH"]))}
    state.mkdir(parents=True, exist_ok=True)
    runtime, failure = socket_directory(state / "run"), ""
    socket, root = f"{runtime}/docker.sock", str(state.absolute() / "data")
    for extra in ATTEMPTS:
        try:
            return OwnEngine(
                [*PRIVATE_MOUNTS, *dockerd_command(socket, str(runtime), root, *extra)],
                f"docker://{socket}", f"Debian's Docker daemon ({SUITE}), started here",
                log=state / "engine.log", environment=environment,
            )  # fmt: skip
        except ChildFailed as failed:
            failure = str(failed)
    raise Missing(f"the Docker daemon does not start here: it {failure}")


def docker_directories(cache: Path) -> list[Path]:
    """Return the directories of the daemon's programs, fetched.

    Raises:
        Missing: a package cannot be had.
    """
    packages = Packages(SUITE, cache)
    old_glibc = tuple(map(int, platform.libc_ver()[1].split(".")[:2])) < RUNC_GLIBC
    runc = Packages("bookworm", cache) if old_glibc else packages
    return [
        packages.root_of("docker.io") / "usr/sbin",
        packages.root_of("containerd") / "usr/bin",
        runc.root_of("runc") / "usr/sbin",
    ]


def dockerd_command(socket: str, run: str, root: str, *extra: str) -> list[str]:
    """Return the command line of a Docker daemon; the data directory comes last, it tells ours from others."""
    return [
        "dockerd", *NO_NETWORK, *extra,
        "--host", f"unix://{socket}",
        "--exec-root", f"{run}/exec",
        "--pidfile", f"{run}/docker.pid",
        "--data-root", root,
    ]  # fmt: skip
