"""`kilngate version`: what a report of a fault should begin with."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version

import click

import proxy
from proxy.cli.options import output_option

LIBRARIES = ("pyOpenSSL", "cryptography", "hpack", "PyJWT", "grpcio", "aiohttp", "pydantic", "uvloop")


def versions() -> dict[str, str]:
    """Return name -> version of what kilngate runs on; a library that is not installed is left out."""
    from cryptography.hazmat.backends.openssl import backend

    found = {"kilngate": proxy.__version__, "python": platform.python_version()}
    found["openssl"] = backend.openssl_version_text().removeprefix("OpenSSL ").split(" ")[0]
    for library in LIBRARIES:
        try:
            found[library.lower()] = version(library)
        except PackageNotFoundError:
            continue
    return found


def written(found: dict[str, str]) -> str:
    """Return the versions on one line."""
    name, *rest = (f"{library} {number}" for library, number in found.items())
    return f"{name} ({', '.join(rest)})"


@click.command(epilog="\b\nExamples:\n  kilngate version\n  kilngate version -o json")
@output_option
def command(output: str) -> None:
    """Print the versions that matter in a report."""
    click.echo(json.dumps(versions(), indent=2) if output == "json" else written(versions()))
