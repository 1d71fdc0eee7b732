"""How a command ends: exit codes and the way to stop with one.

Source: sysexits.h for 69 and 78. The systemd unit does not restart on 78:
a file that is wrong now is wrong in five seconds too.
"""

from typing import IO, Any

import click

OK = 0
FAILED = 1
USAGE = 2
UNAVAILABLE = 69
CONFIG = 78


class Stop(click.ClickException):
    """End the command with a sentence on standard error and an exit code."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        # click says class variable and reads it from the instance
        self.exit_code = exit_code  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence as `kilngate: ...`."""
        click.echo(f"kilngate: {self.message}", file=file, err=True)
