"""Heads, read once for each distinct one."""

import pytest

from proxy.buildkit.methods import BRIDGE_SOLVE, SESSION, SOLVE, Method
from proxy.buildkit.namespace import Namespace
from proxy.call.heads import BUILD_ID, MOST_REMEMBERED, SESSION_ID, SHARED_KEY, TRACE, Heads
from proxy.errors import Refused
from proxy.reasons import Reason
from tests.helpers.talk import KEY, Fields, head_of


def refused_head(fields: Fields) -> Refused:
    with pytest.raises(Refused) as caught:
        Heads().read(fields)
    assert caught.value.reason is Reason.REQUEST_MALFORMED
    return caught.value


def test_a_head_names_its_method_and_what_reaches_the_daemon() -> None:
    fields = head_of(SOLVE, (b"grpc-timeout", b"3S"))
    read = Heads().read((*fields, (b"authorization", b"Bearer x"), (b"x-kilngate-tenant", b"admins")))

    assert read.method is SOLVE
    assert read.authorization == (b"Bearer x",)
    assert read.forwarded == fields
    assert read.name == ""


def test_a_path_that_is_not_in_the_table_is_no_method() -> None:
    fields = tuple((name, b"/no/such" if name == b":path" else value) for name, value in head_of(SOLVE))

    assert Heads().read(fields).method is None


@pytest.mark.parametrize(("method", "field"), [(SESSION, SESSION_ID), (BRIDGE_SOLVE, BUILD_ID)])
class TestHeadsThatNameSomething:
    def test_the_name_is_read(self, method: Method, field: bytes) -> None:
        assert Heads().read(head_of(method, (field, b"abc"))).name == "abc"

    def test_none_is_refused(self, method: Method, field: bytes) -> None:
        assert f"{field.decode()} exactly once" in refused_head(head_of(method)).public_text("")

    def test_two_are_refused(self, method: Method, field: bytes) -> None:
        refused_head(head_of(method, (field, b"abc"), (field, b"abc")))

    @pytest.mark.parametrize("name", [b"", b"x:abc", b"a b", b"\xff", b"a" * 129])
    def test_a_name_that_no_client_makes_is_refused(self, method: Method, field: bytes, name: bytes) -> None:
        refused_head(head_of(method, (field, name)))


def test_a_head_without_a_secret_is_read_once() -> None:
    heads = Heads()

    assert heads.read(head_of(SOLVE)) is heads.read(head_of(SOLVE))


def test_a_head_with_a_secret_is_not_remembered() -> None:
    heads = Heads()
    fields = head_of(SOLVE, (b"authorization", b"Bearer x"))

    assert heads.read(fields) is not heads.read(fields)


def test_only_so_many_heads_are_remembered() -> None:
    heads = Heads()
    many = [head_of(SOLVE, (b"x-number", str(number).encode())) for number in range(MOST_REMEMBERED + 1)]
    first = [heads.read(fields) for fields in many]
    again = [heads.read(fields) for fields in many]

    assert all(one is other for one, other in zip(first[:-1], again[:-1], strict=True))
    assert first[-1] is not again[-1]


def test_a_head_that_http2_forbids_is_refused_again_and_again() -> None:
    heads = Heads()
    for _ in range(2):
        with pytest.raises(Refused):
            heads.read(head_of(SOLVE)[1:])


def test_a_trace_is_named_anew_and_what_an_environment_put_into_it_stays_here() -> None:
    trace = b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01"
    head = Heads().read(head_of(SOLVE, (TRACE, trace), (b"tracestate", b"k=token"), (b"baggage", b"k=v")))
    told, again = (dict(head.named(Namespace(tenant, KEY))) for tenant in ("payments", "rival"))

    assert told[TRACE][:3] + told[TRACE][35:] == trace[:3] + trace[35:]
    assert len({trace, told[TRACE], again[TRACE]}) == 3
    assert not {b"tracestate", b"baggage"} & told.keys()


@pytest.mark.parametrize("traces", [[b"01-odd"], [b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01"] * 2])
def test_a_trace_that_is_odd_is_not_passed_on(traces: list[bytes]) -> None:
    head = Heads().read(head_of(SOLVE, *((TRACE, trace) for trace in traces)))

    assert TRACE not in dict(head.named(Namespace("payments", KEY)))


def test_two_shared_keys_are_refused() -> None:
    refused_head(head_of(SESSION, (SESSION_ID, b"s"), (SHARED_KEY, b"a"), (SHARED_KEY, b"b")))
