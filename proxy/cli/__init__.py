"""The commands, one file each: `kilngate check-config` is `command` in `proxy/cli/check_config.py`.

A command's file is imported only when it is called, so that `kilngate --help`
answers at once. Its first act is to see whether this is kilngate at all: the
import name `proxy` is used by another project on PyPI too, and pip lets one
overwrite the other without a word.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import proxy
from proxy.cli.exits import CONFIG, Stop
from proxy.settings.errors import SettingsErrors

COMMANDS = {
    "serve": "Run the front door.",
    "check-config": "Say everything that is wrong with a settings file.",
    "explain": "Say which rule a certificate or token matches, or almost does.",
    "config": "Print the JSON Schema, or the settings in force.",
    "ca": "A small certificate authority for a team.",
    "certificates": "List the certificates that were issued for tokens and are good.",
    "revoke": "Revoke certificates that were issued for tokens, within seconds.",
    "audit": "Verify the audit log.",
    "healthcheck": "Ask a running kilngate whether it is ready.",
    "version": "Print the versions that matter in a report.",
    "demo": "Build an image through the door, on this machine.",
}
EPILOG = """\b
Begin here:
  kilngate demo                            a real build through the door
  kilngate ca init pki --name DOMAIN       a certificate authority of your own
  kilngate check-config kilngate.yaml      before every start and reload
  kilngate serve --config kilngate.yaml    the door itself

\b
Exit codes: 0 done, 1 failed, 2 wrong usage, 69 not reachable,
78 the settings or the installation are wrong.
"""
# What the other project keeps in its package of the same name; none of our rooms may be called so.
FOREIGN_MODULES = ("common", "core", "dashboard", "http", "plugin", "socks", "testing", "proxy.py")
FOREIGN_SENTENCE = (
    "another package owns the import name 'proxy' in this environment; "
    "install kilngate with pipx, uvx or in a virtual environment of its own"
)


def refuse_foreign_package() -> None:
    """Stop unless the package `proxy` is ours and ours alone.

    Raises:
        Stop: 78; another distribution wrote its files over or between ours.
    """
    home = Path(__file__).parent.parent
    is_ours = getattr(proxy, "__distribution__", None) == "kilngate"
    if not is_ours or any((home / name).exists() for name in FOREIGN_MODULES):
        raise Stop(FOREIGN_SENTENCE, CONFIG)


class Commands(click.Group):
    """A group that imports a command's file when the command is called."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Run, once it is certain that our own files run."""
        try:
            refuse_foreign_package()
        except Stop as stop:
            stop.show()
            raise SystemExit(stop.exit_code) from None
        return super().main(args, *rest, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command; settings that are wrong are printed one mistake a line, and end it with 78."""
        try:
            return super().invoke(ctx)
        except SettingsErrors as errors:
            click.echo("\n".join(errors.lines), err=True)
            raise SystemExit(CONFIG) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of a first day's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one command that was called."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"proxy.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, importing none of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def print_version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    """Print one line of versions and stop."""
    if is_asked:
        from proxy.cli.version import versions, written

        click.echo(written(versions()))
        ctx.exit()


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Print versions and exit.",
)
def main() -> None:
    """The front door of a shared BuildKit farm: TLS, identity, tenants, limits, metrics."""
