"""Versions as daemons tell them."""

import pytest

from proxy.buildkit.versions import is_older, parse_version


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("v0.31.1", (0, 31, 1)),
        ("0.12", (0, 12, 0)),
        ("v0.13.2+azure", (0, 13, 2)),
        ("v1.0.0-rc1", (1, 0, 0)),
        ("v0.0.0+unknown", None),
        ("", None),
        ("unknown", None),
        ("v0.31.1 or so", None),
        ("v1", None),
    ],
)
def test_numbers_are_read_if_there_are_any(text: str, numbers: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == numbers


@pytest.mark.parametrize(
    ("version", "minimum", "older"),
    [
        ("v0.12.4", "0.12.5", True),
        ("v0.12.5", "0.12.5", False),
        ("v0.9.0", "0.12.5", True),
        ("v0.31.1", "0.12.5", False),
        ("v0.0.0+unknown", "0.12.5", None),
        ("v0.31.1", "", None),
    ],
)
def test_versions_are_compared_as_numbers(version: str, minimum: str, older: bool | None) -> None:
    assert is_older(version, minimum) is older
