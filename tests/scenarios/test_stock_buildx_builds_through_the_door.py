"""A developer has a certificate and stock buildx, and the farm is a builder like any other.

Nothing is installed at the developer's but a docker CLI with its buildx plugin. Every way
of building works as it does on a local daemon: secrets, cache mounts, results that come
back as files, bake, and the whole of a build's own error, however long its command.
"""

import hashlib
import json
import secrets
from pathlib import Path

import pytest

from proxy.lab.context import small, write_context
from tests.conftest import NewBuilder
from tests.helpers.builders import Builder
from tests.helpers.door import Door

BUILDS = "kilngate_builds_total"
LONG_COMMAND_OCTETS = 6144


@pytest.fixture
def builder(door: Door, new_builder: NewBuilder) -> Builder:
    return new_builder(door)


def succeeded(door: Door, result: str = "success") -> float:
    return door.metric(BUILDS, {"tenant": "payments", "result": result})


def test_a_build_succeeds_and_is_counted_once(door: Door, builder: Builder, busybox: Path, tmp_path: Path) -> None:
    before = succeeded(door)

    done = builder.build(small(tmp_path / "context", busybox, secrets.token_hex()))

    assert done.returncode == 0, done.stdout
    assert door.wait_metric(BUILDS, {"tenant": "payments", "result": "success"}, lambda now: now > before) == before + 1


def test_the_result_comes_back_as_files(builder: Builder, busybox: Path, tmp_path: Path) -> None:
    greeting = secrets.token_hex()

    done = builder.build(small(tmp_path / "context", busybox, greeting), f"--output=type=local,dest={tmp_path}/out")

    assert done.returncode == 0, done.stdout
    assert (tmp_path / "out/greeting").read_text() == f"{greeting}\n"
    assert (tmp_path / "out/digest").read_text().split()[0] == hashlib.sha256(f"{greeting}\n".encode()).hexdigest()


def test_a_step_reads_a_secret(builder: Builder, busybox: Path, tmp_path: Path) -> None:
    secret = secrets.token_hex()
    (tmp_path / "secret").write_text(secret)
    step = "RUN --network=none --mount=type=secret,id=word /bin/busybox sha256sum /run/secrets/word > /digest\n"
    context = write_context(
        tmp_path / "context", busybox, f"COPY nonce /nonce\n{step}", {"nonce": secrets.token_bytes()}
    )

    done = builder.build(context, f"--secret=id=word,src={tmp_path}/secret", f"--output=type=local,dest={tmp_path}/out")

    assert done.returncode == 0, done.stdout
    assert (tmp_path / "out/digest").read_text().split()[0] == hashlib.sha256(secret.encode()).hexdigest()


def test_a_cache_mount_keeps_what_a_build_left_in_it(builder: Builder, busybox: Path, tmp_path: Path) -> None:
    mount = f"--mount=type=cache,id={secrets.token_hex()},target=/cache"
    steps = (
        f"COPY nonce /nonce\nRUN --network=none {mount} /bin/busybox cat /nonce >> /cache/all; cat /cache/all > /seen\n"
    )
    steps = steps.replace("cat /cache", "/bin/busybox cat /cache")
    nonces = [f"{secrets.token_hex()}\n" for _ in range(2)]

    for nonce in nonces:
        context = write_context(tmp_path / "context", busybox, steps, {"nonce": nonce.encode()})
        done = builder.build(context, f"--output=type=local,dest={tmp_path}/out")
        assert done.returncode == 0, done.stdout

    assert (tmp_path / "out/seen").read_text() == "".join(nonces)


def test_two_targets_are_baked_at_once(door: Door, builder: Builder, busybox: Path, tmp_path: Path) -> None:
    names, before = ("one", "two"), succeeded(door)
    for name in names:
        small(tmp_path / name, busybox, f"{name} {secrets.token_hex()}")
    targets = {name: {"context": name, "output": [f"type=local,dest=out-{name}"]} for name in names}
    (tmp_path / "docker-bake.json").write_text(
        json.dumps({"group": {"default": {"targets": names}}, "target": targets})
    )

    done = builder.bake(tmp_path)

    assert done.returncode == 0, done.stdout
    assert [(tmp_path / f"out-{name}/greeting").read_text().split()[0] for name in names] == list(names)
    door.wait_metric(BUILDS, {"tenant": "payments", "result": "success"}, lambda now: now == before + 2)


def test_the_error_of_a_long_command_arrives_whole(door: Door, builder: Builder, busybox: Path, tmp_path: Path) -> None:
    # The status of this failure travels in trailers of 21 kB; common limits for heads are 8 and 16 KiB.
    words, before = secrets.token_hex(LONG_COMMAND_OCTETS // 2), succeeded(door, "error")
    context = write_context(tmp_path / "context", busybox, f"RUN --network=none : {words}; exit 7\n")

    done = builder.build(context)

    assert done.returncode == 1
    assert f'process "/bin/busybox sh -c : {words}; exit 7" did not complete successfully: exit code: 7' in done.stdout
    door.wait_metric(BUILDS, {"tenant": "payments", "result": "error"}, lambda now: now == before + 1)
