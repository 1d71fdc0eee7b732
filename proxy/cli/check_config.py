"""`kilngate check-config`: everything that is wrong with a settings file, before it matters."""

import json
import time
from typing import TYPE_CHECKING

import click

from proxy.cli.exits import CONFIG
from proxy.cli.options import config_option, output_option

if TYPE_CHECKING:
    from proxy.edge.files import Bundle

EPILOG = """\b
Examples:
  kilngate check-config kilngate.yaml
  kilngate check-config && systemctl reload kilngate
  kilngate check-config -o json kilngate.yaml

\b
A reload does exactly these checks. Exit codes: 0 good, 78 not.
"""


@click.command(epilog=EPILOG)
@click.argument("file", required=False)
@config_option
@output_option
def command(file: str | None, config: str, output: str) -> None:
    """Read a settings file and every file it names, and say what is wrong.

    All mistakes are told at once, each with its place: FILE:LINE:COLUMN: KEY: WHAT.
    Warnings are things that are allowed but perhaps not meant.
    """
    from proxy.settings.errors import SettingsErrors, dotted

    file = file or config
    try:
        bundle = _checked(file)
    except SettingsErrors as errors:
        if output == "text":
            raise
        told = [
            {"line": mark.line, "column": mark.column, "key": dotted(path), "what": what}
            for mark, path, what in errors.mistakes
        ]
        click.echo(json.dumps({"file": file, "errors": told, "warnings": []}, indent=2))
        raise SystemExit(CONFIG) from None
    if output == "json":
        click.echo(json.dumps({"file": file, "errors": [], "warnings": bundle.warnings}, indent=2))
        return
    for warning in bundle.warnings:
        click.echo(f"{file}: warning: {warning}", err=True)
    settings = bundle.settings
    daemons = settings.daemons
    builders = [str(each.address) for each in daemons.standing]
    builders += [f"pool {pool}" for pool in dict.fromkeys(each.pool for each in daemons.on_demand)]
    click.echo(f"{file}: good; listens on {settings.listen.address}, builds by {', '.join(builders)}")


def _checked(file: str) -> "Bundle":
    """Read the files and build all that serving would build of them, then throw it away.

    Raises:
        SettingsErrors: what is wrong, in the settings or in a file that they name.
    """
    from proxy.edge.files import read_bundle
    from proxy.edge.generation import build
    from proxy.identity.issued import LiveRevocations
    from proxy.settings.errors import START, Mistake, SettingsErrors

    bundle = read_bundle(file, now_wall_ns=time.time_ns())
    try:
        build(bundle, earlier=None, wall_ns=time.time_ns, revocations=LiveRevocations())
    except ValueError as error:
        raise SettingsErrors(file, [Mistake(START, (), str(error))]) from None
    return bundle
