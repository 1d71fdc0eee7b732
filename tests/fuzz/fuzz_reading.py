"""Look for a message that we read otherwise than the daemon, or let through with somebody else's name in it.

Led by coverage, for as long as one likes; `test_daemons_read_alike.py` tries the same
checks in CI. What it finds is printed and kept in a file that starts with `crash-`.

    .venv/bin/pip install 'atheris>=3'
    .venv/bin/python -m tests.fuzz.fuzz_reading -max_total_time=600 [DIRECTORY]

Options are libFuzzer's; it keeps in DIRECTORY what reached something new.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["proxy.buildkit"]):
    from tests.helpers.buildkit_proto import message_class, octets_of
    from tests.helpers.llb import cache, definition, op, run, source
    from tests.helpers.reading import BUILDS, REQUESTS, TABLES, check_change, check_reading

NAMES = tuple(TABLES)
CHANGED = {"Definition", *BUILDS, *REQUESTS}


def try_one(octets: bytes) -> None:
    """Try octets: the first says which message the others are."""
    if octets:
        name = NAMES[octets[0] % len(NAMES)]
        check_reading(name, octets[1:])
        if name in CHANGED:
            check_change(name, octets[1:])


def seeds() -> list[bytes]:
    """Return messages of clients to begin with."""
    base = source("local://context", local_session="s1")
    step = run(base, mounts=(cache("/root/.cache"),), meta={"hostname": "h", "cgroup_parent": "c"}, network=1)
    graph = definition(base, step, op(step, file={"actions": [{}]}))
    attrs = {"local-sessionid:context": "s1", "build-arg:BUILDKIT_CACHE_MOUNT_NS": "n", "hostname": "h"}
    policy = {"rules": [{"action": 2, "updates": {"identifier": "local://x", "attrs": {"local.session": "s1"}}}]}
    build = {"frontend": "dockerfile.v0", "definition": graph, "frontend_inputs": {"a": graph}}
    messages = {
        "SolveRequest": {"ref": "r", "session": "s1", "frontend_attrs": attrs, "source_policy": policy, **build},
        "BridgeSolveRequest": {"frontend_opt": attrs, "source_policies": [policy], **build},
        "StatusRequest": {"ref": "r"},
        "ResolveImageConfigRequest": {"ref": "alpine", "session_id": "s1", "source_policies": [policy]},
        "ResolveSourceMetaRequest": {"source": base.source},
        "NewContainerRequest": {"container_id": "c", "mounts": step.exec.mounts},
    }
    made = {name: octets_of(message_class(name)(**fields)) for name, fields in messages.items()}
    made |= {"Definition": octets_of(graph), "Op": octets_of(step)}
    return [bytes([NAMES.index(name)]) + octets for name, octets in made.items()]


def main() -> None:
    """Fuzz until stopped."""
    with tempfile.TemporaryDirectory() as directory:
        for number, seed in enumerate(seeds()):
            (Path(directory) / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, directory], try_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
