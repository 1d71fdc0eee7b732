"""Options that several commands share."""

from collections.abc import Callable
from typing import TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., object])
DEFAULT_CONFIG = "/etc/kilngate/kilngate.yaml"


def config_option(function: Decorated) -> Decorated:
    """Add `-c, --config FILE`; the command receives it as `config: str`."""
    return click.option(
        "-c",
        "--config",
        metavar="FILE",
        envvar="KILNGATE_CONFIG",
        default=DEFAULT_CONFIG,
        show_default=True,
        show_envvar=True,
        help="The settings file.",
    )(function)


def output_option(function: Decorated) -> Decorated:
    """Add `-o, --output text|json`; the command receives it as `output: str`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How to print.",
    )(function)
