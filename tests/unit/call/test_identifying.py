"""Who calls on a connection: judged once, and again when the proof or the settings change."""

import pytest

from proxy.call.identifying import Identifying
from proxy.caller import Caller
from proxy.errors import KeysNeeded, Refused
from proxy.limits.tenant import Limits
from proxy.reasons import Reason
from tests.helpers.talk import BADGES, Farm, somebody

BUILDER, RIVAL = (b"builder",), (b"rival",)


class Recounting(Farm):
    """A farm whose generations do not remember verdicts: what is asked is asked of the badges."""

    def reload(self, **callers: Caller) -> None:
        self.badges.callers = callers
        self.world.generation = self.generation(self.world.generation.number + 1)


def test_the_same_proof_is_judged_once() -> None:
    farm = Farm()
    identifying = Identifying(farm.world, None)
    callers = {identifying.caller(BUILDER) for _ in range(3)}

    assert callers == {BADGES["builder"]}
    assert farm.badges.asked == 1


def test_another_proof_is_judged_for_itself() -> None:
    identifying = Identifying(Farm().world, None)

    assert [identifying.caller(who).tenant for who in (BUILDER, RIVAL, BUILDER)] == ["payments", "rival", "payments"]
    assert identifying.tenant == "payments"


def test_a_proof_is_judged_again_when_it_ends() -> None:
    farm = Farm()
    farm.badges.callers["short"] = somebody(until_ns=farm.wall_ns + 10)
    identifying = Identifying(farm.world, None)
    identifying.caller((b"short",))
    farm.wall_ns += 9
    identifying.caller((b"short",))
    farm.wall_ns += 1

    with pytest.raises(Refused) as caught:
        identifying.caller((b"short",))

    assert caught.value.reason is Reason.TOKEN_EXPIRED


def test_a_reload_makes_a_caller_be_judged_again() -> None:
    farm = Recounting()
    identifying = Identifying(farm.world, None)
    identifying.caller(BUILDER)
    farm.reload()

    with pytest.raises(Refused):
        identifying.caller(BUILDER)


def test_a_refused_proof_leaves_nobody_proven() -> None:
    identifying = Identifying(Farm().world, None)
    identifying.caller(BUILDER)
    with pytest.raises(Refused):
        identifying.caller((b"forged",))

    assert identifying.last is None
    assert identifying.tenant == "payments"


def test_keys_that_are_needed_are_asked_for_each_time() -> None:
    farm = Farm()
    farm.badges.lacks_keys = True
    identifying = Identifying(farm.world, None)
    for _ in range(2):
        with pytest.raises(KeysNeeded):
            identifying.caller(BUILDER)
    farm.badges.lacks_keys = False

    assert identifying.caller(BUILDER).tenant == "payments"


def test_a_connection_counts_once_for_each_tenant_on_it() -> None:
    farm = Farm()
    identifying = Identifying(farm.world, None)
    for who in (BUILDER, RIVAL, BUILDER, RIVAL):
        identifying.caller(who)

    assert farm.counted.in_use == {"payments": (0, 1, 0), "rival": (0, 1, 0)}


@pytest.mark.parametrize("times", [1, 2])
def test_a_closed_connection_counts_no_more(times: int) -> None:
    farm = Farm()
    identifying = Identifying(farm.world, None)
    for who in (BUILDER, RIVAL):
        identifying.caller(who)
    for _ in range(times):
        identifying.close()

    assert farm.counted.in_use == {}


def test_a_connection_too_many_is_refused_each_time_it_asks() -> None:
    farm = Farm(limits=Limits(connections=1))
    first, second = Identifying(farm.world, None), Identifying(farm.world, None)
    first.caller(BUILDER)
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            second.caller(BUILDER)

        assert caught.value.reason is Reason.CONNECTIONS_LIMIT

    first.close()
    assert second.caller(BUILDER) == BADGES["builder"]
