"""`kilngate config schema|show`: what a settings file may say, and what one says once the defaults are filled in."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from proxy.cli.options import config_option, output_option

EPILOG = """\b
Examples:
  kilngate config schema > kilngate.schema.json
  kilngate config show kilngate.yaml
"""
MODELINE = """\b
Begin a settings file with this line, and editors complete its keys:
  # yaml-language-server: $schema=kilngate.schema.json
"""


@click.group(epilog=EPILOG)
def command() -> None:
    """Print the JSON Schema, or the settings in force."""


@command.command(epilog=MODELINE)
def schema() -> None:
    """Print the JSON Schema of a settings file."""
    from proxy.settings.json_schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@command.command()
@click.argument("file", required=False)
@config_option
@output_option
def show(file: str | None, config: str, output: str) -> None:
    """Print the settings of FILE with every default filled in.

    What is printed is a settings file again. The files it names are only named, never
    read: no secret is printed.
    """
    from ruamel.yaml import YAML

    values = _values_in_force(file or config)
    if output == "json":
        click.echo(json.dumps(values, indent=2))
        return
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.dump(values, sys.stdout)


def _values_in_force(file: str) -> dict[str, Any]:
    from proxy.settings.errors import START, Mistake, SettingsErrors
    from proxy.settings.parse import parse

    try:
        with open(file, "rb") as opened:
            text = opened.read()
    except OSError as error:
        raise SettingsErrors(file, [Mistake(START, (), f"cannot be read: {error.strerror}")]) from None
    # The names of files are printed whole: what is printed may be kept anywhere.
    settings = parse(text, file=str(Path(file).absolute()))
    values = settings.model_dump(mode="json", exclude_none=True)
    values["policies"] = {
        name: policy.model_dump(mode="json", exclude_none=True) for name, policy in settings.all_policies().items()
    }
    values["auth"] = [method.model_dump(mode="json", exclude_none=True) for method in settings.methods()]
    for name, tenant in values["tenants"].items():
        tenant["limits"] = settings.limits_of(name).model_dump(mode="json")
    return values
