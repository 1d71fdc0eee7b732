from typing import Any

import pytest
from pydantic import ValidationError

from proxy.identity.keyset import Origin
from proxy.identity.methods.jwt import Config
from proxy.identity.tokens.presets import GITHUB_ISSUER
from proxy.units import SECOND_NS
from tests.helpers.signing import AUDIENCE, key_set, new_key

RULES = [{"match": {"repository_owner_id": "4242"}, "tenant": "payments"}]
GITHUB: dict[str, Any] = {"type": "jwt", "preset": "github", "audiences": [AUDIENCE], "rules": RULES}
ISSUER = "https://issuer.example.com"
GENERIC: dict[str, Any] = {
    **GITHUB,
    "preset": "generic",
    "issuer": ISSUER,
    "rules": [{"match": {"sub": "a"}, "tenant": "t"}],
}


def read(base: dict[str, Any], **changes: Any) -> Config:
    return Config.model_validate({**base, **changes})


def fault_of(base: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        read(base, **changes)
    return str(raised.value)


def test_github_needs_an_audience_and_rules_and_nothing_else() -> None:
    config = read(GITHUB)

    assert (config.title, config.trusted_issuer) == ("github", GITHUB_ISSUER)
    assert config.source.origin is Origin.DISCOVERY
    assert config.source.place == f"{GITHUB_ISSUER}/.well-known/openid-configuration"
    assert config.expectations.max_lifetime_ns == 24 * 3600 * SECOND_NS
    assert config.expectations.leeway_ns == 60 * SECOND_NS
    assert config.expectations.refuses_extra_audiences


def test_a_github_enterprise_is_named() -> None:
    config = read(GITHUB, issuer="https://github.acme.example/_services/token", name="ghes")

    assert (config.title, config.trusted_issuer) == ("ghes", "https://github.acme.example/_services/token")


@pytest.mark.parametrize("preset", ["kubernetes", "generic"])
def test_an_issuer_that_nobody_can_know_is_asked_for(preset: str) -> None:
    assert f"preset {preset} needs the issuer's URL" in fault_of(GENERIC, preset=preset, issuer=None)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        pytest.param({"audiences": []}, "at least 1 item", id="no audience"),
        pytest.param({"audiences": [""]}, "at least 1 character", id="an empty audience"),
        pytest.param({"audiences": AUDIENCE}, "valid tuple", id="one audience without a list"),
        pytest.param({"rules": []}, "at least one rule", id="no rules"),
        pytest.param({"rules": [{"match": {"ref": "x"}, "tenant": "t"}]}, "repository_owner_id", id="an open rule"),
        pytest.param({"preset": "gitea"}, "'github', 'gitlab'", id="a preset nobody wrote"),
        pytest.param({"algorithms": ["HS256"]}, "'RS256'", id="a shared secret"),
        pytest.param({"algorithms": ["none"]}, "'RS256'", id="no signature"),
        pytest.param({"algorithms": []}, "at least 1 item", id="no algorithm"),
        pytest.param({"rsa_keys_without_alg": "ES256"}, "'RS256'", id="an algorithm that is not of RSA"),
        pytest.param({"max_lifetime": "10s"}, "greater than or equal", id="a lifetime of seconds"),
        pytest.param({"max_lifetime": 3600}, "a number and a unit", id="a lifetime without a unit"),
        pytest.param({"leeway": "6m"}, "less than or equal", id="a leeway of minutes"),
        pytest.param({"token_limit": "1MiB"}, "less than or equal", id="a token of a megabyte"),
        pytest.param({"audience": "x"}, "Extra inputs", id="a key nobody knows"),
        pytest.param({"issuer": "http://issuer.example.com"}, "https://", id="keys over plain http"),
        pytest.param({"issuer": "kubernetes/serviceaccount"}, "never expire", id="Kubernetes' legacy issuer"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict[str, Any], what: str) -> None:
    assert what in fault_of(GITHUB, **changes)


def test_an_unknown_preset_or_issuer_is_one_fault_not_three() -> None:
    assert fault_of(GITHUB, preset="gitea").startswith("1 validation error")
    assert fault_of(GENERIC, issuer=GITHUB_ISSUER).startswith("1 validation error")


def test_keys_come_from_one_place() -> None:
    inline = key_set(new_key())

    assert read(GENERIC, jwks={"url": f"{ISSUER}/keys"}).source.place == f"{ISSUER}/keys"
    assert read(GENERIC, jwks={"url": f"{ISSUER}/keys"}).source.origin is Origin.URL
    assert read(GENERIC, jwks={"file": "keys.json"}).source.place == "keys.json"
    assert read(GENERIC, jwks={"file": "keys.json"}).source.origin is Origin.FILE
    assert read(GENERIC, jwks={"inline": inline}).source.origin is Origin.INLINE
    assert "give one of url and file" in fault_of(GENERIC, jwks={"url": f"{ISSUER}/keys", "file": "x"})


def test_a_name_for_an_issuer_will_do_where_nobody_is_asked() -> None:
    assert read(GENERIC, issuer="our-signer", jwks={"file": "keys.json"}).trusted_issuer == "our-signer"
    assert "jwks.url, jwks.file or jwks.inline" in fault_of(GENERIC, issuer="our-signer")


@pytest.mark.parametrize(
    ("jwks", "what"),
    [
        ({"inline": {}}, "no list 'keys'"),
        ({"inline": {"keys": []}}, "no usable key"),
        ({"inline": key_set(new_key("ES384"))}, "algorithms: RS256, ES256"),
        ({"url": "http://keys.example.com"}, "https://"),
        ({"url": "file:///etc/passwd"}, "not a URL"),
        ({"file": "keys.json", "ca_file": "ca.pem"}, "for keys that are fetched"),
        ({"inline": key_set(new_key()), "bearer_token_file": "token"}, "for keys that are fetched"),
    ],
)
def test_keys_that_cannot_be_had_are_refused_when_the_file_is_read(jwks: dict[str, Any], what: str) -> None:
    assert what in fault_of(GENERIC, jwks=jwks)


def test_whoever_fetches_learns_how_to_ask() -> None:
    source = read(GENERIC, jwks={"ca_file": "ca.pem", "bearer_token_file": "token"}).source

    assert (source.ca_file, source.bearer_token_file, source.is_remote) == ("ca.pem", "token", True)
