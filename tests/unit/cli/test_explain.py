"""`kilngate explain`: the verdict that a call would get, and why."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from proxy.cli import main
from proxy.cli.exits import CONFIG, FAILED, OK, USAGE
from proxy.issuer.records import Exchange, Target
from proxy.issuer.records import Issued as RecordOfIssued
from proxy.policy.engine import Policy
from proxy.policy.settings import PolicySettings
from proxy.store.sqlite import SqliteStore
from tests.helpers.certificates import DAY, SERVER_AUTH, Authority, Issued, uri
from tests.helpers.issuer import Fault, issuer_in_thread
from tests.helpers.issuing import issued_by
from tests.helpers.signing import AUDIENCE, claims, key_set, new_key

ISSUER = "https://issuer.example.com"
KEY = new_key()
AUTHORITY = Authority.create("Farm CA")
ALICE = uri("spiffe://farm.example/payments/alice")
MTLS = {
    "type": "mtls",
    "name": "people",
    "ca_file": "ca.pem",
    "rules": [{"name": "team", "match": {"uri": "spiffe://farm.example/payments/*"}, "tenant": "payments"}],
}
JWT = {
    "type": "jwt",
    "name": "ci",
    "preset": "generic",
    "issuer": ISSUER,
    "audiences": [AUDIENCE],
    "jwks": {"inline": key_set(KEY)},
    "rules": [
        {"name": "robots", "match": {"sub": "robot-*", "team": "a"}, "tenant": "payments", "role": "maintainer"},
        {"name": "strangers", "match": {"sub": "stranger-*"}, "tenant": "payments", "policy": "default"},
    ],
}
POLICY: dict[str, Any] = {"exporters": {"types": ["local"], "push": False}}

Explain = Callable[..., Result]


@pytest.fixture
def explain(tmp_path: Path) -> Explain:
    """Run `kilngate explain` with certificates, tokens and settings given as octets and mappings."""
    AUTHORITY.server("farm.example").write(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.pem)
    settings: dict[str, Any] = {
        "tls": {"certificate_file": "server.pem", "key_file": "server.key"},
        "tenants": {"payments": {"policy": "strict"}},
        "policies": {"strict": POLICY},
    }

    def run(*arguments: str, certificate: bytes = b"", token: str = "", **method: Any) -> Result:
        given = [MTLS, {**JWT, **method}]
        (tmp_path / "kilngate.yaml").write_text(json.dumps({**settings, "auth": given}))
        line = ["explain", "--config", str(tmp_path / "kilngate.yaml"), *arguments]
        for option, octets in (("--certificate", certificate), ("--token-file", token.encode())):
            if octets:
                (tmp_path / option).write_bytes(octets)
                line += [option, str(tmp_path / option)]
        return CliRunner().invoke(main, line)

    return run


def token(**changes: object) -> str:
    said: dict[str, object] = {"sub": "robot-7", "team": "a"}
    return KEY.sign(claims(ISSUER, int(time.time()), **(said | changes)))


def test_a_certificate_that_is_let_in_shows_its_rule(explain: Explain) -> None:
    result = explain(certificate=AUTHORITY.issue(ALICE).pem)

    assert result.exit_code == OK
    assert result.stdout.splitlines() == [
        "let in",
        "  subject:   spiffe://farm.example/payments/alice",
        "  method:    people",
        "  rule:      team",
        "  tenant:    payments",
        "  role:      builder",
        "  policy:    strict",
        "  holds for: 24 h",
        "rules",
        "  people: rule team matches: tenant payments, role builder, policy strict",
        "builds",
        *(f"  {line}" for line in Policy("strict", PolicySettings(**POLICY)).lines()),
    ]
    assert "  exporters: local; no push" in result.stdout


def test_a_token_that_is_let_in_shows_its_rule_and_never_itself(explain: Explain) -> None:
    shown = token()
    result = explain(token=shown + "\n")

    assert result.exit_code == OK
    assert "  rule:      robots" in result.stdout
    assert "  role:      maintainer" in result.stdout
    assert not any(part in result.output for part in shown.split("."))


def test_a_rule_s_own_policy_comes_before_its_tenant_s(explain: Explain) -> None:
    by_tenant, by_rule = (
        json.loads(explain("-o", "json", token=token(sub=sub)).stdout) for sub in ("robot-7", "stranger-1")
    )

    assert (by_tenant["policy"], by_rule["policy"]) == ("strict", "default")
    assert "exporters: local; no push" in by_tenant["builds"]
    assert "exporters: local; no push" not in by_rule["builds"]


def test_a_token_that_almost_matches_shows_what_was_missing(explain: Explain) -> None:
    result = explain(token=token(team="b"))

    assert result.exit_code == FAILED
    assert result.stdout.splitlines() == [
        "refused",
        "  reason:    no-rule-matched",
        "  refused:   [KG-110] robot-7 is known but belongs to no tenant of this farm. "
        "Ask whoever runs this farm for a mapping rule",
        "  detail:    ci: nearest rule robots: not as wanted: team",
        "rules",
        "  ci: no rule matches",
        "  ci: rule robots (tenant payments): 1 of 2 conditions hold",
        "  ci:   team is 'b', not 'a'",
        "  ci: rule strangers (tenant payments): 0 of 1 conditions hold",
        "  ci:   sub is 'robot-7', not 'stranger-*'",
    ]


def test_a_token_that_has_expired_still_shows_which_rule_it_would_match(explain: Explain) -> None:
    now = int(time.time())
    result = explain(token=token(iat=now - 900, exp=now - 600))

    assert result.exit_code == FAILED
    assert "[KG-121] the token expired 10 min ago" in result.stdout
    assert "ci: rule robots matches: tenant payments, role maintainer" in result.stdout


INTERMEDIATE = AUTHORITY.intermediate()
REFUSED = {
    "expired": (AUTHORITY.issue(ALICE, begins=-2 * DAY, ends=-DAY).pem, "certificate-expired"),
    "not yet valid": (AUTHORITY.issue(ALICE, begins=DAY, ends=2 * DAY).pem, "certificate-not-yet-valid"),
    "a server's": (AUTHORITY.issue(ALICE, purposes=[SERVER_AUTH]).pem, "certificate-wrong-purpose"),
    "of a stranger": (Authority.create("Farm CA").issue(ALICE).pem, "certificate-unknown-ca"),
    "without its intermediate": (
        INTERMEDIATE.issue(ALICE).pem.split(b"-----END CERTIFICATE-----\n")[0] + b"-----END CERTIFICATE-----\n",
        "certificate-unknown-ca",
    ),
    "below a constraint that forbids it": (
        AUTHORITY.intermediate(path_length=0).intermediate("Too Deep").issue(ALICE).pem,
        "certificate-invalid",
    ),
    "of another team": (AUTHORITY.issue(uri("spiffe://farm.example/other/bob")).pem, "no-rule-matched"),
}


@pytest.mark.parametrize(("pem", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_certificate_is_refused_as_a_call_would_be(explain: Explain, pem: bytes, reason: str) -> None:
    result = explain("-o", "json", certificate=pem)

    assert result.exit_code == FAILED
    assert json.loads(result.stdout)["reason"] == reason


def test_a_chain_is_followed_up_to_the_trusted_authority(explain: Explain) -> None:
    result = explain("-o", "json", certificate=INTERMEDIATE.intermediate("Deeper").issue(ALICE).pem)

    assert result.exit_code == OK
    assert json.loads(result.stdout)["tenant"] == "payments"


def test_a_certificate_and_a_token_are_judged_together(explain: Explain) -> None:
    good = explain("-o", "json", certificate=AUTHORITY.issue(ALICE).pem, token=token())
    bad = explain("-o", "json", certificate=AUTHORITY.issue(ALICE).pem, token=token(aud="other"))

    assert json.loads(good.stdout)["subject"] == "robot-7"
    assert json.loads(bad.stdout)["reason"] == "token-wrong-audience"


@pytest.mark.parametrize("text", ["no token", "x" * 40_000, "a.b.c"])
def test_a_file_without_a_token_is_refused_as_the_listener_would(explain: Explain, text: str) -> None:
    result = explain(token=text)

    assert result.exit_code == FAILED
    assert "[KG-120]" in result.stdout
    assert "no method here takes what was shown" in result.stdout


def test_keys_are_fetched_when_they_are_needed(explain: Explain) -> None:
    with issuer_in_thread(KEY) as issuer:
        result = explain(token=issuer.token(sub="robot-7", team="a"), issuer=issuer.url, jwks={})

    assert result.exit_code == OK


def test_keys_that_cannot_be_fetched_are_told_with_the_reason(explain: Explain) -> None:
    with issuer_in_thread(KEY) as issuer:
        issuer.fault = Fault.STATUS_500
        result = explain(token=issuer.token(sub="robot-7", team="a"), issuer=issuer.url, jwks={})

    assert result.exit_code == FAILED
    assert "the answer is 500, not 200" in result.stderr
    assert "[KG-129]" in result.stdout


def test_something_must_be_shown(explain: Explain) -> None:
    assert explain().exit_code == USAGE


def test_a_file_that_is_no_certificate_is_named(explain: Explain) -> None:
    result = explain(certificate=b"-----BEGIN NOTHING-----")

    assert result.exit_code == FAILED
    assert "holds no certificate in PEM form" in result.stderr


def test_settings_with_a_mistake_are_refused_first(explain: Explain) -> None:
    assert explain(token=token(), audiences=[]).exit_code == CONFIG


# --- certificates that kilngate issued -------------------------------------------------------


def issuing_farm(home: Path) -> tuple[Path, Path]:
    """Return settings of a farm that issues certificates, and a certificate that it could have issued."""
    issuer = AUTHORITY.intermediate("Issuer")
    AUTHORITY.server("farm.test").write(home, "server")
    Issued(issuer.certificate, issuer.key).write(home, "issuer")
    (home / "ca.pem").write_bytes(AUTHORITY.pem)
    alice = issued_by(issuer).write(home, "alice")[0]
    settings = {
        "tls": {"certificate_file": "server.pem", "key_file": "server.key"},
        "listen": {"address": "127.0.0.1:8443"},
        "auth": [{"type": "mtls", "ca_file": "ca.pem", "issued": True}],
        "issuer": {
            "trust_domain": "farm.test",
            "authorities": [{"certificate_file": "issuer.pem", "key_file": "issuer.key"}],
        },
        "store": {"file": "store.db"},
        "tenants": {"payments": {}},
    }
    (home / "kilngate.yaml").write_text(json.dumps(settings))
    return home / "kilngate.yaml", alice


def test_an_issued_certificate_is_let_in_as_what_it_says_unless_the_store_knows_better(tmp_path: Path) -> None:
    settings, alice = issuing_farm(tmp_path)
    line = ["explain", "-o", "json", "--config", str(settings), "--certificate", str(alice)]
    serial = x509.load_pem_x509_certificate(alice.read_bytes()).serial_number

    async def keep(*, revoked: bool) -> None:
        store = SqliteStore(tmp_path / "store.db")
        await store.open()
        if revoked:
            now_ns = time.time_ns()
            record = RecordOfIssued(serial, "", "payments", "person", "alice", "builder", "idp", "r", now_ns, now_ns)
            await store.issue(record, Exchange(0, 0))
            await store.revoke(Target(serial=serial), now_ns=now_ns)
        await store.close()

    without = CliRunner().invoke(main, line)
    asyncio.run(keep(revoked=False))
    good = CliRunner().invoke(main, line)
    asyncio.run(keep(revoked=True))
    bad = CliRunner().invoke(main, line)

    assert (without.exit_code, json.loads(without.stdout)["reason"]) == (FAILED, "revocation-unknown")
    assert good.exit_code == OK
    assert json.loads(good.stdout)["kind"] == "person"
    assert json.loads(good.stdout)["rules"] == [
        "mtls: issued by this farm: the certificate itself says tenant and role"
    ]
    assert (bad.exit_code, json.loads(bad.stdout)["reason"]) == (FAILED, "certificate-revoked")
