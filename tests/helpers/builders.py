"""A builder of stock buildx, and builds on it that can be waited for or cut short."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.lab.client import Buildx

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True, slots=True)
class Builder:
    """A named builder in one version of buildx."""

    buildx: Buildx
    name: str

    def build(self, context: Path, *options: str, timeout_s: float = 100.0) -> Done:
        """Build a context to the end."""
        return self.buildx.run(["build", "--builder", self.name, *options, str(context)], timeout_s=timeout_s)

    def bake(self, directory: Path, *options: str) -> Done:
        """Bake what the bake file in `directory` says."""
        return self.buildx.run(["bake", "--builder", self.name, *options], directory=directory)

    @contextmanager
    def building(self, context: Path, *options: str) -> Iterator["Running"]:
        """Start a build; it is killed at the end if it still runs."""
        with subprocess.Popen(
            self.buildx.command(["build", "--builder", self.name, *options, str(context)]),
            env=self.buildx.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            running = Running(process)
            try:
                yield running
            finally:
                running.send(signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Running:
    """A build that runs: the docker CLI and its plugin are one process group, as in a terminal."""

    process: subprocess.Popen[str]

    def send(self, number: signal.Signals) -> None:
        """Signal the CLI and its plugin, as the terminal does for Ctrl-C."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return

    def finish(self, timeout_s: float = 30.0) -> Done:
        """Wait for its end."""
        said, _ = self.process.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, said)


def wait_step(command: str, *, runs: bool, timeout_s: float) -> None:
    """Wait until a build step with exactly this command line runs on this machine, or runs no more."""
    wanted = b"\0".join(word.encode() for word in command.split()) + b"\0"
    deadline = time.monotonic() + timeout_s
    while is_running(wanted) is not runs:
        assert time.monotonic() < deadline, (
            f"{command!r} {'does not run' if runs else 'still runs'} after {timeout_s} s"
        )
        time.sleep(0.02)


def is_running(command_line: bytes) -> bool:
    """Say whether any process has this command line."""
    return any(read(path) == command_line for path in Path("/proc").glob("[0-9]*/cmdline"))


def read(path: Path) -> bytes:
    """Return the octets of a file of /proc, none if its process is gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
