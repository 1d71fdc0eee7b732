from collections.abc import Iterator
from typing import Any

from proxy.settings.json_schema import json_schema
from proxy.settings.references import Kind, Reference, kind_of, located, references

VALUES: dict[str, Any] = {
    "tls": {"certificate_file": "a.pem", "key_file": "/abs/a.key", "min_version": "1.3"},
    "auth": [
        {"type": "mtls", "ca_file": "ca.pem", "crl_file": None, "rules": [{"match": {"a_file": "x"}}]},
        {"type": "jwt", "jwks": {"file": "keys.json", "inline": {"x_file": "y"}, "bearer_token_file": "token"}},
    ],
    "audit": {"file": "audit.log"},
    "log": {"file": 3},
}


def test_every_file_that_is_named_is_found_with_what_it_holds() -> None:
    assert list(references(VALUES)) == [
        Reference(("tls", "certificate_file"), Kind.CERTIFICATE, "a.pem"),
        Reference(("tls", "key_file"), Kind.PRIVATE_KEY, "/abs/a.key"),
        Reference(("auth", 0, "ca_file"), Kind.AUTHORITIES, "ca.pem"),
        Reference(("auth", 1, "jwks", "file"), Kind.TOKEN_KEYS, "keys.json"),
        Reference(("auth", 1, "jwks", "bearer_token_file"), Kind.SECRET, "token"),
        Reference(("audit", "file"), Kind.WRITTEN, "audit.log"),
    ]


def test_relative_names_are_joined_to_the_home_of_the_settings_and_nothing_else_changes() -> None:
    moved = located(VALUES, "/etc/k")

    assert [reference.file for reference in references(moved)] == [
        "/etc/k/a.pem",
        "/abs/a.key",
        "/etc/k/ca.pem",
        "/etc/k/keys.json",
        "/etc/k/token",
        "/etc/k/audit.log",
    ]
    assert moved["auth"][0]["rules"] == VALUES["auth"][0]["rules"]
    assert moved["auth"][1]["jwks"]["inline"] == {"x_file": "y"}
    assert located(VALUES, "") == VALUES


def test_every_key_of_the_schema_that_names_a_file_is_known_as_one() -> None:
    named = [path for path in _keys(json_schema()) if path[-1] == "file" or path[-1].endswith("_file")]

    assert len(named) >= 6
    assert [path for path in named if kind_of(path) is None] == []


def _keys(schema: Any) -> Iterator[tuple[str, ...]]:
    """Return each key of each record, below the record's name in lower case (`Jwks` is the block `jwks`)."""
    for name, record in schema["$defs"].items():
        for key in record.get("properties", {}):
            yield (name.lower(), key)
