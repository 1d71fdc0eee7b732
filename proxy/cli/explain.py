"""`kilngate explain`: which rule a certificate or token matches, or why it matches none, and what it may build."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.exits import CONFIG, FAILED, Stop
from proxy.cli.options import config_option, output_option

if TYPE_CHECKING:
    from proxy.caller import Caller
    from proxy.edge.files import Bundle
    from proxy.edge.generation import Built
    from proxy.errors import Refused
    from proxy.identity.credentials import Credentials
    from proxy.identity.issued import LiveRevocations

EPILOG = """\b
Examples:
  kilngate explain --certificate alice.pem
  kilngate explain --token-file token.txt --config kilngate.yaml
  kilngate explain --certificate robot.pem --token-file token.txt

\b
The judgement is the one that a call would get now; keys of a token's issuer are fetched
if need be. The token is never printed. Exit codes: 0 let in, 1 refused, 78 bad settings.
"""
EXISTING = click.Path(exists=True, dir_okay=False)
# Twice the size of what any method reads: the listener's own limit is what refuses it.
TOKEN_LIMIT_OCTETS = 32 << 10


@click.command(epilog=EPILOG)
@click.option("--certificate", type=EXISTING, metavar="FILE", help="A client certificate in PEM, its chain included.")
@click.option("--token-file", type=EXISTING, metavar="FILE", help="A file with a bearer token.")
@config_option
@output_option
def command(certificate: str | None, token_file: str | None, config: str, output: str) -> None:
    """Say which rule a certificate or token matches, or which one it almost does and why not."""
    if not certificate and not token_file:
        raise click.UsageError("give --certificate FILE, --token-file FILE, or both")
    from proxy.edge.files import read_bundle
    from proxy.edge.generation import build

    bundle = read_bundle(config, now_wall_ns=time.time_ns())
    try:
        built = build(bundle, earlier=None, wall_ns=time.time_ns, revocations=_revocations(bundle))
    except ValueError as error:
        raise Stop(f"{config}: {error}", CONFIG) from None
    shown = _shown(certificate, token_file, bundle)
    told = _told(built, shown)
    click.echo(json.dumps(told, indent=2) if output == "json" else _written(told))
    if not told["let_in"]:
        raise SystemExit(FAILED)


def _revocations(bundle: "Bundle") -> "LiveRevocations":
    """Return what the store says; nothing is known if it cannot be read, and then issued certificates are refused."""
    import asyncio
    from contextlib import aclosing

    from proxy.identity.issued import LiveRevocations
    from proxy.store.interface import StoreAway
    from proxy.store.sqlite import SqliteStore

    found = LiveRevocations()
    if bundle.settings.store.file is None:
        return found

    async def ask(store: SqliteStore) -> None:
        try:
            await store.open()
            async with aclosing(store.watch()) as watching:
                found.take(frozenset(each.serial for each in await anext(watching)))
        except StoreAway as away:
            click.echo(f"store: {away}", err=True)
        finally:
            await store.close()

    asyncio.run(ask(SqliteStore(Path(bundle.settings.store.file), is_new=False)))
    return found


def _shown(certificate: str | None, token_file: str | None, bundle: "Bundle") -> "Credentials":
    """Return what a call with these files shows.

    Raises:
        Stop: the certificate file holds none.
    """
    from proxy.edge.tls_offline import present
    from proxy.identity.credentials import Credentials
    from proxy.identity.methods import mtls

    presented = None
    if certificate:
        cas = [bundle.files[method.ca_file] for method in bundle.settings.auth if isinstance(method, mtls.Config)]
        try:
            presented = present(Path(certificate).read_bytes(), cas)
        except ValueError:
            raise Stop(f"{certificate} holds no certificate in PEM form") from None
    return Credentials(presented, _authorization(token_file) if token_file else ())


def _authorization(token_file: str) -> tuple[bytes, ...]:
    with open(token_file, "rb") as file:
        return (b"Bearer " + file.read(TOKEN_LIMIT_OCTETS).strip(),)


def _told(built: "Built", shown: "Credentials") -> dict[str, Any]:
    """Return the verdict on `shown`, how each method's rules see it, and what its builds may ask for."""
    from proxy.errors import Refused

    rules = built.authenticator.explain(shown)
    try:
        caller = _authenticated(built, shown)
        return {"let_in": True, **_said_of(caller), "rules": rules, "builds": built.policies[caller.policy].lines()}
    except Refused as refused:
        return {"let_in": False, **_said_against(refused), "rules": rules}


def _authenticated(built: "Built", shown: "Credentials") -> "Caller":
    """Judge as a call is judged, and fetch keys once if they are missing.

    Raises:
        Refused: as `Authenticator.authenticate`.
    """
    import asyncio

    from proxy.errors import KeysNeeded

    try:
        return built.authenticator.authenticate(shown, now_wall_ns=time.time_ns())
    except KeysNeeded as needed:
        asyncio.run(_fetch(built, needed.issuer))
    return built.authenticator.authenticate(shown, now_wall_ns=time.time_ns())


async def _fetch(built: "Built", issuer: str) -> None:
    from proxy.edge.key_documents import new_session
    from proxy.edge.keys import KeyFetcher
    from proxy.events import Event, TokenKeysFailed

    def tell(event: Event) -> None:
        if isinstance(event, TokenKeysFailed):
            click.echo(f"keys of {event.issuer}: {event.detail}", err=True)

    fetcher = KeyFetcher(built.keysets, emit=tell, wall_ns=time.time_ns)
    source = next(source for source in built.keysets.sources if source.issuer == issuer)
    async with new_session() as session:
        await fetcher.fetch(session, source)


def _said_of(caller: "Caller") -> dict[str, str]:
    from proxy.caller import FOREVER_NS
    from proxy.units import said

    left_ns = caller.judged_until_ns - time.time_ns()
    return {
        "subject": caller.subject,
        "method": caller.method,
        "rule": caller.rule,
        "tenant": caller.tenant,
        "role": caller.role.label,
        "policy": caller.policy,
        **({"kind": caller.kind.value} if caller.kind else {}),
        "holds for": "ever" if caller.judged_until_ns == FOREVER_NS else said(left_ns),
    }


def _said_against(refused: "Refused") -> dict[str, str]:
    # A reference leads to a line of the log, and this refusal has none.
    sentence = refused.public_text("-").removesuffix(" (ref -)")
    found = {"reason": refused.reason.label, "refused": sentence, "detail": refused.detail}
    return {name: text for name, text in found.items() if text}


def _written(told: dict[str, Any]) -> str:
    from proxy.errors import one_line

    facts = [f"{name}:".ljust(11) + one_line(text) for name, text in told.items() if isinstance(text, str)]
    rules = told["rules"] or ["no method here takes what was shown"]
    builds = ["builds", *(f"  {line}" for line in told["builds"])] if told["let_in"] else []
    verdict = "let in" if told["let_in"] else "refused"
    return "\n".join([verdict, *(f"  {line}" for line in facts), "rules", *(f"  {line}" for line in rules), *builds])
