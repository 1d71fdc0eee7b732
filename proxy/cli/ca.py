"""`kilngate ca`: certificates for a small team, without another tool."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import click

from proxy.ca.authority import Authority, AuthorityError
from proxy.cli.exits import FAILED, Stop
from proxy.units import SECOND_NS, parse_duration, said

EPILOG = """\b
From nothing to a first builder:
  kilngate ca init pki --name farm.example.com
  kilngate ca issue pki --server farm.example.com
  kilngate ca issue pki --tenant payments --subject alice
  docker buildx create --name farm --driver remote \\
    --driver-opt cacert=$PWD/pki/ca.pem,cert=$PWD/pki/payments-alice.pem,key=$PWD/pki/payments-alice.key \\
    tcp://farm.example.com:8443

\b
Certificates for tokens, issued by kilngate itself (docs/certificates.md):
  kilngate ca issuer pki            then name issuer1.pem and .key in the block `issuer`

\b
When alice leaves:
  kilngate ca revoke pki SERIAL && systemctl reload kilngate

Give ca.pem to everybody, NAME.pem and NAME.key to their owner only, and
ca.key to nobody. A larger organisation has an authority already: name its
file in `ca_file`, and leave this one alone.
"""

Answer = TypeVar("Answer")
DIRECTORY = click.argument("directory", type=click.Path(path_type=Path, file_okay=False))


@click.group("ca", epilog=EPILOG)
def command() -> None:
    """A small certificate authority: files in a directory, P-256, keys 0600."""


@command.command()
@DIRECTORY
@click.option("--name", required=True, metavar="DOMAIN", help="The trust domain in every certificate's URI.")
def init(directory: Path, name: str) -> None:
    """Make a new authority in DIRECTORY, with an empty revocation list."""
    made = tried(lambda: Authority.create(directory, name))
    click.echo(f"{made.directory}/ca.pem: the authority of {name}; {made.directory}/crl.pem: its revocation list")


@command.command()
@DIRECTORY
@click.option("--server", "names", multiple=True, metavar="NAME", help="A DNS name or address of the farm; repeat it.")
@click.option("--tenant", metavar="TENANT", help="The tenant of a client certificate.")
@click.option("--subject", metavar="NAME", help="Whose client certificate it is: a person or a machine.")
@click.option("--life", default="90d", show_default=True, metavar="TIME", help="How long it is valid: 12h, 90d.")
@click.option("--force", is_flag=True, help="Replace files of the same name.")
def issue(
    directory: Path, names: tuple[str, ...], tenant: str | None, subject: str | None, life: str, force: bool
) -> None:
    """Issue the server's certificate, or one for a client."""
    is_client = tenant is not None or subject is not None
    if bool(names) == is_client or (is_client and not (tenant and subject)):
        raise click.UsageError("give either --server NAME, or --tenant TENANT and --subject NAME")
    lasts_ns = _lasting_ns(life)
    lasts = timedelta(seconds=lasts_ns / SECOND_NS)
    authority = tried(lambda: Authority.load(directory))
    if names:
        made = tried(lambda: authority.issue_server(list(names), life=lasts, force=force))
    else:
        made = tried(lambda: authority.issue_client(tenant or "", subject or "", life=lasts, force=force))
    click.echo(f"{made.certificate} and {made.key}: serial {made.serial}, valid {said(lasts_ns)}")


@command.command()
@DIRECTORY
@click.option("--life", default="365d", show_default=True, metavar="TIME", help="How long it may issue: 90d, 365d.")
def issuer(directory: Path, life: str) -> None:
    """Make an authority below the one in DIRECTORY, for kilngate to issue certificates with.

    It can sign nothing but client certificates in this authority's own trust domain. Its key is
    all that a running kilngate needs: ca.key can be taken off the machine. Before it ends, make the
    next one, put that first in issuer.authorities, and keep this one until `kilngate certificates`
    says that nobody uses it any more.
    """
    lasts_ns = _lasting_ns(life)
    made = tried(lambda: Authority.load(directory).issue_issuer(life=timedelta(seconds=lasts_ns / SECOND_NS)))
    click.echo(
        f"{made.certificate} and {made.key}: serial {made.serial}, issues for {said(lasts_ns)}\n"
        f"issuer:\n  authorities: [{{certificate_file: {made.certificate}, key_file: {made.key}}}]"
    )


@command.command()
@DIRECTORY
@click.argument("serial")
def revoke(directory: Path, serial: str) -> None:
    """Revoke the certificate with SERIAL and write crl.pem anew."""
    tried(lambda: Authority.load(directory).revoke(serial))
    click.echo(f"{directory}/crl.pem: written anew; a running kilngate takes it on SIGHUP")


@command.command()
@DIRECTORY
def crl(directory: Path) -> None:
    """Write crl.pem anew.

    It is good for 30 days; once it is old, kilngate refuses everybody.
    """
    path = tried(lambda: Authority.load(directory).write_crl())
    click.echo(f"{path}: written anew; a running kilngate takes it on SIGHUP")


def _lasting_ns(life: str) -> int:
    try:
        return parse_duration(life)
    except ValueError as error:
        raise click.BadParameter(f"{error} (got {life!r})", param_hint="--life") from None


def tried(action: Callable[[], Answer]) -> Answer:
    """Return what `action` returns; end the command with its sentence if it fails."""
    try:
        return action()
    except (AuthorityError, ValueError, OSError) as error:
        raise Stop(str(error), FAILED) from error
