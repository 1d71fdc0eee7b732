"""Limits of tenants, and what a caller is told."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from proxy.errors import Refused
from proxy.limits.permits import Permit
from proxy.limits.tenant import Limits, TenantLimits
from proxy.reasons import Reason

ONE = Limits(calls_per_second=2, burst=1, concurrent_builds=1, connections=1, streams=1)
TAKERS: dict[Reason, Callable[[TenantLimits, str], Permit]] = {
    Reason.BUILDS_LIMIT: TenantLimits.start_build,
    Reason.CONNECTIONS_LIMIT: TenantLimits.open_connection,
    Reason.STREAMS_LIMIT: TenantLimits.open_stream,
}


def test_too_many_calls_are_refused_with_limit_and_wait() -> None:
    limits = TenantLimits(ONE)
    limits.admit_call("payments", now_ns=0)

    with pytest.raises(Refused) as refused:
        limits.admit_call("payments", now_ns=100_000_000)

    assert refused.value.reason is Reason.RATE_LIMITED
    assert refused.value.retry_after_ns == 400_000_000
    assert refused.value.public_text("1-1") == (
        "[KG-301] tenant payments made more than 2 calls a second. Retry in 400 ms (limit calls_per_second) (ref 1-1)"
    )
    limits.admit_call("payments", now_ns=500_000_000)


@pytest.mark.parametrize("reason", TAKERS)
def test_too_much_at_once_is_refused_with_limit_and_value(reason: Reason) -> None:
    limits = TenantLimits(ONE)
    take = TAKERS[reason]
    permit = take(limits, "payments")

    with pytest.raises(Refused) as refused:
        take(limits, "payments")

    assert refused.value.reason is reason
    assert refused.value.facts == {"tenant": "payments", "value": 1, "limit": 1}
    assert "tenant payments" in refused.value.public_text("1-1")
    permit.give_back()
    take(limits, "payments")


@pytest.mark.parametrize("reason", TAKERS)
def test_one_tenant_never_uses_up_what_another_has(reason: Reason) -> None:
    limits = TenantLimits(ONE)

    TAKERS[reason](limits, "payments")
    TAKERS[reason](limits, "platform")


@pytest.mark.parametrize("reason", TAKERS)
def test_one_limit_does_not_count_for_another(reason: Reason) -> None:
    limits = TenantLimits(ONE)
    TAKERS[reason](limits, "payments")

    for other in TAKERS.keys() - {reason}:
        TAKERS[other](limits, "payments")


def test_a_tenant_may_have_limits_of_its_own() -> None:
    limits = TenantLimits(ONE, {"platform": Limits(concurrent_builds=2)})

    limits.start_build("platform")
    limits.start_build("platform")
    limits.start_build("payments")

    for tenant in ("platform", "payments"):
        with pytest.raises(Refused):
            limits.start_build(tenant)


def test_new_limits_count_what_is_in_use() -> None:
    limits = TenantLimits(ONE, {"platform": Limits(concurrent_builds=2)})
    permit = limits.start_build("payments")
    limits.start_build("platform")
    limits.admit_call("payments", now_ns=0)

    limits.reconfigure(Limits(calls_per_second=2, burst=1, concurrent_builds=2), {"platform": ONE})
    limits.start_build("payments")

    with pytest.raises(Refused):
        limits.start_build("payments")
    with pytest.raises(Refused):
        limits.start_build("platform")
    with pytest.raises(Refused):
        limits.admit_call("payments", now_ns=1)
    permit.give_back()
    limits.start_build("payments")


@pytest.mark.parametrize("reason", TAKERS)
def test_each_limit_can_be_changed(reason: Reason) -> None:
    limits = TenantLimits(ONE)
    TAKERS[reason](limits, "payments")

    limits.reconfigure(Limits(concurrent_builds=2, connections=2, streams=2))
    TAKERS[reason](limits, "payments")

    with pytest.raises(Refused):
        TAKERS[reason](limits, "payments")


def test_the_rate_can_be_changed() -> None:
    limits = TenantLimits(ONE)
    limits.admit_call("payments", now_ns=0)

    limits.reconfigure(Limits(calls_per_second=1000, burst=1000))

    for _ in range(500):
        limits.admit_call("payments", now_ns=0)


@pytest.mark.parametrize("field", ["calls_per_second", "burst", "concurrent_builds", "connections", "streams"])
def test_nothing_may_be_limited_to_nothing(field: str) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({field: 0})
