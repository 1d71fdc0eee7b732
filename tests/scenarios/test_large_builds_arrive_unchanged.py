"""A team builds from 256 MiB of new files, and takes 256 MiB of results home.

Every octet passes twice through the door: once in the session that the daemon reads the
context from, once in the session that it sends the result to. Each file has the same
SHA-256 at the end as at the beginning.
"""

import shutil
from pathlib import Path

import pytest

from proxy.lab.context import digests, random_files
from tests.conftest import NewBuilder
from tests.helpers.door import Door

MIB = 1 << 20
SIZE_OCTETS = 256 * MIB


@pytest.mark.timeout(240)
def test_256_mib_there_and_back(door: Door, new_builder: NewBuilder, tmp_path: Path) -> None:
    context = tmp_path / "context"
    sent = random_files(context / "files", SIZE_OCTETS)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY files /\n")

    done = new_builder(door).build(context, f"--output=type=local,dest={tmp_path}/out", timeout_s=200)

    assert done.returncode == 0, done.stdout
    assert digests(tmp_path / "out") == sent
    for direction in ("received", "sent"):
        door.wait_metric(
            "kilngate_transfer_bytes_total",
            {"tenant": "payments", "direction": direction},
            lambda now: now > SIZE_OCTETS,
        )
    shutil.rmtree(tmp_path)
