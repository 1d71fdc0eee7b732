"""BuildKit's messages as the protobuf runtime has them, from our own minimal .proto."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc  # type: ignore[import-untyped]

PROTO = Path(__file__).parents[2] / "proxy" / "buildkit" / "proto" / "kilngate.proto"


@cache
def _classes() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "descriptors"
        code = protoc.main(["protoc", f"-I{PROTO.parent}", f"--descriptor_set_out={out}", str(PROTO)])
        if code:
            raise RuntimeError(f"protoc ended with {code}")
        described = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in described.file:
        pool.Add(file)
    return dict(message_factory.GetMessageClassesForFiles([file.name for file in described.file], pool))


def message_class(name: str) -> Any:
    """Return the class of the message `name`, such as `SolveRequest`."""
    return _classes()[f"kilngate.buildkit.{name}"]


def octets_of(message: Any) -> bytes:
    """Return a message as Go's clients write it: fields by number, maps by key."""
    octets: bytes = message.SerializeToString(deterministic=True)
    return octets
