"""Payments' developers come with certificates, platform's CI jobs with tokens, to one address.

Each is counted for its own tenant. A token that is bad is refused, whatever else is right.
"""

import secrets
from pathlib import Path

from proxy.lab.client import Buildx
from proxy.lab.context import small
from proxy.reasons import Reason
from tests.conftest import NewBuilder
from tests.helpers.builders import Builder
from tests.helpers.credentials import People
from tests.helpers.door import Door
from tests.helpers.tokens import Issuer, token_door

BUILDS = "kilngate_builds_total"
PAYMENTS = {"tenant": "payments", "result": "success"}
PLATFORM = {"tenant": "platform", "result": "success"}


def test_each_build_belongs_to_the_tenant_of_its_caller(
    door: Door, new_builder: NewBuilder, people: People, issuer: Issuer, busybox: Path, tmp_path: Path
) -> None:
    payments, platform = door.metric(BUILDS, PAYMENTS), door.metric(BUILDS, PLATFORM)
    context = small(tmp_path / "context", busybox, secrets.token_hex())
    by_certificate = new_builder(door)
    by_token = Builder(by_certificate.buildx, "by-token")

    with token_door(tmp_path, door.address, people.ca, issuer.token()) as endpoint:
        by_token.buildx.create_builder(by_token.name, endpoint)
        ends = [builder.build(context) for builder in (by_certificate, by_token)]

    assert [done.returncode for done in ends] == [0, 0], ends
    door.wait_metric(BUILDS, PAYMENTS, lambda now: now == payments + 1)
    door.wait_metric(BUILDS, PLATFORM, lambda now: now == platform + 1)


def test_a_token_that_maps_to_nobody_is_refused_at_once(
    door: Door, buildx: Buildx, people: People, issuer: Issuer, busybox: Path, tmp_path: Path
) -> None:
    context = small(tmp_path / "context", busybox, "hello")

    with token_door(tmp_path, door.address, people.ca, issuer.token("ci:nobody")) as endpoint:
        buildx.create_builder("stranger", endpoint)
        done = Builder(buildx, "stranger").build(context, timeout_s=5)

    assert done.returncode == 1
    assert f"PermissionDenied: [KG-{Reason.NO_RULE_MATCHED.number}] " in done.stdout


def test_an_expired_token_is_refused_at_once(
    door: Door, buildx: Buildx, people: People, issuer: Issuer, busybox: Path, tmp_path: Path
) -> None:
    context = small(tmp_path / "context", busybox, "hello")
    long_ago = issuer.token(iat=1_700_000_000, exp=1_700_000_600)

    with token_door(tmp_path, door.address, people.ca, long_ago) as endpoint:
        buildx.create_builder("late", endpoint)
        done = Builder(buildx, "late").build(context, timeout_s=5)

    assert f"Unauthenticated: [KG-{Reason.TOKEN_EXPIRED.number}] " in done.stdout
