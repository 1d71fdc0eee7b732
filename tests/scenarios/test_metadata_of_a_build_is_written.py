"""A CI job builds with `--metadata-file`, as docker/build-push-action does.

buildx then asks the daemon's history for the provenance. History is for administrators,
but the question is answered with an empty list, so the build does not fail.
"""

import json
import secrets
from pathlib import Path

from proxy.lab.context import small
from tests.conftest import NewBuilder
from tests.helpers.door import Door


def test_a_builder_gets_its_metadata_file(door: Door, new_builder: NewBuilder, busybox: Path, tmp_path: Path) -> None:
    builder = new_builder(door)
    context = small(tmp_path / "context", busybox, secrets.token_hex())
    metadata = tmp_path / "metadata.json"

    done = builder.build(context, f"--metadata-file={metadata}")

    assert done.returncode == 0, done.stdout
    assert json.loads(metadata.read_text())["buildx.build.ref"]
