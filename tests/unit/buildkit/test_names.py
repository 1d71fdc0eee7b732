"""Identifiers of builds and sessions."""

import pytest

from proxy.buildkit.names import is_identifier


@pytest.mark.parametrize("text", ["a", "xyz0123456789ABC_.-", "a" * 128, b"abc"])
def test_what_clients_make_is_an_identifier(text: str | bytes) -> None:
    assert is_identifier(text)


@pytest.mark.parametrize("text", ["", "a" * 129, "a:b", "a b", "a/b", "a\n", "ü", b"a\xff", b"", b"a:b"])
def test_nothing_else_is(text: str | bytes) -> None:
    assert not is_identifier(text)
