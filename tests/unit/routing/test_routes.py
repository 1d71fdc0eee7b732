import pytest

from proxy.buildkit.address import UpstreamAddress
from proxy.errors import Refused
from proxy.reasons import Reason
from proxy.routing.routes import Destination, EachTenant, OnDemand, Routes, Standing, Used
from proxy.routing.template import Template


def standing(path: str) -> Standing:
    return Standing(UpstreamAddress("unix", path), 0, "0.12.5")


TEMPLATE = Template(environment={})
DEFAULT, FAST = standing("/default"), standing("/fast")
TOGETHER = OnDemand("together", "", TEMPLATE, "0.12.5")
EACH = EachTenant("each", TEMPLATE, "0.12.5")
ROUTES = Routes(DEFAULT, {"a": FAST, "b": TOGETHER, "c": TOGETHER, "d": EACH, "e": EACH})


def test_a_tenant_without_a_pool_has_the_default() -> None:
    assert ROUTES.of("z") is DEFAULT


def test_a_tenant_has_the_daemon_of_its_pool() -> None:
    assert ROUTES.of("a") is FAST
    assert ROUTES.of("b") is ROUTES.of("c") is TOGETHER


def test_each_tenant_of_such_a_pool_has_a_daemon_of_its_own() -> None:
    first, second = ROUTES.of("d"), ROUTES.of("e")

    assert (first, second) == (OnDemand("each", "d", TEMPLATE, "0.12.5"), OnDemand("each", "e", TEMPLATE, "0.12.5"))
    assert first.address != second.address


def test_only_daemons_that_some_tenant_has_are_in_use() -> None:
    assert ROUTES.used_by(["b", "c", "d"]) == Used((), (TOGETHER, OnDemand("each", "d", TEMPLATE, "0.12.5")))
    assert ROUTES.used_by(["a", "z", "y"]) == Used((FAST, DEFAULT), ())


def test_one_socket_in_two_pools_is_one_daemon() -> None:
    assert Routes(DEFAULT, {"a": standing("/fast"), "b": FAST}).used_by("ab") == Used((FAST,), ())


def test_without_tenants_the_default_is_in_use() -> None:
    assert ROUTES.used_by([]) == Used((DEFAULT,), ())


def test_a_connection_leads_to_the_daemon_of_the_first_call_that_was_let_through() -> None:
    destination = Destination()
    destination.choose("a", ROUTES)
    destination.choose("a", ROUTES)

    assert (destination.tenant, destination.upstream) == ("a", FAST)


def test_another_tenant_with_the_same_daemon_may_come_along() -> None:
    destination = Destination()
    destination.choose("b", ROUTES)
    destination.choose("c", ROUTES)

    assert (destination.tenant, destination.upstream) == ("b", TOGETHER)


@pytest.mark.parametrize(("first", "second"), [("a", "z"), ("z", "a"), ("d", "e"), ("b", "d")])
def test_another_tenant_with_another_daemon_is_refused(first: str, second: str) -> None:
    destination = Destination()
    destination.choose(first, ROUTES)

    with pytest.raises(Refused) as refused:
        destination.choose(second, ROUTES)

    assert (refused.value.reason, refused.value.facts) == (Reason.OTHER_DAEMON, {"tenant": second})
    assert destination.tenant == first


def test_a_build_that_runs_keeps_its_daemon_when_a_reload_moves_its_tenant() -> None:
    destination = Destination()
    destination.choose("a", ROUTES)
    destination.choose("a", Routes(DEFAULT, {}))

    assert destination.upstream is FAST


def test_a_reload_that_changes_only_the_template_parts_nobody_from_a_daemon() -> None:
    destination = Destination()
    destination.choose("b", ROUTES)
    changed = OnDemand("together", "", Template(environment={}, idle_timeout="3s"), "0.12.5")  # type: ignore[arg-type]
    destination.choose("c", Routes(DEFAULT, {"c": changed}))

    assert destination.tenant == "b"
