"""The lab's token issuer: discovery, keys, and a private key that stays private."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from proxy.lab.issuer import DISCOVERY_PATH, KEYS_PATH, application, issuer_url, signing_key
from proxy.lab.tokens import public_keys


def answers(directory: Path, *paths: str) -> list[Any]:
    async def ask() -> list[Any]:
        async with TestClient(TestServer(application(signing_key(directory), 1234))) as client:
            return [await (await client.get(path)).json() for path in paths]

    return asyncio.run(ask())


def test_discovery_names_the_issuer_and_where_its_keys_are(tmp_path: Path) -> None:
    [discovery] = answers(tmp_path, DISCOVERY_PATH)

    assert discovery["issuer"] == issuer_url(1234)
    assert discovery["jwks_uri"] == issuer_url(1234) + KEYS_PATH


def test_the_published_keys_are_those_of_the_signing_key(tmp_path: Path) -> None:
    assert answers(tmp_path, KEYS_PATH) == [public_keys(signing_key(tmp_path))]


def test_the_key_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    first, second = signing_key(tmp_path), signing_key(tmp_path)

    assert first.private_numbers() == second.private_numbers()
    assert (tmp_path / "issuer-key.pem").stat().st_mode & 0o777 == 0o600


def test_a_key_of_another_kind_is_not_used(tmp_path: Path) -> None:
    from tests.helpers.certificates import Issued, rsa_key

    pem = Issued(certificate=None, key=rsa_key(2048)).key_pem  # type: ignore[arg-type]
    (tmp_path / "issuer-key.pem").write_bytes(pem)

    with pytest.raises(TypeError, match="elliptic"):
        signing_key(tmp_path)
