"""`kilngate certificates`: what was issued for tokens and is good now, and by which authority."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from proxy.cli.options import config_option, output_option

if TYPE_CHECKING:
    from proxy.issuer.records import Issued
    from proxy.store.interface import Store

EPILOG = """\b
Examples:
  kilngate certificates
  kilngate certificates --tenant payments
  kilngate certificates --authority f5ec24 -o json    who still uses the old authority?

\b
An authority is named by its key id: openssl x509 -in issuer1.pem -noout -ext subjectKeyIdentifier
An old one can be taken out of issuer.authorities when no line names it any more; the metric
kilngate_certificates_valid{authority} says the same.
"""


@click.command(epilog=EPILOG)
@click.option("--tenant", metavar="TENANT", help="Only those of a tenant.")
@click.option("--subject", metavar="NAME", help="Only those of a subject.")
@click.option("--authority", metavar="KEYID", help="Only those of an authority, by the beginning of its key id.")
@config_option
@output_option
def command(tenant: str | None, subject: str | None, authority: str | None, config: str, output: str) -> None:
    """List the certificates that kilngate issued for tokens, have not ended and are not revoked."""
    from proxy.cli.store import ask_store

    async def ask(store: "Store") -> "Sequence[Issued]":
        return await store.find(now_ns=time.time_ns())

    start = (authority or "").replace(":", "").lower()
    found = [
        each
        for each in ask_store(config, ask)
        if tenant in (None, each.tenant) and subject in (None, each.subject) and each.authority.startswith(start)
    ]
    click.echo(json.dumps([_told(each) for each in found], indent=2) if output == "json" else _written(found))


def _told(each: "Issued") -> dict[str, str]:
    return {
        "serial": f"{each.serial:x}",
        "tenant": each.tenant,
        "kind": each.kind,
        "subject": each.subject,
        "role": each.role,
        "rule": f"{each.method}/{each.rule}",
        "issued": _moment(each.issued_at_ns),
        "until": _moment(each.not_after_ns),
        "authority": each.authority,
    }


def _written(found: "Sequence[Issued]") -> str:
    from proxy.errors import one_line
    from proxy.units import said

    now_ns = time.time_ns()
    lines = [
        f"{each.serial:032x}  {said(each.not_after_ns - now_ns):>7}  {each.tenant} {each.kind} {one_line(each.subject)}"
        f" ({each.role}, {each.authority[:12]})"
        for each in found
    ]
    counts = Counter(each.authority for each in found)
    lines += [f"{count} of authority {authority}" for authority, count in counts.items()]
    return "\n".join(lines) or "none"


def _moment(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC).isoformat()
