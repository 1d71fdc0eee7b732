"""The demo's farm on paper: its settings are good settings, its secrets are its owner's."""

from pathlib import Path

import jwt
import pytest
from cryptography.x509 import load_pem_x509_certificate

from proxy.lab import farm, identities
from proxy.lab.farm import AUDIENCE, Farm, lay_out
from proxy.lab.issuer import signing_key
from proxy.lab.tokens import public_keys
from proxy.settings.parse import parse


@pytest.fixture
def laid_out(tmp_path: Path) -> Farm:
    return lay_out(tmp_path / 'a farm: with #odd "name"')


def test_its_settings_are_accepted_and_say_nothing_to_worry_about(laid_out: Farm) -> None:
    laid_out.write_settings("docker:///var/run/docker.sock")

    settings = parse(laid_out.settings_file.read_bytes(), file="kilngate.yaml")

    assert settings.warnings() == []
    assert set(settings.tenants) == {"payments", "platform"}
    assert settings.tls.key_file == str(laid_out.identities.server.key)


def test_its_token_is_proven_by_the_issuers_keys(laid_out: Farm) -> None:
    laid_out.write_token()

    key = jwt.PyJWKSet.from_dict(public_keys(signing_key(laid_out.directory))).keys[0]
    claims = jwt.decode(laid_out.token_file.read_text(), key, algorithms=["ES256"], audience=AUDIENCE)
    assert claims["sub"] == farm.CI_SUBJECT


def test_private_files_are_for_their_owner_only(laid_out: Farm) -> None:
    laid_out.write_token()

    private = (laid_out.token_file, laid_out.identities.server.key, laid_out.identities.alice.key)
    assert {path.stat().st_mode & 0o077 for path in private} == {0}


def test_a_second_start_keeps_the_identities(laid_out: Farm) -> None:
    before = laid_out.identities.alice.certificate.read_bytes()

    again = lay_out(laid_out.directory)

    assert again.identities.alice.certificate.read_bytes() == before


def test_identities_that_are_about_to_end_are_made_anew(laid_out: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_pem_x509_certificate(laid_out.identities.ca.read_bytes())
    monkeypatch.setattr(identities, "RENEWED_BEFORE_END", identities.LIFE)

    again = lay_out(laid_out.directory)

    assert load_pem_x509_certificate(again.identities.ca.read_bytes()) != before
