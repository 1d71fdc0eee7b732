"""A CI job or a person has a token, openssl and curl, and stock buildx; nobody stored a secret anywhere.

The token is exchanged for a short-lived certificate at the port that builds use. A job's token
counts once, so that who reads it later gets nothing. The certificate is whom the token was: the same
tenant and role, without a second set of rules.
"""

import secrets
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from proxy.lab.context import small
from proxy.reasons import Reason
from tests.conftest import NewBuilder, StartDoor
from tests.helpers.credentials import People
from tests.helpers.door import Door
from tests.helpers.exchange import DONE, exchange, rule, token_of
from tests.helpers.tokens import Issuer

WHO = {
    "github": ("payments", "ci", "acme/payments@refs/heads/main", "github/main"),
    "gitlab": ("platform", "ci", "acme/payments@main", "gitlab/protected"),
    "people": ("payments", "person", "alice@farm.test", "staff/staff"),
}


@pytest.fixture(scope="module")
def farm(issuing: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door that issues certificates."""
    directory = tmp_path_factory.mktemp("issuing")
    running = Door(directory, {**issuing, "store": {"file": str(directory / "store.db")}})
    yield running
    running.stop()


@pytest.mark.parametrize("name", WHO)
def test_a_job_or_a_person_builds_with_a_certificate_for_its_token(
    farm: Door,
    new_builder: NewBuilder,
    people: People,
    issuers: dict[str, Issuer],
    busybox: Path,
    tmp_path: Path,
    name: str,
) -> None:
    tenant, kind, subject, named = WHO[name]
    builds = farm.metric("kilngate_builds_total", {"tenant": tenant, "result": "success"})
    issued = farm.metric("kilngate_certificates_issued_total", {"tenant": tenant, "kind": kind})

    exchanged = exchange(tmp_path / name, farm.address, people.ca, token_of(name, issuers[name]))
    assert exchanged.status == DONE, exchanged.text
    done = new_builder(farm, exchanged.shown).build(small(tmp_path / "context", busybox, secrets.token_hex()))

    assert done.returncode == 0, done.stdout
    farm.wait_metric("kilngate_builds_total", {"tenant": tenant, "result": "success"}, lambda now: now == builds + 1)
    assert farm.metric("kilngate_certificates_issued_total", {"tenant": tenant, "kind": kind}) == issued + 1
    made, built = (farm.wait_audited(event, subject)[-1] for event in ("certificate-issued", "build-ended"))
    assert (made["tenant"], made["what"]["kind"]) == (tenant, kind)
    assert (built["tenant"], built["who"]["rule"]) == (tenant, named)


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_a_job_s_token_is_exchanged_once_only(
    farm: Door, people: People, issuers: dict[str, Issuer], tmp_path: Path, name: str
) -> None:
    token = token_of(name, issuers[name])
    first = exchange(tmp_path / "first", farm.address, people.ca, token)

    again = exchange(tmp_path / "again", farm.address, people.ca, token)

    assert (first.status, again.status) == (DONE, 401)
    assert again.code == f"KG-{Reason.TOKEN_USED.number}"


def test_a_restart_does_not_give_a_used_token_back(
    start_door: StartDoor, issuing: dict[str, Any], people: People, issuers: dict[str, Issuer], tmp_path: Path
) -> None:
    door = start_door(**issuing, store={"file": str(tmp_path / "store.db")})
    token = token_of("github", issuers["github"])
    first = exchange(tmp_path / "first", door.address, people.ca, token)

    door.restart()
    again = exchange(tmp_path / "again", door.address, people.ca, token)

    assert (first.status, again.status) == (DONE, 401)
    assert again.code == f"KG-{Reason.TOKEN_USED.number}"


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("github", {"repository_id": "778"}, Reason.NO_RULE_MATCHED),
        ("github", {"ref": "refs/pull/7/merge"}, Reason.NO_RULE_MATCHED),
        ("gitlab", {"ref_protected": "false"}, Reason.NO_RULE_MATCHED),
        ("people", {"aud": "https://elsewhere.test"}, Reason.TOKEN_WRONG_AUDIENCE),
        ("people", {"exp": 1_700_000_600, "iat": 1_700_000_000}, Reason.TOKEN_EXPIRED),
    ],
)
def test_who_may_not_build_gets_no_certificate(
    farm: Door,
    people: People,
    issuers: dict[str, Issuer],
    tmp_path: Path,
    name: str,
    changes: dict[str, object],
    reason: Reason,
) -> None:
    exchanged = exchange(tmp_path, farm.address, people.ca, token_of(name, issuers[name], **changes))

    assert (exchanged.status, exchanged.code) == (reason.http_status, f"KG-{reason.number}")


def test_a_pull_request_keeps_the_policy_of_its_rule(
    start_door: StartDoor,
    newest_builder: NewBuilder,
    issuing: dict[str, Any],
    people: People,
    issuers: dict[str, Issuer],
    busybox: Path,
    tmp_path: Path,
) -> None:
    forks = {**rule("forks", "payments", repository_id="777", event_name="pull_request"), "policy": "untrusted"}
    auth = deepcopy(issuing["auth"])
    auth[1]["rules"].insert(0, forks)
    policies = {"untrusted": {"exporters": {"types": ["local"]}}}
    door = start_door(**{**issuing, "auth": auth, "policies": policies})
    context = small(tmp_path / "context", busybox, secrets.token_hex())
    builders = [
        newest_builder(door, exchange(tmp_path / event, door.address, people.ca, token).shown)
        for event in ("push", "pull_request")
        for token in [token_of("github", issuers["github"], event_name=event)]
    ]

    ends = [builder.build(context, f"--output=type=tar,dest={tmp_path}/{builder.name}.tar") for builder in builders]

    assert [done.returncode for done in ends] == [0, 1], ends
    assert f"[KG-{Reason.POLICY_EXPORTERS.number}]" in ends[1].stdout
    assert "policy untrusted" in ends[1].stdout
