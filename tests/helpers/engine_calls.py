"""A bare engine called without a client: builds of one step under any ref, and its own words about them."""

import hashlib
from collections.abc import Iterator

import grpc

from proxy.buildkit.draft import encode_number, encode_octets
from proxy.buildkit.methods import CONTENT_INFO, CONTENT_READ, DISK_USAGE, LISTEN_BUILD_HISTORY, SOLVE, Method

PATIENCE_S = 60.0
# The index of an input that is not there is -1.
NO_INPUT = (1 << 64) - 1


def one_step(name: str) -> bytes:
    """Return a definition (moby/buildkit solver/pb/ops.proto) that makes a directory on an empty file system."""
    mkdir = encode_octets(1, f"/{name}".encode()) + encode_number(2, 0o755)
    action = encode_number(1, NO_INPUT) + encode_number(2, NO_INPUT) + encode_octets(6, mkdir)
    step = encode_octets(4, encode_octets(2, action))
    digest = f"sha256:{hashlib.sha256(step).hexdigest()}".encode()
    return encode_octets(1, step) + encode_octets(1, encode_octets(1, encode_octets(1, digest)))


class EngineCalls:
    """Calls of a daemon, in octets."""

    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.insecure_channel(endpoint)

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def build(self, ref: str, name: str) -> None:
        """Build one step to its end."""
        list(self._call(SOLVE, encode_octets(1, ref.encode()) + encode_octets(2, one_step(name))))

    def history(self, request: bytes) -> list[bytes]:
        """Return what ListenBuildHistory answers, to its end."""
        return list(self._call(LISTEN_BUILD_HISTORY, request))

    def info(self, request: bytes) -> bytes:
        """Return what Content/Info answers."""
        return next(self._call(CONTENT_INFO, request))

    def read(self, request: bytes) -> list[bytes]:
        """Return what Content/Read answers."""
        return list(self._call(CONTENT_READ, request))

    def disk_usage(self) -> bytes:
        """Return what DiskUsage answers."""
        return next(self._call(DISK_USAGE, b""))

    def _call(self, method: Method, request: bytes) -> Iterator[bytes]:
        begin = self._channel.unary_stream(method.path, request_serializer=None, response_deserializer=None)
        yield from begin(request, timeout=PATIENCE_S)
