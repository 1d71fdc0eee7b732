"""What must be there before a door opens: our compiled programs, certificates, a place for sockets."""

import hashlib
import resource
import shutil
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.certificates import Certificates, make_certificates
from bench.child import Child, wait_for
from bench.packages import Unavailable, install_debian, run

HERE = Path(__file__).parent
ROOT = HERE.parent
STATE = ROOT / ".kilngate" / "bench"
COMPILE = ("-O2", "-Wall", "-Wno-deprecated-declarations")
LIBRARIES = {
    "client": ("-lnghttp2", "-lssl", "-lcrypto"),
    "sink": ("-lnghttp2", "-lssl", "-lcrypto"),
    "bridge": ("-lpthread",),
}
COMPILER = ("gcc", "libc6-dev", "libnghttp2-dev", "libssl-dev")
# A door that holds a thousand idle connections needs twice as many descriptors.
OPEN_FILES = 8192
START_S = 15.0


@dataclass(frozen=True, slots=True)
class Ground:
    """One run: a directory for sockets, settings and logs, certificates, and the sink that stands for buildkitd.

    The directory is short, since a socket's path has at most 107 octets.
    """

    directory: Path
    certificates: Certificates
    sink: Child
    socket: Path
    tls_port: int

    def clear(self) -> None:
        """End the sink and remove what the run wrote."""
        self.sink.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def lay_ground() -> Ground:
    """Make everything that all doors share.

    Raises:
        Unavailable: no compiler or no library, and no way to install them.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if 0 < hard < OPEN_FILES else OPEN_FILES, hard))
    directory = Path(tempfile.mkdtemp(prefix="kilngate-bench-"))
    pki = make_certificates(directory / "pki")
    path, port = directory / "sink.sock", free_port()
    sink = Child(
        [str(program("sink")), str(path), str(port), str(pki.ca), str(pki.server), str(pki.server_key)],
        log=directory / "sink.log",
    )
    wait_for_door(sink, port)
    return Ground(directory=directory, certificates=pki, sink=sink, socket=path, tls_port=port)


def program(name: str) -> Path:
    """Return the program of `bench/<name>.c`, compiled again only when its text has changed.

    Raises:
        Unavailable: it cannot be compiled, also after installing what it needs.
    """
    source = (HERE / f"{name}.c").read_bytes() + (HERE / "wire.h").read_bytes()
    target = STATE / "bin" / f"{name}-{hashlib.sha256(source).hexdigest()[:12]}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _compile(name, target)
    return target


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_door(child: Child, port: int) -> None:
    """Wait until something listens.

    Raises:
        Unavailable: the process ended or did not listen in time; what it said is the reason.
    """
    wait_for(lambda: not child.is_alive or _accepts(port), within_s=START_S)
    if not child.is_alive or not _accepts(port):
        child.stop()
        raise Unavailable(f"does not start: {child.said()}")


def _compile(name: str, target: Path) -> None:
    command: Sequence[str] = ["cc", *COMPILE, "-o", str(target), str(HERE / f"{name}.c"), *LIBRARIES[name]]
    if shutil.which("cc") and run(command).returncode == 0:
        return
    install_debian(COMPILER)
    done = run(command)
    if done.returncode:
        raise Unavailable(f"cannot compile {name}.c: {done.stderr.strip()[-300:]}")


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
