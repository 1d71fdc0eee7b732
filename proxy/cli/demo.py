"""`kilngate demo`: a real image, built by stock docker buildx through a real door, on this machine."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import click

from proxy.cli.exits import FAILED, OK, UNAVAILABLE, Stop
from proxy.lab.child import Child, ChildFailed
from proxy.lab.client import SUITES, Buildx, find_any_buildx
from proxy.lab.context import find_busybox, small
from proxy.lab.engine import find_engine
from proxy.lab.farm import Farm, lay_out
from proxy.lab.missing import Missing
from proxy.lab.sockets import remove_sockets

ALICE, CI, STRANGER = "kilngate-alice", "kilngate-ci", "kilngate-stranger"
TOLD_METRICS = (
    "kilngate_builds_total",
    "kilngate_build_steps_total",
    "kilngate_build_duration_seconds_sum",
    "kilngate_transfer_bytes_total",
    "kilngate_requests_denied_total",
)


@click.command()
@click.option("--once", is_flag=True, help="End after the builds, with their exit code.")
@click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), default=".kilngate", show_default=True,
    help="The one directory that everything is kept in.",
)  # fmt: skip
@click.option(
    "--buildx", "suite", type=click.Choice(SUITES), default=SUITES[0], show_default=True,
    help="Debian's suite that docker buildx comes from.",
)  # fmt: skip
def command(once: bool, state: Path, suite: str) -> None:
    """Build an image through the door, on this machine.

    Finds or fetches a BuildKit and a docker buildx, starts kilngate between them, builds by
    certificate and by token, is refused without, and shows the metrics of what just ran.
    The door stays open until Ctrl-C.
    """
    with ExitStack() as running, orderly_end(running):
        try:
            exit_code = run(running, state.absolute(), suite, is_once=once)
        except (Missing, ChildFailed) as error:
            raise Stop(str(error), UNAVAILABLE) from error
        except KeyboardInterrupt:
            exit_code = OK
        click.echo("\nClosing the door.")
    raise SystemExit(exit_code)


def run(running: ExitStack, state: Path, suite: str, *, is_once: bool) -> int:
    """Do the whole demo; what must be stopped in the end is put into `running`."""
    click.echo(f"kilngate demo, all in {state}\n")
    cache = state / "cache"
    with step("A BuildKit") as said:
        engine = find_engine(state / "engine", cache)
        running.callback(engine.stop)
        said.append(f"{engine.description}\n{engine.url}")
    with step("Stock docker buildx") as said:
        buildx = find_any_buildx(suite, cache, state / "docker")
        said.append(f"version {buildx.version}")
        context = small(state / "context", find_busybox(cache), f"Built through kilngate, {time.ctime()}.")
    with step("Certificates, a token issuer, settings") as said:
        farm = lay_out(state / "farm")
        running.callback(farm.start_issuer().stop)
        farm.write_settings(engine.url)
        farm.write_token()
        said.append(str(farm.settings_file))
    with step("kilngate serve") as said:
        door = farm.start_door()
        running.callback(door.stop)
        running.callback(remove_sockets, farm.token_socket.parent)
        running.callback(farm.start_token_door().stop)
        said.append(f"127.0.0.1:{farm.port} for callers, 127.0.0.1:{farm.admin_port} for operators")
    exit_code = build_all(farm, buildx, context)
    tell_metrics(farm)
    if not is_once:
        tell_next(farm, buildx, context)
        wait_end(door)
    return exit_code


def build_all(farm: Farm, buildx: Buildx, context: Path) -> int:
    """Build as a person, as a CI job, as a stranger; return the demo's exit code."""
    create_builders(farm, buildx)
    codes = [
        build("Alice of payments builds, by certificate", buildx, ALICE, context),
        build("A CI job of platform builds, by token", buildx, CI, context),
    ]
    refused = build("A stranger has neither: refused, and told why", buildx, STRANGER, context)
    if not refused:
        click.echo("The stranger was not refused. This must not happen: please report it.")
    return max(codes) or (OK if refused else FAILED)


def create_builders(farm: Farm, buildx: Buildx) -> None:
    """Create the three builders; they are kept, so that the commands told in the end work."""
    trust: dict[str, str | Path] = {"cacert": farm.identities.ca, "servername": "localhost"}
    alice = farm.identities.alice
    buildx.create_builder(ALICE, f"tcp://{farm.address}", {**trust, "cert": alice.certificate, "key": alice.key})
    buildx.create_builder(STRANGER, f"tcp://{farm.address}", trust)
    buildx.create_builder(CI, f"unix://{farm.token_socket}")


def build(title: str, buildx: Buildx, builder: str, context: Path) -> int:
    """Build once, showing what buildx says as it says it; return its exit code."""
    click.echo(f"\n{title}")
    arguments = ["build", "--builder", builder, str(context)]
    click.echo(f"  $ docker buildx {' '.join(arguments)}")
    begun_s = time.monotonic()
    with subprocess.Popen(
        buildx.command(arguments),
        env=buildx.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            if line.strip() and not line.startswith("WARNING: No output specified"):
                click.echo(f"  {line.rstrip()}")
    click.echo(f"  exit code {process.returncode}, {time.monotonic() - begun_s:.1f} s")
    return process.returncode


def tell_metrics(farm: Farm) -> None:
    """Print the metrics of what just ran."""
    url = f"http://127.0.0.1:{farm.admin_port}/metrics"
    click.echo(f"\nWhat just ran, from {url}")
    for line in farm.ask("/metrics").splitlines():
        if line.startswith(TOLD_METRICS) and not line.endswith((" 0", " 0.0")):
            click.echo(f"  {line}")


def tell_next(farm: Farm, buildx: Buildx, context: Path) -> None:
    """Print commands to try while the door is open."""
    alice = farm.identities.alice
    click.echo(f"""
The door is open until Ctrl-C. To try in another terminal:

  export DOCKER_CONFIG={buildx.configuration}
  {buildx.docker} buildx build --builder {ALICE} --output type=local,dest={context}.out {context}
  {buildx.docker} buildx build --builder {CI} --no-cache {context}
  {buildx.docker} buildx build --builder {STRANGER} {context}
  curl -s http://127.0.0.1:{farm.admin_port}/metrics | grep ^kilngate_
  {kilngate()} explain --config {farm.settings_file} --certificate {alice.certificate}
  {kilngate()} audit verify {farm.audit}

Settings: {farm.settings_file}
Log:      {farm.log}""")


def wait_end(door: Child) -> None:
    """Wait for Ctrl-C.

    Raises:
        KeyboardInterrupt: it came.
        ChildFailed: the door ended by itself.
    """
    door.wait_ready(lambda: False, float("inf"))


@contextmanager
def step(title: str) -> Iterator[list[str]]:
    """Print what is done, what came out of it (the block appends it), and how long it took."""
    said: list[str] = []
    begun_s = time.monotonic()
    click.echo(f"{title} ...")
    yield said
    for line in "\n".join(said).splitlines():
        click.echo(f"  {line}")
    click.echo(f"  {time.monotonic() - begun_s:.1f} s")


@contextmanager
def orderly_end(running: ExitStack) -> Iterator[None]:
    """Take SIGTERM for a Ctrl-C; whatever ends the block, stop all of `running`, undisturbed by a second one."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, end_as_if_interrupted)
    try:
        yield
    finally:
        for number in handlers:
            signal.signal(number, signal.SIG_IGN)
        running.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def end_as_if_interrupted(_signal: int, _frame: FrameType | None) -> None:
    """Turn SIGTERM into Ctrl-C, so that everything that was started is stopped."""
    raise KeyboardInterrupt


def kilngate() -> str:
    """Return how this very program is called from any directory."""
    installed = Path(sys.executable).with_name("kilngate")
    return str(installed) if installed.exists() else f"{sys.executable} -m proxy"
