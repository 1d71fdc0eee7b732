"""Source policies: which sources a build may use, as a daemon is told.

Of one policy the last rule that matches an identifier decides, ALLOW or DENY; without one
it is allowed. A rule CONVERT that changes a source starts everything anew with what it
became. So whatever a source becomes in the end has passed every rule.

Source: moby/buildkit sourcepolicy/pb/policy.proto, sourcepolicy/engine.go.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from proxy.buildkit.draft import Draft, encode_number, encode_octets
from proxy.buildkit.shapes import POLICY_RULE, SOURCE_POLICY
from proxy.buildkit.wire import WireError

_VERSION: Final = 1
_REGEX: Final = 2  # MatchType


class Action(IntEnum):
    """What a rule does with a source that it matches."""

    ALLOW = 0
    DENY = 1
    CONVERT = 2


def encode_policy(rules: Iterable[bytes | memoryview]) -> bytes:
    """Return a policy of rules, in order."""
    return encode_number(1, _VERSION) + b"".join(encode_octets(2, rule) for rule in rules)


def encode_rule(action: Action, regex: str) -> bytes:
    """Return a rule for the identifiers in which `regex` (RE2) finds something."""
    selector = encode_octets(1, regex.encode()) + encode_number(2, _REGEX)
    return (encode_number(1, action) if action else b"") + encode_octets(2, selector)


def read_policy(policy: bytes | memoryview) -> list[tuple[Action, memoryview]]:
    """Return action and octets of each rule, in order.

    Raises:
        UnknownField: a field that came later: nobody knows what such a rule does.
        WireError: it is no policy, or has an action that nobody knows.
    """
    rules = Draft(policy, SOURCE_POLICY).messages(2)
    return [(_action(Draft(rule, POLICY_RULE).number(1)), rule) for rule in rules]


def _action(number: int) -> Action:
    try:
        return Action(number)
    except ValueError:
        raise WireError(f"a source policy has a rule with the action {number}") from None
