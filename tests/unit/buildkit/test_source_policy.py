import pytest

from proxy.buildkit.draft import UnknownField, encode_number, encode_octets
from proxy.buildkit.source_policy import Action, encode_policy, encode_rule, read_policy
from proxy.buildkit.wire import WireError


def test_what_is_written_is_what_the_daemon_s_message_says() -> None:
    written = encode_policy([encode_rule(Action.DENY, ".*"), encode_rule(Action.ALLOW, "x")])

    # policy.proto: Policy{version=1, rules=2}; Rule{action=1, selector=2}; Selector{identifier=1, match_type=2 REGEX}
    assert (
        written.hex() == "0801" + "120a" + "0801" + "1206" + "0a022e2a" + "1002" + "1207" + "1205" + "0a0178" + "1002"
    )


def test_rules_are_read_in_order_and_no_action_is_allow() -> None:
    rules = [encode_rule(action, "x") for action in Action] + [b""]

    assert [action for action, _ in read_policy(encode_policy(rules))] == [*Action, Action.ALLOW]
    assert [bytes(octets) for _, octets in read_policy(encode_policy(rules))] == rules
    assert read_policy(b"") == []


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        (encode_octets(2, encode_number(1, 3)), WireError),
        (encode_octets(2, encode_number(4, 1)), UnknownField),
        (encode_number(3, 1), UnknownField),
        (encode_octets(2, b"\x08"), WireError),
    ],
)
def test_what_nobody_knows_is_told(policy: bytes, fault: type[Exception]) -> None:
    with pytest.raises(fault):
        read_policy(policy)
