"""Programs that the bench needs and this machine may lack: from apt by name, or from the Python package index."""

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

QUIET = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}


class Unavailable(Exception):
    """Something that a row needs cannot be had; the text is what the table says instead of figures."""


def run(command: Sequence[str], *, within_s: float = 600) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its exit code is for the caller to judge.

    Raises:
        Unavailable: the program is not there, or it does not end.
    """
    try:
        return subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=within_s,
            env={**os.environ, **QUIET},
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]}: {error}") from error


def need_program(name: str, *, packages: Sequence[str]) -> str:
    """Return the path of program `name`, installed from Debian `packages` if it is not there yet.

    Raises:
        Unavailable: it is not there, and it cannot be installed.
    """
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found:
        return found
    install_debian(packages)
    return need_program(name, packages=())


def install_debian(packages: Sequence[str]) -> None:
    """Install Debian packages by name, from wherever this machine's apt is told to look.

    Raises:
        Unavailable: not root, no apt, or no such package.
    """
    wanted = " ".join(packages)
    if not packages:
        raise Unavailable("not found on PATH, also after installing its package")
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Unavailable(f"not installed; as root with apt: {wanted}")
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    if run(install).returncode == 0:
        return
    run(["apt-get", "update", "-qq"])
    done = run(install)
    if done.returncode:
        raise Unavailable(f"apt cannot install {wanted}: {_last_line(done.stderr)}")


def install_python(distribution: str, *, module: str) -> None:
    """Install `distribution` beside ourselves unless `module` is there; pip's own settings say from where.

    Raises:
        Unavailable: no pip, or pip cannot.
    """
    if importlib.util.find_spec(module):
        return
    done = run([sys.executable, "-m", "pip", "install", "--quiet", distribution])
    if done.returncode:
        raise Unavailable(f"pip cannot install {distribution}: {_last_line(done.stderr)}")
    importlib.invalidate_caches()


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1][:200]
