"""`python -m bench`: everything. `relay` and `builds --vs A B`: two revisions. `profile ROW`: where the time goes."""

import os
import sys
from pathlib import Path

import click

from bench import buildx
from bench.packages import Unavailable
from bench.pairs import MAIN_ROWS, run_build_pairs, run_pairs
from bench.profiling import BY, profile_row
from bench.rows import ROWS
from bench.whole import DOCUMENT, FULL, QUICK, run_whole

any_row = click.Choice(list(ROWS))


@click.group(invoke_without_command=True)
@click.option(
    "--quick",
    is_flag=True,
    default=bool(os.environ.get("BENCH_QUICK")),
    help="Fewer and shorter rounds, under 3 minutes; also by BENCH_QUICK=1.",
)
@click.option("--of", "revision", default=".", show_default=True, help="A commit, or a directory with a source tree.")
@click.option("--to", "document", type=click.Path(dir_okay=False, path_type=Path), default=DOCUMENT, help="The report.")
@click.pass_context
def main(context: click.Context, revision: str, document: Path, *, quick: bool) -> None:
    """Measure kilngate against other doors and write docs/benchmarks.md."""
    if context.invoked_subcommand is None:
        click.echo("\n" + run_whole(QUICK if quick else FULL, revision=revision, document=document))


@main.command()
@click.option("--vs", "revisions", nargs=2, required=True, help="Two commits, or directories with a source tree.")
@click.option("--row", "rows", multiple=True, type=any_row, default=MAIN_ROWS, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--uvloop", is_flag=True, help="With uvloop; without it even where it is installed otherwise.")
def relay(revisions: tuple[str, str], rows: tuple[str, ...], rounds: int, *, uvloop: bool) -> None:
    """Measure two revisions of kilngate in paired rounds."""
    click.echo(run_pairs(revisions, rows=rows, rounds=rounds, uvloop=uvloop))


@main.command()
@click.option("--vs", "revisions", nargs=2, required=True, help="Two commits, or directories with a source tree.")
@click.option("--row", "rows", multiple=True, type=click.Choice(buildx.ROWS), default=buildx.ROWS, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--uvloop", is_flag=True, help="With uvloop; without it even where it is installed otherwise.")
def builds(revisions: tuple[str, str], rows: tuple[str, ...], rounds: int, *, uvloop: bool) -> None:
    """Measure two revisions of kilngate with real builds, in paired rounds."""
    click.echo(run_build_pairs(revisions, rows=rows, rounds=rounds, uvloop=uvloop))


@main.command()
@click.argument("row", type=any_row)
@click.option("--uvloop", is_flag=True)
@click.option(
    "--by",
    type=click.Choice(BY),
    default=BY[0],
    show_default=True,
    help="cProfile's counts, py-spy's samples, or perf's view of libraries and kernel.",
)
@click.option("--of", "revision", default=".", show_default=True, help="A commit, or a directory with a source tree.")
def profile(row: str, revision: str, *, uvloop: bool, by: str) -> None:
    """Run one row through kilngate under a profiler."""
    profile_row(row, revision=revision, uvloop=uvloop, by=by)


if __name__ == "__main__":
    try:
        main.main(prog_name="python -m bench", standalone_mode=True)
    except Unavailable as reason:
        sys.exit(f"bench: {reason}")
