"""Real builds: stock `docker buildx` through each door into a real BuildKit; the wall time is what a user feels."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from bench.child import Child, wait_for
from bench.doors import Door, run_load
from bench.ground import ROOT, Ground, program
from bench.packages import Unavailable
from proxy.lab.client import Buildx, find_any_buildx
from proxy.lab.context import find_busybox, random_files, small, write_context
from proxy.lab.engine import Engine, find_engine
from proxy.lab.missing import Missing

MIB = 1 << 20
GIB = 1 << 30
CACHE = ROOT / ".kilngate" / "cache"
AT_ONCE = 8
BUILD_S = 300.0
COPY_ALL = "COPY random-* /\n"

SMALL, CONTEXT, OUTPUT, EIGHT = "small build", "context", "local output", "8 builds at once"
BULK = (CONTEXT, OUTPUT)
ROWS = (SMALL, CONTEXT, OUTPUT, EIGHT)


@dataclass(frozen=True, slots=True)
class Farm:
    """An engine with a plain HTTP/2 socket, a stock buildx, and the busybox that its builds start from."""

    engine: Engine
    bridge: Child | None
    socket: Path
    buildx: Buildx
    busybox: Path
    directory: Path
    octets: int

    def close(self) -> None:
        """Stop what we started."""
        if self.bridge:
            self.bridge.stop()
        self.engine.stop()


def open_farm(ground: Ground, *, octets: int) -> Farm:
    """Find or start an engine and a client; `octets` is the size of a bulk build.

    Raises:
        Unavailable: one of them cannot be had.
    """
    directory = ground.directory / "builds"
    try:
        buildx = find_any_buildx("sid", CACHE, ground.directory / "docker")
        busybox = find_busybox(CACHE)
        engine = find_engine(ground.directory / "engine", CACHE)
    except Missing as missing:
        raise Unavailable(str(missing)) from missing
    scheme, _, path = engine.url.partition("://")
    if scheme == "unix":
        return Farm(engine, None, Path(path), buildx, busybox, directory, octets)
    socket = ground.directory / "bridge.sock"
    bridge = Child([str(program("bridge")), str(socket), path], log=ground.directory / "bridge.log")
    wait_for(socket.exists, within_s=5)
    return Farm(engine, bridge, socket, buildx, busybox, directory, octets)


def before_farm(ground: Ground, farm: Farm) -> Ground:
    """Return the ground for doors that stand before the farm instead of the sink."""
    return replace(ground, socket=farm.socket)


def enrol(farm: Farm, ground: Ground, door: Door) -> None:
    """Make a builder for a door and build through it once.

    Raises:
        Unavailable: stock buildx cannot build through this door.
    """
    if door.tls:
        _call_without_alpn(ground, door)
    pki = ground.certificates
    shown: dict[str, str | Path] = {"cacert": pki.ca, "cert": pki.client, "key": pki.client_key}
    options = {**shown, "servername": "localhost"} if door.tls else {}
    endpoint = f"tcp://127.0.0.1:{door.to}" if door.tls else f"unix://{farm.socket}"
    try:
        farm.buildx.create_builder(_builder(door), endpoint, options)
    except Missing as missing:
        raise Unavailable(str(missing)) from missing
    build(farm, door, small(farm.directory / "first", farm.busybox, str(uuid4())))


def warm(farm: Farm, door: Door) -> None:
    """Build once what the output row sends back, so that each door only has its way back to do.

    The first bulk build meets a cold disk, so another one goes first.
    """
    for name in ("new", "same"):
        build(farm, door, _random(farm, name))


def measure_build(row: str, farm: Farm, door: Door) -> Mapping[str, float]:
    """Run one row's build, or builds, through a door; `CPU-s/GiB` is the door's own, for bulk.

    Raises:
        Unavailable: a build failed.
    """
    contexts, arguments = _prepare(row, farm)
    os.sync()  # What we wrote must not be written back to the disk while we measure.
    before, start = door.cpu_seconds(), time.perf_counter()
    with ThreadPoolExecutor(len(contexts)) as pool:
        list(pool.map(lambda context: build(farm, door, context, *arguments), contexts))
    figures = {"wall s": time.perf_counter() - start}
    if door.child:
        figures["CPU s"] = door.cpu_seconds() - before
        if row in BULK:
            figures["CPU-s/GiB"] = figures["CPU s"] * GIB / farm.octets
    _tidy(row, farm)
    return figures


def build(farm: Farm, door: Door, context: Path, *arguments: str) -> None:
    """Build a context through a door.

    Raises:
        Unavailable: it fails; the text is the end of what buildx says.
    """
    command = ["build", "--builder", _builder(door), "--provenance=false", *arguments, str(context)]
    try:
        done = farm.buildx.run(command, timeout_s=BUILD_S)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"buildx did not end within {BUILD_S:.0f} s") from None
    if done.returncode:
        last_line = (done.stdout.strip().splitlines() or [""])[-1]
        raise Unavailable(f"buildx ended with {done.returncode}: {last_line[:200]}")


def _call_without_alpn(ground: Ground, door: Door) -> None:
    """Ask first in a tenth of a second what buildx would ask for 20 seconds: it offers no ALPN."""
    try:
        run_load(ground, replace(door, alpn=False), "--seconds", "0.1", "calls")
    except Unavailable as reason:
        raise Unavailable(f"it does not serve a client that offers no ALPN, as stock buildx ({reason})") from reason


def _prepare(row: str, farm: Farm) -> tuple[Sequence[Path], Sequence[str]]:
    """Return the contexts to build at once, and more arguments. What a row sends is new each time."""
    make: Mapping[str, Callable[[], tuple[Sequence[Path], Sequence[str]]]] = {
        SMALL: lambda: ([_small(farm, 0)], ()),
        EIGHT: lambda: ([_small(farm, number) for number in range(AT_ONCE)], ()),
        CONTEXT: lambda: ([_random(farm, "new")], ()),
        OUTPUT: lambda: ([farm.directory / "same"], ("--output", f"type=local,dest={farm.directory / 'out'}")),
    }
    return make[row]()


def _small(farm: Farm, number: int) -> Path:
    return small(farm.directory / f"small-{number}", farm.busybox, str(uuid4()))


def _random(farm: Farm, name: str) -> Path:
    directory = farm.directory / name
    shutil.rmtree(directory, ignore_errors=True)
    random_files(directory, farm.octets)
    return write_context(directory, farm.busybox, COPY_ALL)


def _tidy(row: str, farm: Farm) -> None:
    if row == OUTPUT:
        sent = sum(path.stat().st_size for path in (farm.directory / "out").glob("random-*"))
        shutil.rmtree(farm.directory / "out")
        if sent != farm.octets:
            raise Unavailable(f"{sent} octets came back of {farm.octets}")


def _builder(door: Door) -> str:
    """A name that buildx takes, whatever the door is called."""
    return re.sub(r"[^a-z0-9]+", "-", f"door {door.name}".lower())
