"""The one history request that everybody may make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.history import is_feature_probe
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
