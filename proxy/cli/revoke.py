"""`kilngate revoke`: certificates that were issued for tokens are no longer good, within seconds."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from proxy.cli.exits import FAILED, Stop
from proxy.cli.options import config_option

if TYPE_CHECKING:
    from proxy.issuer.records import Revoked, Target
    from proxy.store.interface import Store

EPILOG = """\b
Examples:
  kilngate revoke 5a3c79f2e12687e55ef9a535b83bcd17
  kilngate revoke --tenant payments --subject alice@example.com
  kilngate revoke --subject acme/payments@refs/heads/main
  kilngate revoke --tenant payments

\b
What happens, within five seconds and on every kilngate that uses this store:
  new calls with these certificates are refused (KG-106),
  connections that are open end with a sentence, and so do their builds,
  /v1/crl lists them.
Tokens of that subject or tenant from before now are not exchanged any more. Who can still get a
fresh token gets a new certificate: block them at their issuer, or in the rules, first.

\b
The command writes to the file that store.file names, so whoever may write that file may revoke.
Certificates of another authority are revoked there: see `kilngate ca revoke` and crl_file.
Exit codes: 0 done, 1 nothing was found or the store cannot be written, 78 bad settings.
"""


@click.command(epilog=EPILOG)
@click.argument("serial", required=False)
@click.option("--tenant", metavar="TENANT", help="All certificates of a tenant.")
@click.option("--subject", metavar="NAME", help="All certificates of a subject, as `kilngate certificates` names it.")
@config_option
def command(serial: str | None, tenant: str | None, subject: str | None, config: str) -> None:
    """Revoke certificates: one by its SERIAL in hexadecimal, or all of a tenant, a subject, or both."""
    from proxy.cli.store import ask_store

    target = _target(serial, tenant, subject)

    async def ask(store: "Store") -> "Sequence[Revoked]":
        return await store.revoke(target, now_ns=time.time_ns())

    made = ask_store(config, ask)
    for each in made:
        click.echo(f"{each.serial:x}: revoked")
    if made:
        click.echo("a running kilngate ends their connections within five seconds")
    elif serial:
        raise Stop(f"no certificate with serial {serial} was issued here that is not revoked already", FAILED)
    else:
        click.echo("no certificate to revoke; tokens from before now are not exchanged any more")


def _target(serial: str | None, tenant: str | None, subject: str | None) -> "Target":
    from proxy.issuer.records import Target

    try:
        return Target(int(serial.replace(":", ""), 16) if serial else None, tenant, subject)
    except ValueError:
        raise click.UsageError(
            "give a SERIAL in hexadecimal, or --tenant TENANT, --subject NAME, or both of these"
        ) from None
