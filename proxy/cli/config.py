"""`kilngate config schema|show`: what a settings file may say, and what one says once the defaults are filled in."""

import json
import sys

import click

from proxy.cli.options import config_option, output_option


@click.group(
    epilog="\b\nExamples:\n  kilngate config schema > kilngate.schema.json\n  kilngate config show kilngate.yaml"
)
def command() -> None:
    """Print the JSON Schema, or the settings in force."""


@command.command(
    epilog="\b\nBegin a settings file with this line, and editors complete its keys:\n  # yaml-language-server: $schema=kilngate.schema.json"
)
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

    Files are only named, never read: no secret is printed.
    """
    from ruamel.yaml import YAML

    from proxy.settings.parse import parse

    file = file or config
    try:
        with open(file, "rb") as opened:
            text = opened.read()
    except OSError as error:
        raise click.FileError(file, error.strerror) from None
    values = parse(text, file=file).model_dump(mode="json", exclude_none=True)
    if output == "json":
        click.echo(json.dumps(values, indent=2))
        return
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.dump(values, sys.stdout)
