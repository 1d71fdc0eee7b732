"""Build definitions: what one asks for, and that it names nothing but the tenant's own when a daemon reads it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.draft import UnknownField, encode_number, encode_octets
from proxy.buildkit.llb import Facts, facts_of, rewritten
from proxy.buildkit.namespace import Namespace
from proxy.buildkit.wire import WireError
from proxy.errors import Refused
from proxy.reasons import Reason
from tests.helpers.buildkit_proto import message_class, octets_of
from tests.helpers.llb import by_the_runtime, cache, definition, graphs, op, operations, run, source

KEY = b"k" * 32
NAMES, FOREIGN = Namespace("payments", KEY), Namespace("platform", KEY)
S1, FOREIGN_S1 = NAMES.session("s1"), FOREIGN.session("s1")
UNKNOWN = encode_octets(99, b"new")
LARGEST = 16 << 20

some_names = st.sampled_from(["s1", S1, FOREIGN_S1, "payments.x", "platform.x", "payments", "platform", ""])
some_hostnames = st.sampled_from(["", "h", "payments", "platform", "h.payments", "h.platform"])
any_graph = graphs(some_names, some_hostnames)
"""Names are of the sort that may be session and cache id alike, so that one strategy makes both."""


def rewrite(given_: Any, names: Namespace = NAMES, *, separates_runs: bool = True) -> Any:
    """Return a definition, rewritten, as the runtime reads it."""
    octets = rewritten(octets_of(given_), names, separates_runs=separates_runs)
    return message_class("Definition").FromString(octets)


def expected_names(one: Any, *, separates_runs: bool) -> None:
    """Change an operation of the runtime as we say that we do."""
    if one.HasField("exec"):
        meta = one.exec.meta
        meta.ClearField("cgroup_parent")
        if separates_runs and meta.hostname != "payments" and not meta.hostname.endswith(".payments"):
            meta.hostname = f"{meta.hostname}.payments" if meta.hostname else "payments"
        for mount in one.exec.mounts:
            if mount.HasField("cache_opt") and not mount.cache_opt.id.startswith("payments"):
                mount.cache_opt.id = f"payments.{mount.cache_opt.id}" if mount.cache_opt.id else "payments"
    for key, value in list(one.source.attrs.items()) if one.HasField("source") else []:
        if key in ("local.session", "oci.session") and value:
            one.source.attrs[key] = NAMES.session(value)


@given(any_graph, st.booleans())
def test_a_definition_is_rewritten_as_the_runtime_would_do_it(graph: Any, separates_runs: bool) -> None:
    ours = rewrite(graph, separates_runs=separates_runs)

    assert ours == by_the_runtime(graph, lambda one: expected_names(one, separates_runs=separates_runs))


@given(any_graph)
def test_a_definition_that_was_rewritten_is_the_tenants_own(graph: Any) -> None:
    octets = rewritten(octets_of(graph), NAMES, separates_runs=True)

    assert rewritten(octets, NAMES, separates_runs=True) is octets


@given(any_graph)
def test_a_definition_of_another_tenant_is_not(graph: Any) -> None:
    octets = rewritten(octets_of(graph), FOREIGN, separates_runs=True)
    mine = operations(message_class("Definition").FromString(rewritten(octets, NAMES, separates_runs=True)))

    for one in mine:
        for key, value in one.source.attrs.items():
            assert not value or not key.endswith("session") or value.startswith("payments.")
        for mount in one.exec.mounts:
            assert not mount.HasField("cache_opt") or mount.cache_opt.id.startswith("payments")
        assert not one.HasField("exec") or one.exec.meta.hostname.split(".")[-1] == "payments"


def test_sessions_become_the_tenants() -> None:
    (local, layout), *_ = [
        operations(rewrite(definition(source("local://context", local_session="s1"), source(oci_session="s2"))))[:2]
    ]

    assert dict(local.source.attrs) == {"local.session": S1}
    assert dict(layout.source.attrs) == {"oci.session": NAMES.session("s2")}


@pytest.mark.parametrize(
    ("cache_id", "name"),
    [
        ("/root/.cache", "payments/root/.cache"),
        ("//root/.cache", "payments//root/.cache"),
        ("team/go", "payments.team/go"),
        ("go", "payments.go"),
        ("platform/go", "payments.platform/go"),
        ("payments/go", "payments/go"),
        ("payments.team/go", "payments.team/go"),
        ("payments", "payments"),
        ("paymentsx", "payments.paymentsx"),
        ("", "payments"),
    ],
)
def test_cache_mounts_become_the_tenants(cache_id: str, name: str) -> None:
    one, *_ = operations(rewrite(definition(run(mounts=(cache(cache_id), cache("same"))))))

    assert [mount.cache_opt.id for mount in one.exec.mounts] == ["", name, "payments.same"]
    assert not one.exec.mounts[0].HasField("cache_opt")


def test_no_step_chooses_its_cgroup() -> None:
    one, *_ = operations(rewrite(definition(run(meta={"cgroup_parent": "/system.slice"}))))

    assert one.exec.meta.cgroup_parent == ""
    assert list(one.exec.meta.args) == ["/bin/sh", "-c", "make"]


def test_results_of_steps_are_kept_apart_if_asked_for() -> None:
    graph = definition(run(meta={"hostname": "h"}), run())

    assert [one.exec.meta.hostname for one in operations(rewrite(graph))[:2]] == ["h.payments", "payments"]
    assert rewritten(octets_of(graph), NAMES, separates_runs=False) == octets_of(graph)


def test_network_and_security_are_left_for_others_to_judge() -> None:
    one, *_ = operations(rewrite(definition(run(network=1, security=1, cdi_devices=[{"name": "gpu"}]))))

    assert (one.exec.network, one.exec.security, one.exec.cdi_devices[0].name) == (1, 1, "gpu")


@pytest.mark.parametrize(
    "graph",
    [
        message_class("Definition")(),
        definition(source(), with_end=False),
        message_class("Definition")(**{"def": [octets_of(op(source()))]}),
        message_class("Definition")(**{"def": [b"", b""]}),
    ],
    ids=["empty", "one operation", "an input that is missing", "operations of no kind"],
)
def test_what_no_daemon_takes_is_left_to_the_daemon(graph: Any) -> None:
    octets = octets_of(graph)

    assert rewritten(octets, NAMES, separates_runs=True) is octets


def test_a_definition_within_a_source_map_is_nobodys_to_run() -> None:
    graph = definition(run())
    graph.source.infos[0].definition.CopyFrom(definition(source("local://x", local_session="s9")))

    assert rewrite(graph).source.infos == graph.source.infos


def test_a_definition_that_takes_another_from_its_files_is_refused() -> None:
    graph = definition(source(), op(source(), build={"builder": -1}))

    with pytest.raises(Refused) as refusal:
        rewrite(graph)
    assert refusal.value.reason is Reason.DEFINITION_NESTED
    assert facts_of(octets_of(graph)).has_nested_definition
    assert not facts_of(octets_of(definition(run()))).has_nested_definition


@pytest.mark.parametrize("takes_unknown", [True, False])
def test_an_operation_of_an_unknown_kind_never_passes(takes_unknown: bool) -> None:
    octets = encode_octets(1, octets_of(source())) + encode_octets(1, encode_octets(9, b"new"))

    for use in (facts_of, lambda *a, **k: rewritten(*a, NAMES, separates_runs=True, **k)):
        with pytest.raises(Refused) as refusal:
            use(octets, takes_unknown=takes_unknown)
        assert refusal.value.reason is Reason.DEFINITION_UNKNOWN_STEP
        assert refusal.value.facts == {"number": 9}


INSIDE = {
    "definition": (),
    "input": (1, 1),
    "run": (1, 2),
    "meta": (1, 2, 1),
    "mount": (1, 2, 2),
    "cache of a mount": (1, 2, 2, 20),
    "source": (1, 3),
}


@pytest.mark.parametrize("path", INSIDE.values(), ids=INSIDE)
def test_unknown_fields_are_refused_or_kept_octet_for_octet(path: tuple[int, ...]) -> None:
    octets = UNKNOWN
    for number in reversed(path):
        octets = encode_octets(number, octets)

    with pytest.raises(UnknownField):
        rewritten(octets, NAMES, separates_runs=True)
    assert UNKNOWN in rewritten(octets, NAMES, separates_runs=True, takes_unknown=True)


ODD = {
    "two kinds": encode_octets(1, encode_octets(3, b"") + encode_octets(4, b"")),
    "one kind twice": encode_octets(1, encode_octets(3, b"") * 2),
    "two metas": encode_octets(1, encode_octets(2, encode_octets(1, b"") * 2)),
    "two caches of a mount": encode_octets(1, encode_octets(2, encode_octets(2, encode_octets(20, b"") * 2))),
    "attribute twice": encode_octets(1, encode_octets(3, encode_octets(2, encode_octets(1, b"k")) * 2)),
    "two source maps": encode_octets(3, b"") * 2,
    "session that is none": encode_octets(1, octets_of(source(local_session="x:s1"))),
    "name of an operation twice": encode_octets(1, octets_of(run())) + encode_octets(2, encode_octets(1, b"k")) * 2,
    "location twice": encode_octets(1, octets_of(run())) + encode_octets(3, encode_octets(1, b"") * 2),
    "cut short": octets_of(definition(run()))[:-1],
    "operation cut short": encode_octets(1, octets_of(run())[:-1]),
}


@pytest.mark.parametrize("octets", ODD.values(), ids=ODD)
def test_what_could_be_read_in_two_ways_is_refused_always(octets: bytes) -> None:
    with pytest.raises(WireError) as refusal:
        rewritten(octets, NAMES, separates_runs=True, takes_unknown=True)
    assert not isinstance(refusal.value, UnknownField)


def test_a_hostname_that_leaves_no_room_for_the_tenants_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        rewrite(definition(run(meta={"hostname": "h" * 60})))
    assert refusal.value.reason is Reason.HOSTNAME_TOO_LONG


def test_texts_that_are_not_utf8_pass_where_nobody_judges_them() -> None:
    latin = run().SerializeToString().replace(b"make", b"m\xe4ke")
    octets = rewritten(encode_octets(1, latin), NAMES, separates_runs=True)

    assert b"m\xe4ke" in octets


def test_facts_are_told_once_each_and_as_they_are_written() -> None:
    graph = definition(
        source("docker-image://alpine"),
        source("git://a", local_session="s1"),
        source("docker-image://alpine"),
        run(network=2, mounts=(cache("/go"), cache("x"))),
        run(network=1, security=1, mounts=(cache("/go"),), cdi_devices=[{"name": "gpu"}, {"name": "gpu"}]),
        run(network=2),
    )

    facts = facts_of(octets_of(graph))
    assert facts == Facts(
        steps=7,
        sources=dict.fromkeys(["docker-image://alpine", "git://a"]),
        networks=dict.fromkeys([2, 1]),
        securities=dict.fromkeys([0, 1]),
        cache_ids=dict.fromkeys(["/go", "x"]),
        devices=dict.fromkeys(["gpu"]),
    )


def test_what_a_daemon_fetches_instead_of_a_source_is_a_source_too() -> None:
    facts = facts_of(octets_of(definition(source("git://github.com/a/b", git_fullurl="https://evil.example.com/x"))))

    assert list(facts.sources) == ["git://github.com/a/b", "git://evil.example.com/x"]


def test_nothing_is_asked_for_by_nothing() -> None:
    assert facts_of(b"") == Facts()


def test_a_network_that_a_daemon_would_cut_to_the_hosts_is_refused() -> None:
    octets = encode_octets(2, encode_number(3, (1 << 32) + 1))
    assert message_class("Op").FromString(octets).exec.network == 1

    with pytest.raises(WireError, match="no choice"):
        facts_of(encode_octets(1, octets))


@pytest.mark.parametrize(
    "octets",
    [
        encode_octets(1, b"") * (LARGEST // 2),
        encode_octets(1, encode_octets(2, encode_octets(2, b"") * (LARGEST // 4))),
        encode_octets(1, encode_octets(2, encode_octets(1, encode_octets(1, b"") * (LARGEST // 4)))),
        encode_octets(1, encode_octets(1, b"") * (LARGEST // 4)),
        encode_octets(1, encode_octets(3, encode_octets(2, b"") * (LARGEST // 4))),
        b"".join(encode_octets(1, encode_octets(2, encode_octets(2, encode_number(1, n)) * 1000)) for n in range(1000)),
        encode_octets(1, octets_of(run())) + encode_octets(2, b"") * (LARGEST // 4),
    ],
    ids=["operations", "mounts", "arguments", "inputs", "attributes", "mounts of many", "names"],
)
def test_a_definition_of_millions_of_fields_is_refused(octets: bytes) -> None:
    with pytest.raises(WireError, match=r"more than|twice"):
        rewritten(octets, NAMES, separates_runs=True)


def test_a_large_definition_of_few_operations_is_taken() -> None:
    octets = octets_of(definition(run(meta={"args": ["x" * (LARGEST - 2000)]})))

    assert len(rewritten(octets, NAMES, separates_runs=True)) - len(octets) < 100
