"""Operations that are changed get new names, and so does all that builds upon them."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buildkit.draft import Draft, Octets, encode_octets
from proxy.buildkit.rehash import Rehashed, rekey
from proxy.buildkit.shapes import DEFINITION, OP
from proxy.buildkit.wire import WireError
from tests.helpers.buildkit_proto import message_class, octets_of
from tests.helpers.llb import by_the_runtime, digest, graphs, op, operations, source

any_graph = graphs(st.sampled_from(["a", "b"]), st.sampled_from(["", "h"]))
PLATFORM = encode_octets(1, b"arm64")


def read(octets: Octets) -> Draft:
    return Draft(octets, OP)


def to_arm(op: Draft) -> None:
    if op.has(10):
        op.set_messages(10, [PLATFORM])


def nothing(_: Draft) -> None:
    return


def runtime_to_arm(op: Any) -> None:
    if op.HasField("platform"):
        op.platform.Clear()
        op.platform.architecture = "arm64"


@given(any_graph)
def test_what_is_changed_is_what_the_runtime_would_have_written(graph: Any) -> None:
    rehashed = Rehashed(getattr(graph, "def"), read, to_arm)

    assert [bytes(one) for one in rehashed.steps] == list(getattr(by_the_runtime(graph, runtime_to_arm), "def"))


@given(any_graph, st.randoms(use_true_random=False))
def test_the_order_in_which_they_come_does_not_matter(graph: Any, chance: random.Random) -> None:
    steps = list(getattr(graph, "def"))
    expected = dict(zip(steps, Rehashed(steps, read, to_arm).steps, strict=True))
    chance.shuffle(steps)

    assert Rehashed(steps, read, to_arm).steps == [expected[one] for one in steps]


@given(any_graph)
def test_names_of_inputs_are_names_of_operations_still(graph: Any) -> None:
    steps = getattr(graph, "def")
    rehashed = Rehashed(steps, read, to_arm)

    names = {digest(bytes(one)) for one in rehashed.steps}
    upon = {edge.digest for one in rehashed.steps for edge in message_class("Op").FromString(one).inputs}
    assert upon <= names
    assert rehashed.digests == {
        digest(old): digest(bytes(new)) for old, new in zip(steps, rehashed.steps, strict=True) if old != new
    }


@given(any_graph)
def test_what_is_not_changed_keeps_octets_and_name(graph: Any) -> None:
    steps = list(getattr(graph, "def"))
    rehashed = Rehashed(steps, read, nothing)

    assert all(new is old for new, old in zip(rehashed.steps, steps, strict=True))
    assert rehashed.digests == {}


def test_an_input_that_is_missing_keeps_its_name() -> None:
    one = op(source("git://elsewhere"), file={"actions": [{}]})
    rehashed = Rehashed([octets_of(one)], read, to_arm)

    assert message_class("Op").FromString(rehashed.steps[0]).inputs == one.inputs


def test_an_operation_may_be_listed_twice() -> None:
    base = source()
    steps = [octets_of(one) for one in (base, base, op(base, file={"actions": [{}]}))]
    rehashed = Rehashed(steps, read, to_arm)

    assert rehashed.steps[0] == rehashed.steps[1]
    assert message_class("Op").FromString(rehashed.steps[2]).inputs[0].digest == digest(bytes(rehashed.steps[0]))


def test_a_long_chain_listed_backwards_is_read_twice_at_most() -> None:
    chain = [source()]
    for _ in range(300):
        chain.append(op(chain[-1], file={"actions": [{}]}))
    reads: list[Octets] = []

    def counting(octets: Octets) -> Draft:
        reads.append(octets)
        return read(octets)

    rehashed = Rehashed([octets_of(one) for one in reversed(chain)], counting, to_arm)

    assert len(rehashed.digests) == len(chain)
    assert len(reads) <= 2 * len(chain)


@given(any_graph)
def test_what_is_kept_by_name_follows(graph: Any) -> None:
    draft = Draft(octets_of(graph), DEFINITION)
    names = {key: f"new-{key}" for key in list(graph.metadata)[::2]}
    rekey(draft, 2, names)

    renamed = message_class("Definition").FromString(draft.encode())
    assert dict(renamed.metadata) == {names.get(key, key): value for key, value in graph.metadata.items()}
    assert operations(renamed) == operations(graph)


def test_of_operations_that_have_become_one_the_first_is_heard() -> None:
    entries = [
        encode_octets(2, encode_octets(1, key) + encode_octets(2, b"\x08\x01" * said))
        for key, said in ((b"a", 1), (b"b", 0))
    ]
    draft = Draft(b"".join(entries), DEFINITION)
    rekey(draft, 2, {"a": "c", "b": "c"})

    renamed = message_class("Definition").FromString(draft.encode())
    assert {key: value.ignore_cache for key, value in renamed.metadata.items()} == {"c": True}


def test_a_key_that_is_sent_twice_is_an_error() -> None:
    with pytest.raises(WireError, match="twice"):
        rekey(Draft(encode_octets(2, encode_octets(1, b"a")) * 2, DEFINITION), 2, {"a": "b"})
