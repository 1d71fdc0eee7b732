"""`kilngate serve`: the front door itself."""

import click

from proxy.cli.exits import FAILED, Stop
from proxy.cli.options import config_option

EPILOG = """\b
Examples:
  kilngate check-config && kilngate serve
  kilngate serve --config kilngate.yaml

\b
Signals:
  SIGHUP    read settings, certificates, revocation lists and keys again;
            if anything is wrong, all of the old stays in force
  SIGTERM   take no new calls, let builds end (drain.timeout), then stop;
            a second one stops at once

\b
Exit codes: 0 stopped with no build lost, 1 builds were cut or it could not
start, 78 the settings are wrong.
"""


@click.command(epilog=EPILOG)
@config_option
def command(config: str) -> None:
    """Run the front door."""
    from proxy.app import serve

    try:
        code = serve(config)
    except (OSError, ValueError) as error:
        raise Stop(str(error), FAILED) from error
    raise SystemExit(code)
