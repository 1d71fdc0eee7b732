"""A developer asks for what the team's policy does not allow, and reads so in the terminal.

Stock buildx says some of it in its Solve and some through the bridge. Wherever it is
refused, the sentence must come through: with the rule, what is allowed, and whom to ask.
"""

import secrets
from pathlib import Path

import pytest

from proxy.lab.context import small
from proxy.reasons import Reason
from tests.conftest import NewBuilder, StartDoor

ASKED = {
    "an entitlement": (["--allow", "network.host"], Reason.POLICY_ENTITLEMENTS),
    "a push to a foreign name": (
        ["--output", "type=image,name=registry.example.com/evil/app,push=true"],
        Reason.POLICY_EXPORTERS,
    ),
    "a frontend of one's own": (
        ["--build-arg", "BUILDKIT_SYNTAX=evil.example.com/frontend:1"],
        Reason.POLICY_FRONTENDS,
    ),
    "a cache that the daemon would fetch by an address": (
        ["--cache-from", "type=s3,region=x,bucket=b,name=n,endpoint_url=http://169.254.169.254"],
        Reason.POLICY_CACHE,
    ),
}


@pytest.mark.parametrize("asked", ASKED)
def test_a_build_that_asks_for_more_than_its_policy_allows_ends_with_the_sentence(
    start_door: StartDoor, new_builder: NewBuilder, busybox: Path, tmp_path: Path, asked: str
) -> None:
    policy = {"exporters": {"names": ["registry.example.com/payments/*"]}, "contact": "#build-farm"}
    door = start_door(policies={"default": policy})
    builder = new_builder(door)
    arguments, reason = ASKED[asked]
    context = small(tmp_path / "context", busybox, secrets.token_hex())

    refused = builder.build(context, *arguments)
    allowed = builder.build(context)

    assert refused.returncode == 1
    assert f"[KG-{reason.number}] " in refused.stdout, refused.stdout
    assert "#build-farm" in refused.stdout
    assert allowed.returncode == 0, allowed.stdout
    assert door.metric("kilngate_requests_denied_total", {"tenant": "payments", "reason": reason.label}) >= 1
