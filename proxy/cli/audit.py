"""`kilngate audit verify`: has anybody changed the audit log?"""

from collections.abc import Iterator

import click

from proxy.cli.exits import FAILED, Stop

EPILOG = """\b
Examples:
  kilngate audit verify audit.log
  kilngate audit verify audit.log.2 audit.log.1 audit.log
  kilngate audit verify audit.log --head 6f1c...

\b
Without --head nobody can tell whether lines were cut off at the end: take the head from
where the farm's log was shipped to ("audit log sealed ... head=...").
"""


@click.group()
def command() -> None:
    """Verify the audit log."""


@command.command(epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, readable=True))
@click.option("--head", metavar="HASH", help="A hash noted earlier, that the chain must pass through.")
def verify(files: tuple[str, ...], head: str | None) -> None:
    """Walk the chain through FILES, oldest first.

    The first broken line is named.
    """
    from proxy.sinks.chain import verify as walk

    places: list[tuple[str, int]] = []
    verdict = walk(_lines(files, places), head=head.lower() if head else None)
    if verdict.fault is not None:
        raise Stop(f"{_place(places, verdict.fault.line)}: {verdict.fault.text}", FAILED)
    if not verdict.lines:
        raise Stop(f"{', '.join(files)}: no records", FAILED)
    click.echo(f"records {verdict.first_seq} to {verdict.last_seq}: the chain is whole\nhead {verdict.head}")


def _lines(files: tuple[str, ...], places: list[tuple[str, int]]) -> Iterator[bytes]:
    """Yield the lines of all files; note for each file after how many lines it begins."""
    count = 0
    for file in files:
        places.append((file, count))
        with open(file, "rb") as lines:
            for line in lines:
                count += 1
                yield line


def _place(places: list[tuple[str, int]], line: int) -> str:
    file, before = next(place for place in reversed(places) if place[1] < line or place is places[0])
    return f"{file}:{line - before}"
