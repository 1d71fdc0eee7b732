import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest

from proxy.caller import Caller, Kind, Role
from proxy.errors import KeysNeeded, Refused
from proxy.identity.credentials import Credentials, PresentedCertificate
from proxy.identity.keyset import KeySets
from proxy.identity.methods.jwt import Config, Jwt
from proxy.reasons import Reason
from proxy.units import SECOND_NS
from tests.helpers.signing import (
    AUDIENCE,
    GITHUB,
    GITLAB,
    KUBERNETES,
    NOW_SECONDS,
    SigningKey,
    claims,
    coded,
    github_claims,
    gitlab_claims,
    key_set,
    kubernetes_claims,
    new_key,
)

NOW_NS = NOW_SECONDS * SECOND_NS
KEY = new_key()
RSA = new_key("RS256", "rsa-1")
OTHER = new_key()
RULE = {"name": "main", "match": {"repository_owner_id": "4242", "ref": "refs/heads/*"}, "tenant": "payments"}


def method(preset: str = "github", *rules: dict[str, Any], **changes: Any) -> Jwt:
    """Return a method whose keys are known: KEY and RSA."""
    written = {"type": "jwt", "preset": preset, "audiences": [AUDIENCE], "rules": list(rules) or [RULE], **changes}
    config = Config.model_validate(written)
    keysets = KeySets([config.source])
    keysets.learn(config.trusted_issuer, json.dumps(key_set(KEY, RSA)).encode(), now_wall_ns=NOW_NS)
    return config.build(keysets)


def shown(token: str | bytes) -> Credentials:
    octets = token if isinstance(token, bytes) else token.encode()
    return Credentials(authorization=(b"Bearer " + octets,))


def judge(token: str | bytes, judged_by: Jwt | None = None) -> Caller | None:
    return (judged_by or method()).authenticate(shown(token), now_wall_ns=NOW_NS)


def refusal(token: str | bytes, judged_by: Jwt | None = None) -> Refused:
    with pytest.raises(Refused) as raised:
        judge(token, judged_by)
    return raised.value


@pytest.mark.parametrize("key", [KEY, RSA], ids=["ES256", "RS256"])
def test_a_job_on_github_is_its_tenant(key: SigningKey) -> None:
    assert judge(key.sign(github_claims())) == Caller(
        tenant="payments",
        role=Role.BUILDER,
        subject="acme/payments@refs/heads/main",
        method="github",
        rule="main",
        judged_until_ns=(NOW_SECONDS + 300 + 60) * SECOND_NS,
        kind=Kind.CI,
    )


def test_a_rule_says_which_policy_judges_the_job_s_builds() -> None:
    caller = judge(KEY.sign(github_claims()), method("github", {**RULE, "policy": "untrusted"}))

    assert caller is not None
    assert caller.policy == "untrusted"


def test_a_job_on_gitlab_is_its_tenant_by_id_group_and_protection() -> None:
    match = {"project_id": "22", "ref_protected": "true", "groups_direct": "acme/builders"}
    gitlab = method("gitlab", {"match": match, "tenant": "payments"}, issuer=GITLAB)

    caller = judge(KEY.sign(gitlab_claims()), gitlab)

    assert caller is not None
    assert (caller.tenant, caller.subject, caller.rule) == ("payments", "acme/payments@main", "rule-1")
    assert refusal(KEY.sign(gitlab_claims(ref_protected="false")), gitlab).reason is Reason.NO_RULE_MATCHED


def test_a_pod_is_its_tenant_by_namespace() -> None:
    rule = {"match": {"kubernetes.io.namespace": "build"}, "tenant": "platform", "role": "maintainer"}
    kubernetes = method("kubernetes", rule, issuer=KUBERNETES)

    caller = judge(KEY.sign(kubernetes_claims()), kubernetes)

    assert caller is not None
    assert (caller.tenant, caller.role, caller.subject) == (
        "platform",
        Role.MAINTAINER,
        "system:serviceaccount:build:runner",
    )
    shadowed = kubernetes_claims(**{"kubernetes.io": {"namespace": "other"}, "kubernetes.io.namespace": "build"})
    assert refusal(KEY.sign(shadowed), kubernetes).reason is Reason.NO_RULE_MATCHED


def test_nothing_shown_and_a_token_of_another_issuer_are_not_ours_to_judge() -> None:
    assert method().authenticate(Credentials(), now_wall_ns=NOW_NS) is None
    assert judge(OTHER.sign(claims("https://other.example.com"))) is None
    assert judge(OTHER.sign(claims(GITHUB + "/"))) is None
    assert judge(OTHER.sign(claims(GITHUB.upper()))) is None
    assert judge(OTHER.sign(github_claims(iss=[GITHUB]))) is None
    assert judge(OTHER.sign(github_claims(iss=None))) is None


def forged(header: dict[str, object], secret: bytes) -> str:
    signed = f"{coded(json.dumps(header).encode())}.{coded(json.dumps(github_claims()).encode())}"
    return f"{signed}.{coded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def swapped(good: str, part: int, other: str) -> str:
    parts = good.split(".")
    parts[part] = other.split(".")[part]
    return ".".join(parts)


def unsigned(header: str, signature: str) -> str:
    return f"{coded(header.encode())}.{coded(json.dumps(github_claims()).encode())}.{signature}"


GOOD = KEY.sign(github_claims())
HOSTILE: dict[str, tuple[str, Reason]] = {
    "algorithm none, no signature": (
        unsigned('{"alg":"none"}', ""),
        Reason.TOKEN_MALFORMED,
    ),
    "algorithm none, any signature": (
        unsigned('{"alg":"none","kid":"key-1"}', "AAAA"),
        Reason.TOKEN_BAD_SIGNATURE,
    ),
    "algorithm NonE": (KEY.sign(github_claims(), {"alg": "NonE"}), Reason.TOKEN_BAD_SIGNATURE),
    "the public key as an HMAC secret": (
        forged({"alg": "HS256", "kid": "rsa-1"}, json.dumps(RSA.public()).encode()),
        Reason.TOKEN_BAD_SIGNATURE,
    ),
    "an HMAC with an empty secret": (forged({"alg": "HS256", "kid": "key-1"}, b""), Reason.TOKEN_BAD_SIGNATURE),
    "an algorithm off the list": (
        replace(RSA, algorithm="RS512").sign(github_claims()),
        Reason.TOKEN_BAD_SIGNATURE,
    ),
    "an algorithm of another key": (KEY.sign(github_claims(), {"alg": "RS256"}), Reason.TOKEN_UNKNOWN_KEY),
    "a key of another id": (KEY.sign(github_claims(), {"kid": "rsa-1"}), Reason.TOKEN_UNKNOWN_KEY),
    "a key nobody published": (new_key(key_id="key-9").sign(github_claims()), Reason.TOKEN_UNKNOWN_KEY),
    "a key id that is a path": (KEY.sign(github_claims(), {"kid": "../../dev/null"}), Reason.TOKEN_UNKNOWN_KEY),
    "signed by somebody else": (OTHER.sign(github_claims()), Reason.TOKEN_BAD_SIGNATURE),
    "the payload of another token": (
        swapped(GOOD, 1, KEY.sign(github_claims(repository_owner_id="1"))),
        Reason.TOKEN_BAD_SIGNATURE,
    ),
    "the header of another token": (
        swapped(GOOD, 0, KEY.sign({}, {"typ": "at+jwt"})),
        Reason.TOKEN_BAD_SIGNATURE,
    ),
    "the signature of another token": (swapped(GOOD, 2, KEY.sign({})), Reason.TOKEN_BAD_SIGNATURE),
    "a signature of zeros (CVE-2022-21449)": (
        f"{GOOD.rpartition('.')[0]}.{coded(bytes(64))}",
        Reason.TOKEN_BAD_SIGNATURE,
    ),
    "a signature cut short": (GOOD[:-6], Reason.TOKEN_BAD_SIGNATURE),
    "a key in the header": (OTHER.sign(github_claims(), {"jwk": OTHER.public()}), Reason.TOKEN_MALFORMED),
    "a key's place in the header": (OTHER.sign(github_claims(), {"jku": "https://evil"}), Reason.TOKEN_MALFORMED),
    "expired": (KEY.sign(github_claims(iat=NOW_SECONDS - 300, exp=NOW_SECONDS - 60)), Reason.TOKEN_EXPIRED),
    "expired, its key withdrawn since": (
        new_key(key_id="key-0").sign(github_claims(iat=NOW_SECONDS - 900, exp=NOW_SECONDS - 600)),
        Reason.TOKEN_EXPIRED,
    ),
    "of tomorrow": (
        KEY.sign(github_claims(iat=NOW_SECONDS + 600, exp=NOW_SECONDS + 900)),
        Reason.TOKEN_NOT_YET_VALID,
    ),
    "for ten years": (KEY.sign(github_claims(exp=NOW_SECONDS + 315_360_000)), Reason.TOKEN_CLAIMS),
    "without an end": (KEY.sign(github_claims(exp=None)), Reason.TOKEN_CLAIMS),
    "with an end in quotes": (KEY.sign(github_claims(exp=str(NOW_SECONDS + 9))), Reason.TOKEN_CLAIMS),
    "without a begin": (KEY.sign(github_claims(iat=None)), Reason.TOKEN_CLAIMS),
    "without a subject": (KEY.sign(github_claims(sub=None)), Reason.TOKEN_CLAIMS),
    "a logout notice": (KEY.sign(github_claims(), {"typ": "logout+jwt"}), Reason.TOKEN_CLAIMS),
    "for nobody": (KEY.sign(github_claims(aud=None)), Reason.TOKEN_WRONG_AUDIENCE),
    "for GitHub's default audience": (
        KEY.sign(github_claims(aud="https://github.com/acme")),
        Reason.TOKEN_WRONG_AUDIENCE,
    ),
    "for us and another": (KEY.sign(github_claims(aud=[AUDIENCE, "https://b"])), Reason.TOKEN_WRONG_AUDIENCE),
    "of another owner": (KEY.sign(github_claims(repository_owner_id="4243")), Reason.NO_RULE_MATCHED),
    "of an owner that is a list of one more": (
        KEY.sign(github_claims(repository_owner_id={"4242": True})),
        Reason.NO_RULE_MATCHED,
    ),
    "of a tag": (KEY.sign(github_claims(ref="refs/tags/v1")), Reason.NO_RULE_MATCHED),
}


@pytest.mark.parametrize(("token", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_token_is_refused_for_its_own_reason(token: str, reason: Reason) -> None:
    refused = refusal(token)

    assert refused.reason is reason
    assert refused.public_text("r").endswith("(ref r)")
    assert token not in refused.public_text("r") + refused.detail


def test_the_good_token_of_the_hostile_table_is_good() -> None:
    assert judge(GOOD) is not None


def test_a_caller_without_a_rule_is_named_and_the_operator_told_which_rule_was_near() -> None:
    refused = refusal(KEY.sign(github_claims(ref="refs/pull/7/merge")))

    assert refused.public_text("r").startswith("[KG-110] acme/payments@refs/pull/7/merge is known but belongs to no")
    assert refused.detail == "github: nearest rule main: not as wanted: ref"


def test_extra_audiences_pass_where_they_are_allowed() -> None:
    token = KEY.sign(github_claims(aud=["https://b", AUDIENCE]))

    assert judge(token, method(extra_audiences="allow")) is not None


def test_keys_that_are_not_known_yet_are_asked_for_but_not_for_a_token_that_is_over() -> None:
    config = Config.model_validate({"type": "jwt", "preset": "github", "audiences": [AUDIENCE], "rules": [RULE]})
    unknown = config.build(KeySets([config.source]))

    with pytest.raises(KeysNeeded) as raised:
        judge(GOOD, unknown)
    assert raised.value.issuer == GITHUB
    over = KEY.sign(github_claims(iat=NOW_SECONDS - 300, exp=NOW_SECONDS - 100))
    assert refusal(over, unknown).reason is Reason.TOKEN_EXPIRED
    assert refusal(KEY.sign(github_claims(), {"alg": "HS256"}), unknown).reason is Reason.TOKEN_BAD_SIGNATURE


def test_a_token_larger_than_configured_is_refused() -> None:
    assert refusal(GOOD, method(token_limit="256B")).reason is Reason.TOKEN_MALFORMED


def test_an_operator_reads_how_the_rules_see_a_token_even_a_forged_one() -> None:
    assert method().explain(shown(OTHER.sign(github_claims()))) == ["rule main matches: tenant payments, role builder"]
    assert method().explain(shown(OTHER.sign(github_claims(ref="refs/tags/v1"))))[1:] == [
        "rule main (tenant payments): 1 of 2 conditions hold",
        "  ref is 'refs/tags/v1', not 'refs/heads/*'",
    ]
    assert method().explain(shown(OTHER.sign(claims("https://other.example.com")))) == []
    assert method().explain(Credentials()) == []


@pytest.mark.parametrize(
    ("claims", "detail"),
    [
        ({"exp": NOW_SECONDS - 7200, "iat": NOW_SECONDS - 7500}, "github"),
        ({"aud": "somebody else"}, "github: our audience is not in it"),
        ({"sub": ""}, "github: it has no subject (sub)"),
    ],
)
def test_the_operator_is_told_which_issuers_token_was_refused(claims: dict[str, object], detail: str) -> None:
    assert refusal(KEY.sign(github_claims(**claims))).detail == detail


def test_a_certificate_is_nothing_that_tokens_take_back() -> None:
    method().check_withdrawn(PresentedCertificate((b"leaf",)))
