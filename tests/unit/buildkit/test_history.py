"""The one history request that everybody may make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.history import asks_for_one_record, is_feature_probe
from tests.helpers.buildkit_proto import message_class

PROBE = message_class("BuildHistoryRequest")(active_only=True, ref="buildx-test-history-api-feature", early_exit=True)


def test_the_probe_of_buildx_is_known() -> None:
    assert is_feature_probe(PROBE.SerializeToString())


@pytest.mark.parametrize(
    "change",
    [
        {"active_only": False},
        {"early_exit": False},
        {"ref": ""},
        {"ref": "another"},
        {"filter": ["status==running"]},
        {"limit": 1},
    ],
    ids=str,
)
def test_any_other_request_is_not_the_probe(change: dict[str, object]) -> None:
    request = message_class("BuildHistoryRequest")()
    request.CopyFrom(PROBE)
    for name in change:
        request.ClearField(name)

    request.MergeFrom(message_class("BuildHistoryRequest")(**change))

    assert not is_feature_probe(request.SerializeToString())


@pytest.mark.parametrize("more", [b"\x12\x01a", b"\x12\x00", b"\x08\x01", b"\x92\x01\x00", b"\x08", b"\x12\x05a"])
def test_the_probe_and_more_is_not_the_probe(more: bytes) -> None:
    assert not is_feature_probe(PROBE.SerializeToString() + more)
    assert not is_feature_probe(more + PROBE.SerializeToString())


@given(st.binary(max_size=60))
def test_octets_are_judged_without_failing(octets: bytes) -> None:
    assert not is_feature_probe(octets)


def test_the_request_for_the_record_of_one_build_is_known() -> None:
    # As buildx 0.29.1 asks after a build with --metadata-file.
    request = message_class("BuildHistoryRequest")(ref="k3x0wzo2yhxqa3ddsxf4rjlcx", early_exit=True)

    assert asks_for_one_record(request.SerializeToString())


@pytest.mark.parametrize(
    "more",
    [
        {"early_exit": False},
        {"ref": ""},
        {"ref": "not an id"},
        {"active_only": True},
        {"filter": ["status==running"]},
        {"limit": 1},
    ],
    ids=str,
)
def test_a_request_for_more_than_one_record_is_another(more: dict[str, object]) -> None:
    request = message_class("BuildHistoryRequest")(**{"ref": "k3x0wzo2yhxqa3ddsxf4rjlcx", "early_exit": True, **more})

    assert not asks_for_one_record(request.SerializeToString())


@given(st.binary(max_size=60))
def test_octets_that_are_no_message_ask_for_nothing(octets: bytes) -> None:
    assert asks_for_one_record(octets) in (False, True)
    assert not asks_for_one_record(octets + b"\x12")
