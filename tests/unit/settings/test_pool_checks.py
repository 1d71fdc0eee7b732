import pytest

from proxy.settings.checks import check
from proxy.settings.tree import read_tree

POOLS = "pools: {one: {url: 'unix:///one'}, all: {daemon: {}}, each: {daemon: {tenants_each: true}}}\n"


def told(text: str) -> list[tuple[str, str]]:
    """Return dotted path and sentence of each mistake."""
    found = check(read_tree(f"listen: {{address: 127.0.0.1:1}}\n{text}".encode()))
    return [(".".join(map(str, mistake.path)), mistake.what) for mistake in found]


def shared(tenants: str, pools: str = POOLS) -> list[str]:
    """Return the dedicated tenants that would share, with what is told."""
    return [f"{path.split('.')[1]}: {what}" for path, what in told(f"{pools}tenants: {tenants}\n")]


@pytest.mark.parametrize(
    "text",
    ["pools: 3\ntenants: 4", "tenants: {a: 3}", "pools: [a]\ntenants: {a: {pool: [b]}}", "pools: {a: {daemon: 3}}"],
)
def test_values_of_a_wrong_shape_are_left_to_others(text: str) -> None:
    assert told(text) == []


def test_a_tenant_may_name_only_pools_that_exist() -> None:
    assert told(f"{POOLS}tenants: {{a: {{pool: eahc}}, b: {{pool: nowhere}}, c: {{pool: each}}}}\n") == [
        ("tenants.a.pool", "unknown pool (got 'eahc'); did you mean 'each'?"),
        ("tenants.b.pool", "unknown pool (got 'nowhere'); add it to the block 'pools'"),
    ]


@pytest.mark.parametrize(
    "tenants",
    [
        "{a: {pool: each, isolation: dedicated}, b: {pool: each, isolation: dedicated}, c: }",
        "{a: {pool: one, isolation: dedicated}, b: {pool: all, isolation: dedicated}, c: }",
        "{a: {pool: one}, b: {pool: one}, c: {pool: all}, d: {pool: all}}",
    ],
)
def test_whoever_is_alone_may_be_dedicated(tenants: str) -> None:
    assert shared(tenants) == []


def test_a_dedicated_tenant_needs_a_pool_even_if_it_is_the_only_one() -> None:
    assert shared("{a: {isolation: dedicated}}") == [
        "a: a dedicated tenant has a pool of its own; expected 'pool' beside it"
    ]


def test_two_tenants_of_one_daemon_are_not_dedicated() -> None:
    assert shared("{a: {pool: one, isolation: dedicated}, b: {pool: one}, c: {pool: one}}") == [
        "a: 'b', 'c' would have the same daemon"
    ]
    assert shared("{a: {pool: all, isolation: dedicated}, b: {pool: all, isolation: dedicated}}") == [
        "a: 'b' would have the same daemon; expected tenants_each in that pool",
        "b: 'a' would have the same daemon; expected tenants_each in that pool",
    ]


@pytest.mark.parametrize("url", ["unix:///one", "docker:///one", "unix:///x/../one"])
def test_one_socket_is_one_daemon_under_whatever_name(url: str) -> None:
    pools = f"pools: {{one: {{url: 'unix:///one'}}, two: {{url: '{url}'}}}}\n"

    assert shared("{a: {pool: one, isolation: dedicated}, b: {pool: two}}", pools) == [
        "a: 'b' would have the same daemon"
    ]


def test_the_daemon_of_those_without_a_pool_is_shared_too() -> None:
    usual = "pools: {one: {url: 'unix:///run/buildkit/buildkitd.sock'}}\n"
    named = "upstream: {url: 'unix:///one'}\n" + POOLS

    assert shared("{a: {pool: one, isolation: dedicated}, b: }", usual) == ["a: 'b' would have the same daemon"]
    assert shared("{a: {pool: one, isolation: dedicated}, b: }", named) == ["a: 'b' would have the same daemon"]
    assert shared("{a: {pool: one, isolation: dedicated}, b: {pool: all}}", named) == []


def test_a_directory_in_which_no_socket_fits_is_told_once_for_each_daemon() -> None:
    pools = f"pools: {{p: {{daemon: {{directory: /{'x' * 79}, tenants_each: true}}}}}}\n"
    tenants = f"tenants: {{{'t' * 20}: {{pool: p}}, u: {{pool: p}}}}\n"

    [(path, what)] = told(pools + tenants)

    assert path == "pools.p.daemon"
    assert what.startswith(f"the path /{'x' * 79}/p.{'t' * 20}/run/daemon.sock is too long for a unix socket")
    assert told(pools.replace("tenants_each: true", "tenants_each: false") + tenants) == []
