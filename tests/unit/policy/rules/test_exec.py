import pytest

from proxy.caller import Role
from proxy.errors import Refused
from tests.helpers.solves import policy


@pytest.mark.parametrize(("needed", "least"), [({}, Role.MAINTAINER), ({"role": "builder"}, Role.BUILDER)])
def test_a_container_in_a_running_build_is_for_a_role_and_those_above_it(needed: dict[str, str], least: Role) -> None:
    judging = policy(exec=needed, contact="#build-farm")

    for role in Role:
        if role >= least:
            assert judging.judge_exec(role).shadowed == ()
        else:
            with pytest.raises(Refused) as raised:
                judging.judge_exec(role)
            assert raised.value.detail == "policies.strict.exec.role"
            assert raised.value.public_text("7-1") == (
                f"[KG-418] a container in a running build needs the role {least.label}; you call as {role.label} "
                "(policy strict, exec.role). Build without debug, or ask #build-farm (ref 7-1)"
            )


def test_in_shadow_it_is_opened_and_counted() -> None:
    [shadowed] = policy(exec={"mode": "shadow"}).judge_exec(Role.BUILDER).shadowed

    assert (shadowed.rule, shadowed.reason.label) == ("exec", "policy-exec")
    assert shadowed.detail == "policies.strict.exec.role"
