"""`kilngate healthcheck`: is the kilngate beside me ready? For a container's health check."""

import http.client
from urllib.parse import urlsplit

import click

from proxy.cli.exits import FAILED, UNAVAILABLE, USAGE, Stop

DEFAULT_URL = "http://127.0.0.1:9464/readyz"
TIMEOUT_SECONDS = 3.0
EPILOG = f"""\b
Examples:
  kilngate healthcheck
  kilngate healthcheck --url {DEFAULT_URL}

\b
Exit codes: 0 ready, 1 not ready (the failed checks are printed), 69 nobody answers.
"""


@click.command(epilog=EPILOG)
@click.option(
    "--url",
    default=DEFAULT_URL,
    show_default=True,
    envvar="KILNGATE_HEALTHCHECK_URL",
    show_envvar=True,
    help="The page to ask: /readyz at the address in admin.address.",
)
def command(url: str) -> None:
    """Ask a running kilngate whether it is ready."""
    try:
        status, text = ask(url)
    except (OSError, http.client.HTTPException) as failure:
        raise Stop(f"{url} does not answer: {str(failure) or type(failure).__name__}", UNAVAILABLE) from None
    if status != http.client.OK:
        raise Stop(f"{url} answers {status}:\n{text.rstrip()}", FAILED)
    click.echo("ready")


def ask(url: str) -> tuple[int, str]:
    """Return status and text that `url` answers.

    Raises:
        OSError, http.client.HTTPException: nobody answers, or not in HTTP.
        Stop: it is no URL of http.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise Stop(f"not a URL I can ask: {url}; expected http://HOST:PORT/PATH", USAGE)
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT_SECONDS)
    target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read(65536).decode("utf-8", "replace")
    finally:
        connection.close()
