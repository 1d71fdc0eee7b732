from typing import Any

import pytest

from proxy.buildkit.build_request import BuildRequest
from proxy.policy.rules.resources import Config
from tests.helpers.solves import bridge, control, judged, refusal

EITHER = pytest.mark.parametrize("request_of", [control, bridge])
GIB = 1 << 30


def lowered(given: dict[str, str], request_of: Any = bridge, **rules: Any) -> dict[str, str]:
    """Return the attributes that the daemon gets, without what other rules set."""
    request = request_of(frontend="dockerfile.v0", attrs=given)
    judged(request, resources=rules)
    attrs = BuildRequest(request.encode(), is_bridge=request.is_bridge).attrs
    return {key: value for key, value in attrs.items() if key != "cmdline"}


@EITHER
def test_without_limits_a_build_asks_for_what_it_likes(request_of: Any) -> None:
    asked = {"memory": "lots", "ulimit": "x", "cpuquota": "-1"}

    assert lowered(asked, request_of) == asked


@EITHER
def test_limits_are_set_where_a_build_sets_none(request_of: Any) -> None:
    rules = {
        "memory": "8GiB",
        "cpus": 2.5,
        "cpu_shares": 512,
        "cpuset_cpus": "0-3",
        "cpuset_mems": "0",
        "shm_size": "1GiB",
        "ulimits": {"nofile": 1024, "nproc": 100},
    }

    assert lowered({}, request_of, **rules) == {
        "memory": str(8 * GIB),
        "memswap": str(8 * GIB),
        "cpuperiod": "100000",
        "cpuquota": "250000",
        "cpushares": "512",
        "cpusetcpus": "0-3",
        "cpusetmems": "0",
        "ulimit": "nofile=1024:1024,nproc=100:100",
    }


@pytest.mark.parametrize(
    ("given", "memory", "swap"),
    [
        ({"memory": str(GIB)}, GIB, GIB),
        ({"memory": str(9 * GIB)}, 8 * GIB, 8 * GIB),
        ({"memory": "0"}, 8 * GIB, 8 * GIB),
        ({"memory": "-1"}, 8 * GIB, 8 * GIB),
        ({"memory": ""}, 8 * GIB, 8 * GIB),
        ({"memswap": "-1"}, 8 * GIB, 8 * GIB),
        ({"memory": str(GIB), "memswap": str(2 * GIB)}, GIB, GIB),
    ],
)
def test_memory_is_lowered_and_swap_is_not_a_way_around_it(given: dict[str, str], memory: int, swap: int) -> None:
    assert lowered(given, memory="8GiB") == {"memory": str(memory), "memswap": str(swap)}


def test_swap_may_have_a_limit_of_its_own() -> None:
    rules = {"memory": "8GiB", "memory_swap": "16GiB"}

    assert lowered({"memswap": str(10 * GIB)}, **rules) == {"memory": str(8 * GIB), "memswap": str(10 * GIB)}
    assert lowered({"memswap": "-1"}, **rules) == {"memory": str(8 * GIB), "memswap": str(16 * GIB)}
    assert Config.model_validate({"memory": "8GiB", "memory_swap": "8GiB"}).memory_swap == 8 * GIB
    for wrong in ({"memory_swap": "8GiB"}, {"memory": "8GiB", "memory_swap": "4GiB"}):
        with pytest.raises(ValueError, match="memory_swap counts memory too"):
            Config.model_validate(wrong)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"cpuquota": "100000"}, True),
        ({"cpuquota": "200000", "cpuperiod": "100000"}, True),
        ({"cpuquota": "20000", "cpuperiod": "10000"}, True),
        ({"cpuquota": "20001", "cpuperiod": "10000"}, False),
        ({"cpuquota": "200001"}, False),
        ({"cpuquota": "-1"}, False),
        ({"cpuquota": "0"}, False),
        ({"cpuquota": "1000", "cpuperiod": "-5"}, False),
        ({"cpuperiod": "1000000"}, False),
    ],
)
def test_time_is_compared_as_a_share_of_its_period(given: dict[str, str], kept: bool) -> None:
    assert lowered(given, cpus=2) == (given if kept else {"cpuperiod": "100000", "cpuquota": "200000"})


@pytest.mark.parametrize(("given", "sent"), [("100", "100"), ("513", "512"), ("0", "512"), ("", "512")])
def test_shares_are_lowered(given: str, sent: str) -> None:
    assert lowered({"cpushares": given}, cpu_shares=512) == {"cpushares": sent}


@pytest.mark.parametrize(("given", "sent"), [("1024", "1024"), ("2147483648", "1073741824"), ("-1", "1073741824")])
def test_shared_memory_is_lowered_only_if_asked_for(given: str, sent: str) -> None:
    assert lowered({"shm-size": given}, shm_size="1GiB") == {"shm-size": sent}
    assert lowered({}, shm_size="1GiB") == {}


def test_sets_are_the_policy_s_own() -> None:
    assert lowered({"cpusetcpus": "0-63", "cpusetmems": "1"}, cpuset_cpus="0-3") == {
        "cpusetcpus": "0-3",
        "cpusetmems": "1",
    }


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("nofile=10:20", "nofile=10:20"),
        ("nofile=10", "nofile=10:10"),
        ("nofile=10:2000", "nofile=10:1024"),
        ("nofile=-1", "nofile=1024:1024"),
        ("nofile=1025:-1", "nofile=1024:1024"),
        ("core=-1:-1,nofile=5", "nofile=5:5,core=-1:-1"),
    ],
)
def test_limits_of_processes_are_lowered_one_by_one(given: str, sent: str) -> None:
    assert lowered({"ulimit": given}, ulimits={"nofile": 1024}) == {"ulimit": sent}


@EITHER
@pytest.mark.parametrize(
    ("rules", "attr", "value"),
    [
        ({"memory": "8GiB"}, "memory", "1e9"),
        ({"memory": "8GiB"}, "memswap", " 1"),
        ({"cpus": 2}, "cpuquota", "0x10"),
        ({"cpus": 2}, "cpuperiod", "1_000"),
        ({"cpu_shares": 512}, "cpushares", "+1"),
        ({"shm_size": "1GiB"}, "shm-size", "9" * 19),
        ({"ulimits": {"nofile": 1}}, "ulimit", "nofile"),
        ({"ulimits": {"nofile": 1}}, "ulimit", "nofile=1:2:3"),
        ({"ulimits": {"nofile": 1}}, "ulimit", '"nofile=1",nproc=1'),
        ({"ulimits": {"nofile": 1}}, "ulimit", "nofile=\u0661"),
    ],
)
def test_what_cannot_be_compared_is_refused(request_of: Any, rules: dict[str, Any], attr: str, value: str) -> None:
    setting, said = refusal(request_of(frontend="dockerfile.v0", attrs={attr: value}), resources=rules)

    assert setting == f"resources.{next(iter(rules))}"
    assert "[KG-417] the limit" in said


@EITHER
def test_a_request_without_a_frontend_is_left_alone(request_of: Any) -> None:
    request = request_of(attrs={"filename": "Dockerfile"})

    judged(request, resources={"memory": "8GiB", "ulimits": {"nofile": 1}})

    assert request.attrs == {"filename": "Dockerfile"}


def test_in_shadow_nothing_is_lowered() -> None:
    asked = {"memory": str(9 * GIB)}

    assert lowered(asked, memory="8GiB", mode="shadow") == asked
