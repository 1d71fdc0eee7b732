"""`kilngate check-config`: everything that is wrong with a settings file, before it matters."""

import json
import time

import click

from proxy.cli.exits import CONFIG
from proxy.cli.options import config_option, output_option

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
    from proxy.edge.files import read_bundle
    from proxy.settings.errors import SettingsErrors, dotted

    file = file or config
    try:
        bundle = read_bundle(file, now_wall_ns=time.time_ns())
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
    click.echo(f"{file}: good; listens on {settings.listen.address}, builds by {settings.upstream.url}")
