from typing import Any

import pytest

from proxy.buildkit.build_request import BuildRequest
from proxy.policy.rules.network import Config
from tests.helpers.solves import bridge, control, facts_with, judged, refusal

EITHER = pytest.mark.parametrize("request_of", [control, bridge])


@EITHER
@pytest.mark.parametrize("mode", ["host", "HOST", " none", "cni"])
def test_a_mode_that_is_not_listed_is_refused(request_of: Any, mode: str) -> None:
    assert refusal(request_of(frontend="dockerfile.v0", attrs={"force-network-mode": mode}))[0] == "network.modes"


@EITHER
@pytest.mark.parametrize("mode", ["", "none", "sandbox"])
def test_a_mode_that_is_listed_passes_as_it_is(request_of: Any, mode: str) -> None:
    request = request_of(frontend="dockerfile.v0", attrs={"force-network-mode": mode})

    judged(request)

    assert request.attrs["force-network-mode"] == mode


@EITHER
def test_a_step_of_a_definition_is_judged_like_the_attribute(request_of: Any) -> None:
    facts = [facts_with(networks=[0]), facts_with(networks=[2, 1])]

    setting, said = refusal(request_of(), facts)

    assert setting == "network.modes"
    assert "a step with the network mode host is not allowed" in said
    judged(request_of(), facts, network={"modes": ["host", "sandbox", "none"]})
    assert "network mode 3 is" in refusal(request_of(), [facts_with(networks=[0, 3])])[1]


@EITHER
def test_where_there_is_no_sandbox_a_build_that_chooses_nothing_gets_none(request_of: Any) -> None:
    request = request_of(frontend="dockerfile.v0")
    chosen = request_of(frontend="dockerfile.v0", attrs={"force-network-mode": "host"})
    without_frontend = request_of()

    judged(request, network={"modes": ["none"]})
    judged(chosen, network={"modes": ["none", "host"]})
    judged(without_frontend, network={"modes": ["none"]})

    assert request.attrs["force-network-mode"] == "none"
    assert chosen.attrs["force-network-mode"] == "host"
    assert without_frontend.attrs == {}


@EITHER
def test_hosts_are_added_only_where_they_may_be(request_of: Any) -> None:
    request = request_of(frontend="dockerfile.v0", attrs={"add-hosts": "registry=10.0.0.1"})

    judged(request)

    assert request.attrs["add-hosts"] == "registry=10.0.0.1"
    assert refusal(request, network={"add_hosts": False})[0] == "network.add_hosts"


def test_the_daemon_s_proxy_is_switched_on_for_the_whole_build() -> None:
    build, step = control(), bridge()

    judged(build, network={"proxy": True})
    judged(step, network={"proxy": True})

    assert BuildRequest(build.encode(), is_bridge=False).draft.flag(17)
    assert step.encode() == b""


def test_a_client_may_ask_for_the_proxy_itself() -> None:
    request = control(f17=True)

    judged(request)

    assert request.draft.flag(17)


def test_some_mode_must_be_left_for_builds_that_choose_none() -> None:
    with pytest.raises(ValueError, match="needs 'sandbox' or 'none'"):
        Config.model_validate({"modes": ["host"]})
