"""Disk usage for those who are no operators: the totals are right, and say nothing of anybody."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.disk_usage import USAGE_REQUEST, Totals, check_usage_request
from proxy.buildkit.draft import Draft, UnknownField
from proxy.errors import Refused
from proxy.reasons import Reason
from tests.helpers.buildkit_proto import message_class

Request = message_class("DiskUsageRequest")
Response = message_class("DiskUsageResponse")
Usage = message_class("UsageRecord")
Timestamp = message_class("Timestamp")

usages = st.builds(
    Usage,
    id=st.just("secret"),
    mutable=st.booleans(),
    in_use=st.booleans(),
    size=st.integers(0, 1 << 40) | st.just(-1),
    created_at=st.builds(Timestamp, seconds=st.integers(1, 9)),
    last_used_at=st.none() | st.builds(Timestamp, seconds=st.integers(1, 9)),
    usage_count=st.integers(0, 9),
    description=st.just("RUN secret"),
    record_type=st.just("secret"),
    shared=st.booleans(),
    parents=st.lists(st.just("secret"), max_size=2),
)


def printed(answer: Any) -> tuple[int, int, int]:
    """Return shared, reclaimable and total as buildx and buildctl work them out (sizes that are not known aside)."""
    sized = [record for record in answer.record if record.size > 0]
    return (
        sum(record.size for record in sized if record.shared),
        sum(record.size for record in sized if not record.in_use),
        sum(record.size for record in sized),
    )


def totals(octets: bytes) -> Any:
    """Return what a tenant gets."""
    (said,) = Totals().feed(octets)
    return Response.FromString(said)


@given(st.lists(usages, max_size=8))
def test_the_totals_are_those_of_all_records(records: list[Any]) -> None:
    answer = Response(record=records)
    told = totals(answer.SerializeToString() + b"\x7a\x06secret")

    assert printed(told) == printed(answer)
    assert len(told.record) == len({(record.in_use, record.shared) for record in records})
    assert b"secret" not in told.SerializeToString()


def test_a_sum_says_what_it_is_of() -> None:
    answer = Response(
        record=[
            Usage(size=1),
            Usage(size=2),
            Usage(in_use=True, size=4),
            Usage(shared=True),
            Usage(in_use=True, shared=True),
        ]
    )

    assert list(totals(answer.SerializeToString()).record) == [
        Usage(id="reclaimable", size=3, description="records of the whole farm: 2"),
        Usage(id="reclaimable-shared", shared=True, description="records of the whole farm: 1"),
        Usage(id="in-use", in_use=True, size=4, description="records of the whole farm: 1"),
        Usage(id="in-use-shared", in_use=True, shared=True, description="records of the whole farm: 1"),
    ]
    assert Totals().finish() == ()


def test_an_empty_cache_has_no_sums() -> None:
    assert totals(b"") == Response()


@pytest.mark.parametrize("odd", [b"\xff", b"\x0a\x05", b"\x0a\x01\xff", b"\x08\x01", b"\x0a\x02\x22\x00"])
def test_an_answer_that_cannot_be_read_is_not_told(odd: bytes) -> None:
    with pytest.raises(Refused) as refused:
        Totals().feed(odd)

    assert refused.value.reason is Reason.ANSWER_UNREADABLE


@pytest.mark.parametrize("filters", [[], [""]])
def test_everything_may_be_asked_for(filters: list[str]) -> None:
    check_usage_request(Draft(Request(filter=filters).SerializeToString(), USAGE_REQUEST))


@pytest.mark.parametrize(
    "choice", [{"filter": ["description~=secret"]}, {"filter": ["", "type==regular"]}, {"age_limit": 1}], ids=str
)
def test_sums_of_records_that_one_chooses_are_for_operators(choice: Any) -> None:
    with pytest.raises(Refused) as refused:
        check_usage_request(Draft(Request(**choice).SerializeToString(), USAGE_REQUEST))

    assert "needs the role admin" in refused.value.public_text("1-1")


def test_a_field_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UnknownField):
        Draft(b"\x18\x01", USAGE_REQUEST)
