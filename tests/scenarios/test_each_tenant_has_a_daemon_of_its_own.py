"""Two teams that do not trust each other: kilngate runs a real daemon for each of them.

A team's first call starts its daemon, with data that no other team's daemon knows. Who
is away for a while finds its cache again, though the daemon was stopped meanwhile. A
daemon that dies takes its own builds along and nothing else, and the next build starts
another; with kilngate all of them end.
"""

import json
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.lab.client import Buildx
from proxy.lab.context import small, write_context
from proxy.lab.dockerd import docker_directories, dockerd_command
from proxy.lab.missing import Missing
from proxy.processes import ProcessId, identify, send
from proxy.reasons import Reason
from proxy.routing.template import SEALED
from tests.conftest import CACHE, StartDoor, absent
from tests.helpers.builders import Builder, read, wait_step
from tests.helpers.credentials import People, create_builder
from tests.helpers.door import Door

RUNNING = "kilngate_daemons_running"
OWN = {"pool": "own"}
Farm = Callable[..., Door]


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where daemons live: a short path, for sockets need one."""
    path = Path(tempfile.mkdtemp(prefix="farm-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def template(directory: Path) -> dict[str, Any]:
    """Debian's Docker daemon, as an operator would write it down."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a Docker daemon")
    try:
        programs = docker_directories(CACHE)
    except Missing as missing:
        absent(missing)
    return {
        "command": [*SEALED, *dockerd_command("{socket}", "{run}", "{root}", "--storage-driver=vfs")],
        "scheme": "docker",
        "tenants_each": True,
        "directory": str(directory),
        "environment": {"PATH": os.pathsep.join((*map(str, programs), os.environ["PATH"]))},
    }


@pytest.fixture
def start_farm(start_door: StartDoor, settings: dict[str, Any], template: dict[str, Any]) -> Farm:
    """Start a door before two tenants with certificates, both dedicated; `changes` are the template's."""

    def start(**changes: Any) -> Door:
        tenants = ("payments", "platform")
        rules = [{"match": {"uri": f"spiffe://farm.test/{tenant}/*"}, "tenant": tenant} for tenant in tenants]
        return start_door(
            auth=[{**settings["auth"][0], "rules": rules}],
            pools={"own": {"daemon": {**template, **changes}}},
            tenants={tenant: {"pool": "own", "isolation": "dedicated"} for tenant in tenants},
        )

    return start


@pytest.fixture
def builder_of(every_buildx: list[Buildx], people: People) -> Callable[[Door, str], Builder]:
    """Create the builder of a tenant, in the newest buildx."""

    def create(door: Door, tenant: str) -> Builder:
        name = f"own-{tenant}"
        create_builder(every_buildx[-1], name, door.address, people, people.client(tenant))
        return Builder(every_buildx[-1], name)

    return create


def daemon_of(directory: Path, tenant: str) -> ProcessId:
    """Return the process of a tenant's daemon."""
    found = identify(int((directory / f"own.{tenant}" / "daemon.pid").read_text().split()[1]))
    assert found
    return found


def wait_empty(directory: Path) -> None:
    """Wait until no process lives in `directory`: each daemon is told where by its command."""
    deadline = time.monotonic() + 20
    while any(str(directory).encode() in read(path) for path in Path("/proc").glob("[0-9]*/cmdline")):
        assert time.monotonic() < deadline, f"a daemon still runs in {directory}"
        time.sleep(0.02)


def test_tenants_share_no_daemon_and_no_cache_and_find_their_own_again(
    start_farm: Farm,
    builder_of: Callable[[Door, str], Builder],
    directory: Path,
    busybox: Path,
    tmp_path: Path,
) -> None:
    door = start_farm(idle_timeout="2s")
    payments, platform = builder_of(door, "payments"), builder_of(door, "platform")
    context = small(tmp_path / "context", busybox, secrets.token_hex())

    builds = [builder.build(context) for builder in (payments, payments, platform)]
    door.wait_metric(RUNNING, OWN, lambda now: now == 0, timeout_s=20)
    builds.append(payments.build(context))
    starts = door.metric("kilngate_daemon_starts_total", {**OWN, "result": "success"})
    code = door.stop()

    assert [build.returncode for build in builds] == [0] * 4, builds[-1].stdout
    assert ["CACHED" in build.stdout for build in builds] == [False, True, False, True]
    # The daemon was stopped meanwhile: the last build shows that it waited for a start, as a step of its own.
    assert "[farm] started a build daemon for payments" in builds[3].stdout
    assert "[farm]" not in builds[1].stdout
    assert all(os.listdir(directory / f"own.{tenant}" / "root") for tenant in ("payments", "platform"))
    assert starts >= 3
    assert code == 0
    told = [json.loads(line) for line in door.log.splitlines() if line.startswith("{")]
    assert [line["reason"] for line in told if line["event"] == "daemon ended"][-1] == "stopped"


def test_a_daemon_that_dies_is_told_to_whoever_builds_there_and_the_next_build_works(
    start_farm: Farm,
    builder_of: Callable[[Door, str], Builder],
    directory: Path,
    busybox: Path,
    tmp_path: Path,
) -> None:
    door = start_farm()
    builder = builder_of(door, "payments")
    words = ["/bin/busybox", "sleep", str(1_000_000 + secrets.randbelow(1_000_000))]
    endless = write_context(
        tmp_path / "endless", busybox, f"RUN --network=none {str(words).replace(chr(39), chr(34))}\n"
    )
    quick = write_context(tmp_path / "quick", busybox, "COPY nonce /nonce\n", {"nonce": secrets.token_bytes()})

    with builder.building(endless) as running:
        wait_step(" ".join(words), runs=True, timeout_s=60)
        process = daemon_of(directory, "payments")
        send(process, signal.SIGKILL)
        done = running.finish()
    # Its steps do not live on without it.
    wait_step(" ".join(words), runs=False, timeout_s=20)
    again = builder.build(quick)

    assert done.returncode == 1
    assert f"[KG-{Reason.UPSTREAM_LOST.number}] " in done.stdout
    assert again.returncode == 0, again.stdout
    assert door.metric("kilngate_daemon_ends_total", {**OWN, "reason": "crashed"}) == 1
    assert door.metric("kilngate_daemon_starts_total", {**OWN, "result": "success"}) == 2
    door.child.signal(signal.SIGKILL)
    wait_empty(directory)


def test_a_daemon_that_does_not_start_is_told_in_a_sentence_and_a_reload_mends_it(
    start_farm: Farm,
    builder_of: Callable[[Door, str], Builder],
    template: dict[str, Any],
    busybox: Path,
    tmp_path: Path,
) -> None:
    door = start_farm(command=["sh", "-c", "echo disk full >&2; exit 3", "{socket}", "{root}"])
    context = small(tmp_path / "context", busybox, "x")
    builder = builder_of(door, "payments")

    refused = [builder.build(context) for _ in range(2)]
    door.settings["pools"]["own"]["daemon"]["command"] = template["command"]
    door.write_settings()
    door.reload()
    mended = builder.build(context)

    sentence = f"[KG-{Reason.DAEMON_NOT_STARTED.number}] the build daemon for payments does not start"
    assert [(build.returncode, sentence in build.stdout) for build in refused] == [(1, True)] * 2
    assert "it ended with exit code 3: disk full" in door.log
    assert mended.returncode == 0, mended.stdout
    assert door.metric("kilngate_daemon_starts_total", {**OWN, "result": "failure"}) >= 1
