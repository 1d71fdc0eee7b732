"""An operator compares a tenant's step counts with what BuildKit itself has written down.

A first build runs every step, a second finds most of them in the cache. The door's numbers
of both are those of the daemon's history records.
"""

import asyncio
import json
import secrets
from pathlib import Path
from typing import Any

import grpc

from proxy.edge.health import CHANNEL_OPTIONS
from proxy.lab.context import small
from proxy.lab.engine import Engine
from tests.conftest import NewBuilder, StartDoor
from tests.helpers.bridge import bare
from tests.helpers.builders import Builder
from tests.helpers.buildkit_proto import message_class

HISTORY = "/moby.buildkit.v1.Control/ListenBuildHistory"
STEPS = "kilngate_build_steps_total"
BUILDS = {"tenant": "payments", "result": "success"}


def test_steps_are_counted_as_the_daemon_counts_them(
    start_door: StartDoor, new_builder: NewBuilder, engine: Engine, busybox: Path, tmp_path: Path
) -> None:
    door = start_door()
    builder = new_builder(door)
    expected = {"total": 0, "cached": 0, "completed": 0}

    for number in (1, 2):
        context = small(tmp_path / "context", busybox, secrets.token_hex())
        ref = build(builder, context, tmp_path / "metadata.json")
        door.wait_metric("kilngate_builds_total", BUILDS, lambda now, number=number: now == number)
        record = asyncio.run(read_record(engine.url, tmp_path, f"payments.{ref}"))
        expected["total"] += record.num_total_steps
        expected["cached"] += record.num_cached_steps
        expected["completed"] += record.num_completed_steps

    assert expected["cached"] > 0
    assert {kind: door.metric(STEPS, {"tenant": "payments", "kind": kind}) for kind in expected} == expected


def build(builder: Builder, context: Path, metadata: Path) -> str:
    """Build, and return the ref that the client chose for it."""
    arguments = ["build", "--builder", builder.name, f"--metadata-file={metadata}", str(context)]
    # Without this buildx would read the provenance of the build back out of the daemon's history.
    done = builder.buildx.run(arguments, environment={"BUILDX_METADATA_PROVENANCE": "disabled"})
    assert done.returncode == 0, done.stdout
    ref: str = json.loads(metadata.read_text())["buildx.build.ref"]
    return ref.rpartition("/")[2]


async def read_record(url: str, directory: Path, ref: str) -> Any:
    """Return the daemon's history record of a build."""
    request = message_class("BuildHistoryRequest")(ref=ref, early_exit=True)
    with bare(url, directory / "bare") as endpoint:
        async with grpc.aio.insecure_channel(endpoint, options=CHANNEL_OPTIONS) as channel:
            events = [event async for event in channel.unary_stream(HISTORY)(request.SerializeToString())]
    [record] = [message_class("BuildHistoryEvent").FromString(event).record for event in events]
    return record
