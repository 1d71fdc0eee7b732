"""Two tenants build on one daemon. What it tells of them, in its own words, is parted between them.

The daemon is a real one, and is asked without a door: whatever it says of builds, of the
content they left and of its cache must be read, and be given to whom it belongs.
"""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.buildkit.content import CONTENT_READ_REQUEST, Blob, Readable
from proxy.buildkit.disk_usage import Totals
from proxy.buildkit.draft import Draft
from proxy.buildkit.history_answer import OwnHistory
from proxy.buildkit.history_request import LISTEN, name_listen
from proxy.buildkit.namespace import Namespace
from proxy.errors import Refused
from proxy.lab.engine import Engine
from proxy.reasons import Reason
from tests.helpers.bridge import bare
from tests.helpers.buildkit_proto import message_class
from tests.helpers.engine_calls import EngineCalls

RUN = secrets.token_hex(4)
OURS, THEIRS = Namespace(f"ours-{RUN}", b"key"), Namespace(f"theirs-{RUN}", b"key")
Event = message_class("BuildHistoryEvent")
Usage = message_class("DiskUsageResponse")
InfoAnswer = message_class("ContentInfoResponse")
Piece = message_class("ReadContentResponse")


class Opened(Readable):
    """What is open to a tenant, told in the order in which it was opened."""

    def __init__(self) -> None:
        super().__init__(OURS.tenant)
        self.blobs: list[Blob] = []

    def open(self, blobs: Any) -> None:
        """Note what is opened."""
        told = list(blobs)
        self.blobs += told
        super().open(told)


@pytest.fixture(scope="module")
def calls(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineCalls]:
    """The daemon, after two builds of ours and a later one of theirs."""
    with bare(engine.url, tmp_path_factory.mktemp("bare")) as endpoint:
        daemon = EngineCalls(endpoint)
        for number, names in enumerate((OURS, OURS, THEIRS)):
            daemon.build(names.ref(f"build{number}"), f"{names.tenant}-{number}")
        yield daemon
        daemon.close()


def own_events(calls: EngineCalls, readable: Readable, **request: Any) -> list[Any]:
    """Ask as our tenant, and return what it sees."""
    draft = Draft(message_class("BuildHistoryRequest")(early_exit=True, **request).SerializeToString(), LISTEN)
    name_listen(draft, OURS)
    history = OwnHistory(OURS, readable, restore_attrs=lambda attrs: attrs)
    return [Event.FromString(each) for event in calls.history(bytes(draft.encode())) for each in history.feed(event)]


def test_a_tenant_lists_its_own_builds_under_its_own_names(calls: EngineCalls) -> None:
    events = own_events(calls, Readable(OURS.tenant))

    assert {event.record.ref for event in events} == {"build0", "build1"}
    assert all(event.record.completed_at.seconds for event in events)


@pytest.mark.parametrize(("ref", "found"), [("build0", ["build0"]), ("build2", []), ("none", [])])
def test_a_tenant_finds_a_build_by_its_name_if_it_is_its_own(calls: EngineCalls, ref: str, found: list[str]) -> None:
    assert [event.record.ref for event in own_events(calls, Readable(OURS.tenant), ref=ref)] == found


def test_all_that_records_refer_to_is_there_and_is_as_long_as_they_say(calls: EngineCalls) -> None:
    readable = Opened()
    own_events(calls, readable)
    lengths = []
    for blob in readable.blobs:
        octets = message_class("ReadContentRequest")(digest=blob.digest).SerializeToString()
        request = Draft(octets, CONTENT_READ_REQUEST)
        (told,) = readable.info(request).feed(calls.info(octets))
        read = sum(len(Piece.FromString(each).data) for each in calls.read(octets))
        lengths.append((InfoAnswer.FromString(told).info.size, read))

    assert readable.blobs
    assert lengths == [(blob.octets, blob.octets) for blob in readable.blobs]


def test_foreign_content_is_there_for_whoever_asks_the_daemon_itself_and_not_open_to_us(calls: EngineCalls) -> None:
    ours, theirs = Opened(), Opened()
    own_events(calls, ours)
    history = OwnHistory(THEIRS, theirs, restore_attrs=lambda attrs: attrs)
    for event in calls.history(message_class("BuildHistoryRequest")(early_exit=True).SerializeToString()):
        history.feed(event)
    foreign = {blob.digest for blob in theirs.blobs} - {blob.digest for blob in ours.blobs}
    asked = [message_class("InfoRequest")(digest=digest).SerializeToString() for digest in foreign]

    assert asked
    assert all(InfoAnswer.FromString(calls.info(octets)).info.size for octets in asked)
    for octets in asked:
        with pytest.raises(Refused, match=Reason.CONTENT_FOREIGN.label):
            ours.info(Draft(octets, CONTENT_READ_REQUEST))


def test_the_totals_of_the_cache_are_the_daemons_and_say_nothing_of_it(calls: EngineCalls) -> None:
    answer = calls.disk_usage()
    (said,) = Totals().feed(answer)
    daemons, told = Usage.FromString(answer), Usage.FromString(said)

    assert f"mkdir /{THEIRS.tenant}-2" in {record.description for record in daemons.record}
    assert THEIRS.tenant.encode() not in said
    assert sum(record.size for record in told.record) == sum(max(record.size, 0) for record in daemons.record)


@pytest.mark.parametrize("limit", [1, 2, 9])
def test_what_a_tenant_asks_for_is_counted_without_the_builds_of_others(calls: EngineCalls, limit: int) -> None:
    newest_first = ["build1", "build0"]
    refs = [event.record.ref for event in own_events(calls, Readable(OURS.tenant), limit=limit)]

    assert refs == newest_first[:limit] or set(refs) == set(newest_first), "an older daemon has no limits"
