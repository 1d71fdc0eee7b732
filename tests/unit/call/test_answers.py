"""Calls that kilngate answers itself."""

import pytest

from proxy.buildkit.methods import EXPORT, HEALTH, METHODS, Method
from proxy.call.answers import answer
from proxy.errors import Refused
from proxy.grpc.framing import MessageReader
from proxy.reasons import Reason


def health(name: str) -> Method:
    return METHODS[f"/{HEALTH}/{name}".encode()]


def unframed(octets: bytes) -> list[bytes]:
    reader = MessageReader(0)
    reader.feed(octets)
    reader.finish()
    return reader.messages


@pytest.mark.parametrize(("is_serving", "status"), [(True, 1), (False, 2)])
def test_check_tells_the_health_of_the_farm(is_serving: bool, status: int) -> None:
    assert unframed(answer(health("Check"), is_serving=is_serving)) == [bytes([0x08, status])]


@pytest.mark.parametrize(("is_serving", "status"), [(True, 1), (False, 2)])
def test_list_tells_the_same_of_the_farm_as_a_whole(is_serving: bool, status: int) -> None:
    # HealthListResponse.statuses[""] = HealthCheckResponse(status)
    entry = bytes([0x0A, 0x00, 0x12, 0x02, 0x08, status])

    assert unframed(answer(health("List"), is_serving=is_serving)) == [bytes([0x0A, len(entry)]) + entry]


def test_watch_is_not_offered() -> None:
    with pytest.raises(Refused) as caught:
        answer(health("Watch"), is_serving=True)

    assert caught.value.reason is Reason.METHOD_UNKNOWN


def test_spans_of_clients_are_taken_with_full_success() -> None:
    assert unframed(answer(EXPORT, is_serving=True)) == [b""]
