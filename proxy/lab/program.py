"""Our own programs as children: the door itself, the issuer, the token door."""

import os
import sys
from pathlib import Path

import proxy
from proxy.lab.child import Child

SOURCE = Path(proxy.__file__).parent.parent


def start_program(module: str, *arguments: str, log: Path) -> Child:
    """Start `python -m module arguments`, of the same code and interpreter as this process.

    `-P` keeps the working directory out of the import path: it may hold a `proxy` of its own.
    """
    path = os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-P", "-m", module, *arguments]
    return Child(command, log, environment={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"})


def start_serve(settings_file: Path, log: Path) -> Child:
    """Start `kilngate serve`."""
    return start_program("proxy", "serve", "--config", str(settings_file), log=log)


def start_issuer(directory: Path, port: int) -> Child:
    """Start the token issuer, with its key in `directory`."""
    return start_program("proxy.lab.issuer", str(directory), str(port), log=directory / "issuer.log")


def start_token_door(listen: Path, server: str, ca: Path, token: Path, log: Path) -> Child:
    """Start a token door on the unix socket `listen`; `server` is HOST:PORT, `token` the file that holds it."""
    return start_program(
        "proxy.lab.tokendoor",
        f"--listen={listen}",
        f"--server={server}",
        f"--ca={ca}",
        f"--token={token}",
        log=log,
    )
