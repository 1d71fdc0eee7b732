import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from proxy.settings.json_schema import json_schema
from proxy.settings.outline import Outline

COMMITTED = Path(__file__).parents[3] / "config" / "kilngate.schema.json"
GOOD: dict[str, Any] = {"tls": {"certificate_file": "a", "key_file": "b"}}


def is_valid(values: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(json_schema()).is_valid({**GOOD, **values}))


def test_it_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_committed_schema_is_current() -> None:
    assert json.loads(COMMITTED.read_text()) == json_schema(), "run: make docs"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"listen": {"address": "[::1]:1", "handshake_timeout": "5s", "proxy_protocol_from": ["10.0.0.0/8"]}},
        {"tenants": {"payments": None, "platform": {"limits": {"burst": 3}}}},
        {"upstream": {"url": "docker:///var/run/docker.sock"}},
        {"pools": {"a": {"url": "unix:///a"}, "b": {"daemon": {"tenants_each": True, "idle_timeout": "5m"}}}},
        {"tenants": {"payments": {"pool": "a", "isolation": "dedicated"}}},
    ],
)
def test_it_admits_what_is_read(values: dict[str, Any]) -> None:
    assert is_valid(values)


@pytest.mark.parametrize(
    "values",
    [
        {"lisen": {}},
        {"listen": {"handshake_timeout": 5}},
        {"tenants": {"Payments": {}}},
        {"upstream": {"url": "tcp://x:1"}},
        {"pools": {"a": {"url": "tcp://x:1"}}},
        {"pools": {"A": {"url": "unix:///a"}}},
        {"pools": {"a": {"daemon": {"command": "buildkitd"}}}},
        {"auth": [{"type": "mtlz"}]},
        {"tls": {"certificate_file": "a", "key_file": "b", "min_version": 1.3}},
    ],
)
def test_it_refuses_what_is_not(values: dict[str, Any]) -> None:
    assert not is_valid(values)


def test_defaults_are_said_as_they_are_written_and_bounds_in_nanoseconds_are_not() -> None:
    words = json_schema()["$defs"]
    handshake = words["Listen"]["properties"]["handshake_timeout"]

    assert handshake["default"] == "10s"
    assert not {"ge", "le", "title"} & set(handshake)
    assert words["Listen"]["properties"]["address"]["default"] == "0.0.0.0:8443"
    assert words["Jwt"]["properties"]["token_limit"]["default"] == "8KiB"


def test_every_key_is_described() -> None:
    bare = [
        f"{name}.{key}"
        for name, record in json_schema()["$defs"].items()
        for key, words in record.get("properties", {}).items()
        if "description" not in words and key != "type"
    ]

    assert bare == []


def test_the_outline_knows_the_keys_of_each_block_by_its_type() -> None:
    values = {"auth": [{"type": "jwt", "jwks": {}}, {"type": "mtls"}, {}], "tenants": {"a": {"limits": {}}}}
    outline = Outline(json_schema(), values)

    assert "tls" in outline.keys(())
    assert "audiences" in outline.keys(("auth", 0))
    assert "audiences" not in outline.keys(("auth", 1))
    assert {"audiences", "ca_file"} <= set(outline.keys(("auth", 2)))
    assert "inline" in outline.keys(("auth", 0, "jwks"))
    assert "burst" in outline.keys(("tenants", "a", "limits"))
    assert outline.keys(("tenants", "a", "limits", "burst")) == []
    assert outline.keys(("nowhere", 3)) == []
    assert outline.blocks_with("key_file") == ["tls", "isolation"]
    assert outline.value(("auth", 0, "type")) == "jwt"
    assert outline.value(("auth", 9, "type")) is None
