"""A look at the daemons' sockets before the first caller comes: who else could use them?

Whoever opens that socket, or a TCP port of the same daemon, passes by kilngate and
owns every build. What is found is told loudly; nothing is changed. Daemons that kilngate
will run are looked at as far as they are there yet: program and directory.

Source: unix(7), proc(5), proc_net(5).
"""

import os
import shutil
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from proxy.buildkit.address import UpstreamAddress
from proxy.routing.routes import OnDemand, Used

DAEMONS = frozenset({"buildkitd", "dockerd"})
_LISTENING = "0A"


def check_daemons(daemons: Used, *, proc: Path = Path("/proc")) -> list[str]:
    """Return a sentence for each thing that an operator should mend; reads the file system."""
    told = [warning for each in daemons.standing for warning in check_socket(each.address, proc=proc)]
    return list(dict.fromkeys([*told, *(warning for each in daemons.on_demand for warning in _about_plan(each))]))


def check_socket(address: UpstreamAddress, *, proc: Path = Path("/proc")) -> list[str]:
    """Return a sentence for each thing that an operator should mend; reads the file system."""
    return [*_about_socket(address.path), *_about_directory(address.path), *_about_listeners(proc)]


def _about_plan(plan: OnDemand) -> Iterator[str]:
    """Warn of a daemon that will not start."""
    program, directory = plan.template.command[0], Path(plan.template.directory)
    if shutil.which(program, path=plan.template.environment.get("PATH")) is None:
        yield f"pool {plan.pool}: there is no program {program} (daemon.command)"
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK, effective_ids=True):
        yield f"pool {plan.pool}: {existing} cannot be written by kilngate (daemon.directory is {directory})"
    elif existing == directory and directory.stat().st_mode & 0o077:
        yield f"pool {plan.pool}: {directory} can be entered by others than kilngate: chmod 700 (daemon.directory)"


def _about_socket(path: str) -> Iterator[str]:
    try:
        found = os.stat(path)
    except OSError as error:
        yield f"{path} cannot be reached ({error.strerror}): is the build daemon running?"
        return
    if not stat.S_ISSOCK(found.st_mode):
        yield f"{path} is not a socket: upstream.url must name the one that the build daemon listens on"
        return
    if found.st_mode & stat.S_IWOTH:
        yield (
            f"{path} is world-writable ({stat.filemode(found.st_mode)}): every user of this machine passes by "
            "kilngate and owns all builds. Set its mode to 0660, and its group to one that only kilngate has"
        )
    if found.st_uid not in (0, os.geteuid()):
        yield (
            f"{path} belongs to user {found.st_uid}, neither root nor the user of kilngate: "
            "whoever is that user sees all builds and their secrets"
        )
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        yield (
            f"{path} may not be opened by kilngate (user {os.geteuid()}): it belongs to "
            f"{found.st_uid}:{found.st_gid} with mode {stat.filemode(found.st_mode)}"
        )


def _about_directory(path: str) -> Iterator[str]:
    """Warn of a directory in which anybody may put another socket in place of the daemon's."""
    directory = os.path.dirname(os.path.realpath(path))
    try:
        mode = os.stat(directory).st_mode
    except OSError:
        return
    if mode & stat.S_IWOTH:
        yield (
            f"{directory} is world-writable: every user of this machine may put a socket of his own "
            "where the build daemon's should be. Move the socket to a directory of its own"
        )


def _about_listeners(proc: Path) -> Iterator[str]:
    for process in sorted(proc.glob("[0-9]*")):
        try:
            name = (process / "comm").read_text().strip()
            ports = _listening_ports(process) if name in DAEMONS else []
        except OSError:
            # It ended, or it is somebody else's and we may not look.
            continue
        for port in ports:
            yield (
                f"{name} (process {process.name}) listens on TCP {port}: whoever reaches that port may pass by "
                "kilngate. Let it listen on its unix socket only"
            )


def _listening_ports(process: Path) -> list[str]:
    """Return `address:port` of each TCP socket that a process holds and listens on."""
    held = {_target(link) for link in (process / "fd").iterdir()}
    ports = []
    for table in ("tcp", "tcp6"):
        for line in (process / "net" / table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == _LISTENING and f"socket:[{rest[5]}]" in held:
                ports.append(read_address(local))
    return ports


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def read_address(text: str) -> str:
    """Return `127.0.0.1:1234` for `0100007F:04D2`: words of the machine's own byte order, in hex."""
    address, _, port = text.partition(":")
    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    if len(words) == 1:
        return f"{socket.inet_ntop(socket.AF_INET, packed)}:{int(port, 16)}"
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]:{int(port, 16)}"
