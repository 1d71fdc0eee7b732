"""The content that a tenant may read: what the records of its own builds refer to.

A daemon keeps one store of blobs for everybody, named by their digests: layers, images,
provenance, logs. Whoever may list it or knows a digest may read. Here a digest is opened
to a tenant by two things alone, and both are the daemon's own words:

* a record of one of the tenant's builds, as it passed by in `ListenBuildHistory`, for
  the blobs that it names: log, trace, error, attestations, exported images;
* an image index that such a record names as exported, once it was read through here
  whole, for the manifests that it lists.

Why nothing that a build chooses can open another's digest: the daemon itself makes these
descriptors (solver/llbsolver/history.go, from what it has just written) and the index
(exporter/containerimage/writer.go, `Commit`: from manifests that it has just written; a
frontend chooses platforms and annotations in it, which are encoded as text). No exporter
passes on an index or a descriptor that a frontend, a client's session or a registry made.
What a build does choose is never followed: attestations, configurations, layers. Nor is
what a manifest names: a layer's descriptor may come from an image that was pulled, with
any digest and any media type that its author wrote, be it `index`. So of the layers of
an image nothing is opened; no stock client reads them here. Indices in an index are not
followed; exporters make none.

Of a blob only digest and size are told: its labels name the registries that others
pushed it to, its times when it came.

Source: containerd api/services/content/v1/content.proto; opencontainers/image-spec
image-index.md; docker/buildx commands/history/inspect.go, `walkAttachments`.
"""

import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.buildkit.draft import Draft, encode_number, encode_octets
from proxy.buildkit.wire import Message, Shape, Shapes, WireError
from proxy.errors import Refused
from proxy.reasons import Reason

CONTENT_INFO_REQUEST: Final[Shapes] = {1: Shape.TEXT}
CONTENT_READ_REQUEST: Final[Shapes] = {1: Shape.TEXT, 2: Shape.NUMBER, 3: Shape.NUMBER}

# A record refers to a handful of blobs, and buildx asks for 50 records at once.
MOST_DIGESTS: Final = 4096
# An index of 100 platforms with attestations has less than 128 KiB.
MOST_INDEX_OCTETS: Final = 256 * 1024
# buildx reads one index after the other.
MOST_INDICES_AT_ONCE: Final = 4

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_INDICES = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
}
_MANIFESTS = {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
}
_INFO_ANSWER: Final[Shapes] = {1: Shape.MESSAGE}
_INFO: Final[Shapes] = {1: Shape.TEXT, 2: Shape.NUMBER}
_READ_ANSWER: Final[Shapes] = {1: Shape.NUMBER, 2: Shape.MESSAGE}


@dataclass(frozen=True, slots=True)
class Blob:
    """What a descriptor of the daemon's says of a blob; `is_exported`: it is what an exporter made."""

    digest: str
    media_type: str
    octets: int
    is_exported: bool = False

    @property
    def index_octets(self) -> int:
        """The length of an index that may be followed, 0 if it is none."""
        is_index = self.is_exported and self.media_type in _INDICES
        return self.octets if is_index and self.octets <= MOST_INDEX_OCTETS else 0


class Readable:
    """The digests that are open to one tenant, at most `MOST_DIGESTS`: those that were opened first are forgotten."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._index_octets: dict[str, int] = {}
        self._reading: deque[IndexReader] = deque(maxlen=MOST_INDICES_AT_ONCE)

    def open(self, blobs: Iterable[Blob]) -> None:
        """Open blobs that the daemon told of."""
        known = self._index_octets
        for blob in blobs:
            known[blob.digest] = max(known.pop(blob.digest, 0), blob.index_octets)
            if len(known) > MOST_DIGESTS:
                del known[next(iter(known))]

    def info(self, request: Draft) -> "InfoReader":
        """Return what makes of an answer what may be told.

        Raises:
            Refused: CONTENT_FOREIGN.
            WireError: the request has no digest.
        """
        self._check(request)
        return InfoReader()

    def read(self, request: Draft) -> "IndexReader | None":
        """Return what learns from the answer, if it may be an index.

        Raises:
            Refused, WireError: as `info`.
        """
        digest = self._check(request)
        octets = self._index_octets[digest]
        if not octets or request.number(2):
            return None
        if len(self._reading) == MOST_INDICES_AT_ONCE:
            self._reading[0].stop()
        self._reading.append(IndexReader(digest, octets, self.open))
        return self._reading[-1]

    def _check(self, request: Draft) -> str:
        digest = request.text(1)
        if not _DIGEST.fullmatch(digest):
            raise WireError("the digest is not sha256: and 64 hexadecimal digits")
        if digest not in self._index_octets:
            raise Refused(Reason.CONTENT_FOREIGN, tenant=self._tenant, digest=digest)
        return digest


class InfoReader:
    """Passes on of a blob's Info its digest and its size."""

    def feed(self, message: bytes) -> Sequence[bytes]:
        """Return the answer without labels and times.

        Raises:
            Refused: ANSWER_UNREADABLE.
        """
        try:
            info = Message(b"".join(Message(message, _INFO_ANSWER).messages(1)), _INFO)
        except WireError as error:
            raise Refused(Reason.ANSWER_UNREADABLE, method="Content/Info", detail=str(error)) from None
        told = encode_octets(1, info.text(1).encode()) + encode_number(2, info.number(2))
        return (encode_octets(1, told),)

    def finish(self) -> Sequence[bytes]:
        """Return nothing: there was one message."""
        return ()


class IndexReader:
    """Passes an index on as it is, and opens the manifests that it lists once all of it went by.

    Clients leave when they have what they asked for: the index is whole when it is as long
    as the daemon's record says, and is believed if its digest is right.
    """

    def __init__(self, digest: str, octets: int, open_blobs: Callable[[Iterable[Blob]], None]) -> None:
        self._digest = digest
        self._octets = octets
        self._open_blobs = open_blobs
        self._read: bytearray | None = bytearray()

    def stop(self) -> None:
        """Learn nothing more."""
        self._read = None

    def feed(self, message: bytes) -> Sequence[bytes]:
        """Return the message; never raises, for what is only read need not be an index."""
        if self._read is not None:
            try:
                self._append(message)
            except WireError:
                self.stop()
        return (message,)

    def finish(self) -> Sequence[bytes]:
        """Return nothing: each message was passed on at once."""
        return ()

    def _append(self, message: bytes) -> None:
        assert self._read is not None
        piece = Message(message, _READ_ANSWER)
        if piece.number(1) != len(self._read):
            self.stop()
            return
        self._read += b"".join(piece.messages(2))
        if len(self._read) >= self._octets:
            index = bytes(self._read)
            self.stop()
            if f"sha256:{hashlib.sha256(index).hexdigest()}" == self._digest:
                self._open_blobs(manifests_of(index))


def manifests_of(index: bytes) -> Iterator[Blob]:
    """Yield the manifests that an image index lists; what is no index lists none."""
    try:
        listed = json.loads(index)["manifests"]
        for each in listed:
            if each["mediaType"] in _MANIFESTS:
                yield Blob(str(each["digest"]), each["mediaType"], 0)
    except (ValueError, LookupError, TypeError, RecursionError):
        return
