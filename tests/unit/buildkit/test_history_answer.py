"""Of the history a tenant sees its own records, as if it had the daemon to itself."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.content import CONTENT_READ_REQUEST, Readable
from proxy.buildkit.draft import Draft
from proxy.buildkit.history_answer import Attrs, OwnHistory
from proxy.buildkit.namespace import Namespace
from proxy.errors import Refused
from proxy.reasons import Reason
from tests.helpers.buildkit_proto import message_class

NAMES = Namespace("team-a", b"key")
Event = message_class("BuildHistoryEvent")
Record = message_class("BuildHistoryRecord")
Descriptor = message_class("Descriptor")
Result = message_class("BuildResultInfo")
Status = message_class("RpcStatus")
Any_ = message_class("Any")
UNKNOWN = b"\x9a\x06\x03new"
INDEX = "application/vnd.oci.image.index.v1+json"


def without_ours(attrs: Attrs) -> Attrs:
    """Take out what a policy put in."""
    return {key: value for key, value in attrs.items() if not key.startswith("ours:")}


def history(readable: Readable | None = None, *, is_operator: bool = False) -> OwnHistory:
    """Return what one tenant sees."""
    return OwnHistory(NAMES, readable or Readable("team-a"), restore_attrs=without_ours, is_operator=is_operator)


def seen(event: Any, **options: Any) -> list[Any]:
    """Return the events that a tenant gets for one."""
    return [Event.FromString(each) for each in history(**options).feed(event.SerializeToString())]


def digest(number: int) -> str:
    """Return one of many digests."""
    return f"sha256:{number:064x}"


attributes = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
descriptors = st.builds(Descriptor, media_type=st.text(max_size=5), digest=st.text(max_size=5), size=st.integers(0, 9))
results = st.builds(
    Result,
    attestations=st.lists(descriptors, max_size=2),
    results=st.dictionaries(st.integers(0, 3), descriptors, max_size=2),
)
records = st.builds(
    Record,
    ref=st.sampled_from(["team-a.abc", "team-a.", "team-b.abc", "abc", "team-a", "team", ""]),
    frontend=st.text(max_size=3),
    frontend_attrs=attributes,
    exporter_response=attributes,
    error=st.none() | st.builds(Status, code=st.integers(0, 16), message=st.text(max_size=5)),
    logs=st.none() | descriptors,
    result=st.none() | results,
    results=st.dictionaries(st.text(max_size=3), results, max_size=2),
    trace=st.none() | descriptors,
    pinned=st.booleans(),
    num_total_steps=st.integers(0, 3),
)


@given(st.integers(0, 3), records)
def test_own_records_keep_everything_but_their_name_and_foreign_ones_are_dropped(kind: int, record: Any) -> None:
    expected = Record()
    expected.CopyFrom(record)
    expected.ref = record.ref.removeprefix("team-a.")
    own = [Event(type=kind, record=expected)] if record.ref.startswith("team-a.") else []

    assert seen(Event(type=kind, record=record)) == own


def test_an_event_without_a_record_is_nobodys() -> None:
    assert seen(Event(type=1)) == []
    assert history().finish() == ()


def test_fields_that_nobody_knows_keep_their_octets_and_their_place() -> None:
    record = b"\x9a\x06\x01x" + Record(ref="team-a.abc", num_total_steps=3).SerializeToString() + UNKNOWN
    event = UNKNOWN + b"\x08\x01\x12" + bytes([len(record)]) + record + UNKNOWN
    read = record.replace(b"\x0a\x0ateam-a.abc", b"\x0a\x03abc")

    assert history().feed(event) == (UNKNOWN + b"\x08\x01\x12" + bytes([len(read)]) + read + UNKNOWN,)


def test_what_kilngate_put_into_a_request_is_taken_out_of_its_record() -> None:
    attrs = {
        "build-arg:X": "1",
        "ours:hostname": "team-a",
        "local-sessionid:context": NAMES.session("s1"),
        "local-sessionid:odd": "somebody's",
        "label:team": "team-a.x",
    }
    (event,) = seen(Event(record=Record(ref="team-a.abc", frontend_attrs=attrs)))

    assert dict(event.record.frontend_attrs) == {
        "build-arg:X": "1",
        "local-sessionid:odd": "somebody's",
        "label:team": "team-a.x",
    }


def test_the_error_of_a_build_names_it_as_the_client_did() -> None:
    error = Status(code=5, message="no such job team-a.abc", details=[Any_(type_url="x", value=b"team-a.abc")])
    (event,) = seen(Event(record=Record(ref="team-a.abc", error=error)))
    error.message = "no such job abc"

    assert event.record.error == error


def test_an_operator_sees_the_records_of_others_as_they_are() -> None:
    other = Event(type=1, record=Record(ref="team-b.abc", frontend_attrs={"ours:x": "y"}))
    own = Event(type=1, record=Record(ref="team-a.abc"))

    assert seen(other, is_operator=True) == [other]
    assert seen(own, is_operator=True) == [Event(type=1, record=Record(ref="abc"))]


@pytest.mark.parametrize(
    "event",
    [
        b"\xff",
        b"\x12\x02\x0a\x05",
        b"\x12\x03\x0a\x01a\x12\x00",
        b"\x12\x06\x0a\x01a\x0a\x01a",
        b"\x12\x0e\x0a\x07team-a.\x1a\x03\x0a\x05a",
        b"\x12\x0e\x0a\x07team-a.\x2a\x03\x12\x05a",
        b"\x12\x0e\x0a\x07team-a.\x42\x03\x12\x05a",
    ],
    ids=["no message", "no record", "two records", "two refs", "attributes", "error", "descriptor"],
)
def test_an_event_that_cannot_be_read_ends_the_list(event: bytes) -> None:
    with pytest.raises(Refused) as refused:
        history().feed(event)

    assert refused.value.reason is Reason.ANSWER_UNREADABLE
    assert "Control/ListenBuildHistory" in refused.value.public_text("1-1")


# --- what records refer to ------------------------------------------------------------------


def everything(ref: str) -> Any:
    """Return a record that refers to ten blobs."""
    blobs = [Descriptor(media_type=INDEX, digest=digest(number), size=9) for number in range(10)]
    result = Result(result_deprecated=blobs[0], attestations=[blobs[1]], results={0: blobs[2], 1: blobs[3]})
    platform = Result(result_deprecated=blobs[4], attestations=[blobs[5]], results={0: blobs[6]})
    record = Record(ref=ref, logs=blobs[7], trace=blobs[8], external_error=blobs[9], result=result)
    record.results["linux/amd64"].CopyFrom(platform)
    return Event(record=record)


def is_open(readable: Readable, name: str) -> bool:
    """Tell whether the tenant may read `name`, and whether an index would be followed."""
    try:
        readable.info(asked(name))
    except Refused:
        return False
    return True


def asked(name: str) -> Draft:
    """Return a request for content."""
    return Draft(message_class("InfoRequest")(digest=name).SerializeToString(), CONTENT_READ_REQUEST)


def test_all_that_an_own_record_refers_to_is_open() -> None:
    readable = Readable("team-a")
    seen(everything("team-a.abc"), readable=readable)

    assert [is_open(readable, digest(number)) for number in range(11)] == [True] * 10 + [False]


def test_only_what_exporters_made_may_be_an_index() -> None:
    readable = Readable("team-a")
    seen(everything("team-a.abc"), readable=readable)

    followed = [number for number in range(10) if readable.read(asked(digest(number))) is not None]

    assert followed == [0, 2, 3, 4, 6]


@pytest.mark.parametrize("is_operator", [False, True])
def test_a_foreign_record_opens_nothing(is_operator: bool) -> None:
    readable = Readable("team-a")
    seen(everything("team-b.abc"), readable=readable, is_operator=is_operator)

    assert not any(is_open(readable, digest(number)) for number in range(10))
