"""Build definitions as clients write them, and what the protobuf runtime makes of one that is renamed.

`by_the_runtime` shares no code with the project's own: it reads everything, changes it, and writes it anew.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from hypothesis import strategies as st

from tests.helpers.buildkit_proto import message_class, octets_of

EMPTY = -1


def digest(octets: bytes) -> str:
    return "sha256:" + sha256(octets).hexdigest()


def op(*inputs: Any, **kind: Any) -> Any:
    """Return an operation upon `inputs`, operations too."""
    edges = [{"digest": digest(octets_of(one))} for one in inputs]
    return message_class("Op")(inputs=edges, platform={"architecture": "amd64", "os": "linux"}, **kind)


def source(identifier: str = "docker-image://docker.io/library/alpine:3", **attrs: str) -> Any:
    named = {key.replace("_", "."): value for key, value in attrs.items()}
    return op(source={"identifier": identifier, "attrs": named})


def run(*inputs: Any, mounts: tuple[Any, ...] = (), meta: dict[str, Any] | None = None, **fields: Any) -> Any:
    root = {"input": 0 if inputs else EMPTY, "dest": "/"}
    meta = {"args": ["/bin/sh", "-c", "make"], "cwd": "/", **(meta or {})}
    return op(*inputs, exec={"meta": meta, "mounts": [root, *mounts], **fields})


def cache(cache_id: str, dest: str = "/root/.cache") -> dict[str, Any]:
    return {"input": EMPTY, "dest": dest, "output": EMPTY, "mount_type": 3, "cache_opt": {"id": cache_id}}


def converting(session: str) -> Any:
    """Return a source policy that would give a session to every source."""
    convert = {"identifier": "local://x", "attrs": {"local.session": session, "oci.session": session, "a": session}}
    rules = [{"selector": {"identifier": "*"}}, {"action": 2, "updates": convert}]
    return message_class("Policy")(version=1, rules=rules)


def converted(policy: Any) -> dict[str, str]:
    """Return the attributes that such a policy gives."""
    return dict(policy.rules[1].updates.attrs)


def definition(*ops: Any, with_end: bool = True) -> Any:
    """Return the definition of `ops`, the last one being the result, with a name and a line of source for each."""
    end = [message_class("Op")(inputs=[{"digest": digest(octets_of(ops[-1]))}])] if with_end else []
    steps = [octets_of(one) for one in (*ops, *end)]
    return message_class("Definition")(
        **{"def": steps},
        metadata={digest(one): {"description": {"llb.customname": str(n)}} for n, one in enumerate(steps)},
        source={
            "locations": {digest(one): {"locations": [{"source_index": n}]} for n, one in enumerate(steps)},
            "infos": [{"filename": "Dockerfile", "data": b"FROM alpine"}],
        },
    )


def operations(definition_: Any) -> list[Any]:
    return [message_class("Op").FromString(octets) for octets in getattr(definition_, "def")]


def by_the_runtime(definition_: Any, change: Callable[[Any], None]) -> Any:
    """Return a definition of which `change` changed each operation; inputs stand before what builds upon them."""
    names: dict[str, str] = {}
    steps: list[bytes] = []
    for old in getattr(definition_, "def"):
        one = message_class("Op").FromString(old)
        for edge in one.inputs:
            edge.digest = names.get(edge.digest, edge.digest)
        change(one)
        steps.append(octets_of(one))
        names[digest(old)] = digest(steps[-1])
    changed = message_class("Definition")(**{"def": steps})
    for key, value in definition_.metadata.items():
        changed.metadata[names.get(key, key)].CopyFrom(value)
    if definition_.HasField("source"):
        changed.source.CopyFrom(definition_.source)
        changed.source.ClearField("locations")
        for key, value in definition_.source.locations.items():
            changed.source.locations[names.get(key, key)].CopyFrom(value)
    return changed


@st.composite
def graphs(draw: st.DrawFn, names: st.SearchStrategy[str], hostnames: st.SearchStrategy[str]) -> Any:
    """A definition: each operation builds upon some before it. Sessions, caches and cgroups have `names`.

    No two operations can become the same one.
    """
    ops: list[Any] = [source("docker-image://a")]
    for number in range(draw(st.integers(0, 5))):
        upon = draw(st.lists(st.sampled_from(ops), max_size=3, unique_by=octets_of))
        kind = draw(st.sampled_from(["run", "source", "file", "merge"]))
        if kind == "run":
            mounts = tuple(cache(draw(names)) for _ in range(draw(st.integers(0, 2))))
            meta = {
                "env": [f"N={number}"],
                "hostname": draw(hostnames),
                "cgroup_parent": draw(names),
                "valid_exit_codes": [0, 1],
            }
            ops.append(run(*upon, mounts=mounts, meta=meta, network=draw(st.integers(0, 2))))
        elif kind == "source":
            ops.append(source(f"local://{number}", local_session=draw(names), oci_session=draw(names)))
        elif kind == "file":
            ops.append(op(*upon, file={"actions": [{"input": number}]}))
        else:
            ops.append(op(*upon, merge={"inputs": []}))
    return definition(*ops)
