"""Processes that we start, and end together with all they started."""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from proxy.processes import descendants, end, end_with_parent


class ChildFailed(Exception):
    """A process that we started ended, or was not ready in time; the text has the end of its log."""


class Child:
    """A process of ours with its log in a file.

    It leads a session of its own, so that a Ctrl-C at our terminal reaches us alone
    and we decide in which order things end. If we die without a chance to decide, it
    is asked to end, where the system can do that.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*end_with_parent(signal.SIGTERM), *command],
                env=None if environment is None else dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.exit_code is None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        """Wait until it ended and return its exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        return self._process.wait(timeout_s)

    def wait_ready(self, is_ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `is_ready` says so.

        Raises:
            ChildFailed: it ended first, or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            if self.exit_code is not None:
                raise ChildFailed(f"ended with exit code {self.exit_code}:\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise ChildFailed(f"not ready after {timeout_s:.0f} s:\n{tail(self.log)}")
            time.sleep(0.02)

    def stop(self, timeout_s: float = 15.0) -> int:
        """Ask it to end, then make it and its descendants end; return its exit code."""
        family = descendants(self.pid)
        self.signal(signal.SIGTERM)
        try:
            self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return self.kill()
        end(family)
        return self._process.returncode

    def kill(self) -> int:
        """End it and its descendants at once, as a crash would; return its exit code."""
        family = descendants(self.pid)
        self.signal(signal.SIGKILL)
        end(family)
        return self.wait(15.0)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
