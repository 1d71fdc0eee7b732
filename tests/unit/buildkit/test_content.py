"""Content is read by whoever has a record that refers to it; nothing that a build wrote opens anything."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.content import (
    CONTENT_INFO_REQUEST,
    CONTENT_READ_REQUEST,
    MOST_DIGESTS,
    MOST_INDEX_OCTETS,
    MOST_INDICES_AT_ONCE,
    Blob,
    Readable,
)
from proxy.buildkit.draft import Draft, UnknownField
from proxy.buildkit.wire import WireError
from proxy.errors import Refused
from proxy.reasons import Reason
from tests.helpers.buildkit_proto import message_class

INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
IN_TOTO = "application/vnd.in-toto+json"
Read = message_class("ReadContentRequest")
Piece = message_class("ReadContentResponse")
Info = message_class("ContentInfo")
InfoAnswer = message_class("ContentInfoResponse")


def digest_of(octets: bytes) -> str:
    """Return the digest of a blob."""
    return f"sha256:{hashlib.sha256(octets).hexdigest()}"


def digest(number: int) -> str:
    """Return one of many digests."""
    return f"sha256:{number:064x}"


def index_of(*listed: Any) -> bytes:
    """Return an index as an exporter writes it."""
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}, indent=2).encode()


def manifest(number: int, media_type: str = MANIFEST) -> dict[str, Any]:
    """Return an entry of an index."""
    return {"mediaType": media_type, "digest": digest(number), "size": 3}


def exported(octets: bytes, media_type: str = INDEX) -> Blob:
    """Return what a record says of what an exporter made."""
    return Blob(digest_of(octets), media_type, len(octets), is_exported=True)


def asked(name: str, **more: int) -> Draft:
    """Return a request to read."""
    return Draft(Read(digest=name, **more).SerializeToString(), CONTENT_READ_REQUEST)


def is_open(readable: Readable, name: str) -> bool:
    """Tell whether a digest may be read."""
    try:
        readable.info(Draft(message_class("InfoRequest")(digest=name).SerializeToString(), CONTENT_INFO_REQUEST))
    except Refused:
        return False
    return True


def pieces(octets: bytes, size: int = 1 << 20) -> list[bytes]:
    """Cut a blob into the messages of an answer."""
    cut = range(0, len(octets), size)
    return [Piece(offset=at, data=octets[at : at + size]).SerializeToString() for at in cut]


def read_through(readable: Readable, octets: bytes, messages: list[bytes] | None = None, **more: int) -> None:
    """Read a blob through the door; what passes must be what the daemon said."""
    reader = readable.read(asked(digest_of(octets), **more))
    if reader is not None:
        said = pieces(octets) if messages is None else messages
        assert [passed for message in said for passed in reader.feed(message)] == said
        assert reader.finish() == ()


def opened(readable: Readable, *numbers: int) -> list[int]:
    """Return which of some digests are open."""
    return [number for number in numbers if is_open(readable, digest(number))]


# --- what is open ---------------------------------------------------------------------------


def test_only_what_a_record_named_is_open() -> None:
    readable = Readable("team-a")
    readable.open([Blob(digest(1), IN_TOTO, 3), Blob("sha512:" + "0" * 128, IN_TOTO, 3), Blob("", "", 0)])

    assert opened(readable, 1, 2) == [1]


def test_whoever_reads_foreign_content_is_told_to_ask_for_the_record_whether_it_is_there_or_not() -> None:
    for refuse in (Readable("team-a").info, Readable("team-a").read):
        with pytest.raises(Refused) as refused:
            refuse(asked(digest(1)))

        assert refused.value.reason is Reason.CONTENT_FOREIGN
        assert f"tenant team-a asked about refers to the content {digest(1)}" in refused.value.public_text("1-1")


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "sha256:",
        digest(1)[:-1],
        digest(1) + "0",
        f" {digest(1)}",
        f"{digest(1)}\n",
        digest(1).upper(),
        f"sha256:{10:064X}",
        "a" * 64,
        f"sha512:{1:0128x}",
    ],
)
def test_a_digest_has_one_spelling(odd: str) -> None:
    readable = Readable("team-a")
    readable.open([Blob(odd, IN_TOTO, 3), Blob(digest(1), IN_TOTO, 3)])

    with pytest.raises(WireError, match="not sha256: and 64"):
        readable.info(asked(odd))
    with pytest.raises(WireError, match="not sha256: and 64"):
        readable.read(asked(odd))


@pytest.mark.parametrize("shapes", [CONTENT_INFO_REQUEST, CONTENT_READ_REQUEST])
def test_a_field_that_nobody_knows_is_refused(shapes: Any) -> None:
    with pytest.raises(UnknownField):
        Draft(b"\x20\x01", shapes)


def test_what_was_opened_first_is_forgotten_first_and_a_second_record_keeps_it() -> None:
    readable = Readable("team-a")
    readable.open(Blob(digest(number), IN_TOTO, 3) for number in range(MOST_DIGESTS))
    readable.open([Blob(digest(0), IN_TOTO, 3)])
    all_are_open = opened(readable, 0, 1, MOST_DIGESTS - 1)
    readable.open([Blob(digest(MOST_DIGESTS), IN_TOTO, 3)])

    assert all_are_open == [0, 1, MOST_DIGESTS - 1]
    assert opened(readable, 0, 1, 2, MOST_DIGESTS) == [0, 2, MOST_DIGESTS]


# --- what is told of a blob -----------------------------------------------------------------


def test_of_a_blob_its_digest_and_size_are_told() -> None:
    timestamp = message_class("Timestamp")(seconds=1)
    info = Info(digest=digest(1), size=7, created_at=timestamp, updated_at=timestamp, labels={"repo": "team-b/secret"})
    readable = Readable("team-a")
    readable.open([Blob(digest(1), IN_TOTO, 7)])
    reader = readable.info(asked(digest(1)))

    told = [
        InfoAnswer.FromString(each) for each in reader.feed(InfoAnswer(info=info).SerializeToString() + b"\x20\x01")
    ]

    assert told == [InfoAnswer(info=Info(digest=digest(1), size=7))]
    assert reader.finish() == ()


@pytest.mark.parametrize("odd", [b"\xff", b"\x0a\x02\x0a\x05", b"\x0a\x00\x0a\x00"])
def test_an_info_that_cannot_be_read_is_not_told(odd: bytes) -> None:
    readable = Readable("team-a")
    readable.open([Blob(digest(1), IN_TOTO, 7)])

    with pytest.raises(Refused) as refused:
        readable.info(asked(digest(1))).feed(odd)

    assert refused.value.reason is Reason.ANSWER_UNREADABLE


# --- what an index opens --------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
@pytest.mark.parametrize(("kind", "entry"), [(INDEX, MANIFEST), (DOCKER_INDEX, DOCKER_MANIFEST)])
def test_an_exported_index_that_was_read_opens_its_manifests(size: int, kind: str, entry: str) -> None:
    octets = index_of(manifest(1, entry), manifest(2, entry))
    readable = Readable("team-a")
    readable.open([exported(octets, kind)])
    before = opened(readable, 1, 2)
    read_through(readable, octets, pieces(octets, size), size=len(octets))

    assert before == []
    assert opened(readable, 1, 2, 3) == [1, 2]


def test_an_index_is_known_to_be_whole_before_its_answer_ends() -> None:
    octets = index_of(manifest(1))
    readable = Readable("team-a")
    readable.open([exported(octets)])
    reader = readable.read(asked(digest_of(octets)))
    assert reader is not None
    *first, last = pieces(octets, 100)
    for piece in first:
        reader.feed(piece)
    before = opened(readable, 1)
    reader.feed(last)

    assert (before, opened(readable, 1)) == ([], [1])


@pytest.mark.parametrize("kind", [IN_TOTO, MANIFEST, DOCKER_MANIFEST, "application/vnd.oci.image.config.v1+json", ""])
def test_what_is_no_index_by_the_record_opens_nothing_whatever_it_says(kind: str) -> None:
    octets = index_of(manifest(1))
    readable = Readable("team-a")
    readable.open([exported(octets, kind)])
    read_through(readable, octets)

    assert opened(readable, 1) == []


def test_an_attestation_that_calls_itself_an_index_opens_nothing() -> None:
    octets = index_of(manifest(1))
    readable = Readable("team-a")
    readable.open([Blob(digest_of(octets), INDEX, len(octets), is_exported=False)])
    read_through(readable, octets)

    assert opened(readable, 1) == []


def test_a_manifest_opens_no_layer_whatever_its_author_called_it() -> None:
    layers = [manifest(2, INDEX), manifest(3, MANIFEST), manifest(4, "application/vnd.oci.image.layer.v1.tar+gzip")]
    image = json.dumps({"mediaType": MANIFEST, "config": manifest(1), "layers": layers, "manifests": layers}).encode()
    index = index_of({"mediaType": MANIFEST, "digest": digest_of(image), "size": len(image)})
    readable = Readable("team-a")
    readable.open([exported(index)])
    read_through(readable, index)
    can_be_read = is_open(readable, digest_of(image))
    read_through(readable, image)

    assert can_be_read
    assert opened(readable, 1, 2, 3, 4) == []


@pytest.mark.parametrize(
    "kind", [INDEX, DOCKER_INDEX, IN_TOTO, "application/vnd.oci.image.layer.v1.tar", "", None, 3, [MANIFEST]]
)
def test_of_an_index_only_manifests_are_opened(kind: Any) -> None:
    octets = index_of(manifest(1), {"mediaType": kind, "digest": digest(2)})
    readable = Readable("team-a")
    readable.open([exported(octets)])
    read_through(readable, octets)

    assert opened(readable, 1, 2) == [1]


def test_an_index_within_an_index_is_not_followed() -> None:
    inner = index_of(manifest(1))
    outer = index_of({"mediaType": MANIFEST, "digest": digest_of(inner), "size": len(inner)})
    readable = Readable("team-a")
    readable.open([exported(outer)])
    read_through(readable, outer)
    read_through(readable, inner)

    assert opened(readable, 1) == []


def test_an_index_that_a_record_named_stays_one_whoever_else_names_it() -> None:
    octets = index_of(manifest(1))
    readable = Readable("team-a")
    readable.open([exported(octets), Blob(digest_of(octets), IN_TOTO, 3)])
    read_through(readable, octets)

    assert opened(readable, 1) == [1]


OCTETS = index_of(manifest(1))


@pytest.mark.parametrize(
    "messages",
    [
        [],
        pieces(OCTETS, 100)[:-1],
        pieces(OCTETS, 100)[1:],
        pieces(OCTETS, 100)[::-1],
        [*pieces(OCTETS, 100)[:1], *pieces(OCTETS, 100)],
        pieces(OCTETS[:-1] + b" "),
        pieces(OCTETS + b" "),
        [b"\xff", *pieces(OCTETS)],
        [Piece(offset=1, data=OCTETS).SerializeToString()],
        [Piece(data=OCTETS).SerializeToString() + Piece(data=OCTETS).SerializeToString()],
    ],
    ids=[
        "nothing",
        "no end",
        "no beginning",
        "order",
        "twice",
        "changed",
        "longer",
        "no message",
        "offset",
        "two data",
    ],
)
def test_what_is_not_the_index_whole_opens_nothing_and_passes(messages: list[bytes]) -> None:
    readable = Readable("team-a")
    readable.open([exported(OCTETS)])
    read_through(readable, OCTETS, messages)

    assert opened(readable, 1) == []


def test_a_part_of_an_index_opens_nothing() -> None:
    readable = Readable("team-a")
    readable.open([exported(OCTETS)])

    assert readable.read(asked(digest_of(OCTETS), offset=1)) is None


@given(
    st.recursive(
        st.none() | st.integers(0, 3) | st.sampled_from([MANIFEST, digest(1)]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["manifests", "mediaType", "digest", "x"]), inner, max_size=3)
        ),
    )
)
def test_what_is_odd_where_an_index_should_be_ends_nothing(value: Any) -> None:
    octets = json.dumps(value).encode() + b" "
    readable = Readable("team-a")
    readable.open([exported(octets)])

    read_through(readable, octets)


@pytest.mark.parametrize(
    "octets", [b"{", b"[" * 100_000, b'{"manifests": [' + b"[" * 100_000, b"\xff\xfe", b"9" * 5000]
)
def test_what_is_no_json_opens_nothing(octets: bytes) -> None:
    readable = Readable("team-a")
    readable.open([exported(octets)])

    read_through(readable, octets)


# --- what it costs --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "is_followed"), [(MOST_INDEX_OCTETS, True), (MOST_INDEX_OCTETS + 1, False), (0, False)]
)
def test_an_index_that_is_too_long_is_not_followed(octets: int, is_followed: bool) -> None:
    readable = Readable("team-a")
    readable.open([Blob(digest(1), INDEX, octets, is_exported=True)])

    assert (readable.read(asked(digest(1))) is not None) is is_followed


def test_of_many_indices_at_once_the_first_is_given_up() -> None:
    indices = [index_of(manifest(number)) for number in range(MOST_INDICES_AT_ONCE + 1)]
    readable = Readable("team-a")
    readable.open(map(exported, indices))
    readers = [readable.read(asked(digest_of(octets))) for octets in indices]
    for octets, reader in zip(indices, readers, strict=True):
        assert reader is not None
        assert reader.feed(pieces(octets)[0]) == (pieces(octets)[0],)

    assert opened(readable, *range(len(indices))) == list(range(1, len(indices)))
