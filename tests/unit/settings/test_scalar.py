import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings.scalar import is_fit, plain


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_nothing_is_null(text: str) -> None:
    assert plain(text) is None


@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("false", False), ("FALSE", False)])
def test_true_and_false_are_yes_and_no(text: str, value: bool) -> None:
    assert plain(text) is value


@pytest.mark.parametrize("text", ["no", "yes", "on", "off", "y", "n", "No", "tRUE"])
def test_words_that_old_yaml_took_for_yes_and_no_are_text(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("-7", -7), ("+7", 7), ("123456789012345678", 123456789012345678)]
)
def test_a_whole_number_is_one(text: str, value: int) -> None:
    read = plain(text)

    assert read == value
    assert type(read) is int


@pytest.mark.parametrize(("text", "value"), [("1.5", 1.5), ("1e3", 1000.0), ("-0.25", -0.25), ("2.5E-1", 0.25)])
def test_a_real_number_is_one(text: str, value: float) -> None:
    read = plain(text)

    assert read == value
    assert type(read) is float


@pytest.mark.parametrize(
    "text",
    ["0777", "0o777", "0x1F", "1_000", "1:30", "2024-01-01", ".inf", "-.Inf", ".nan", "1.", "9" * 19, "1e400", "١"],
)
def test_what_surprises_stays_text(text: str) -> None:
    assert plain(text) == text


@given(st.text())
def test_no_text_becomes_a_number_that_is_not_finite(text: str) -> None:
    read = plain(text)

    assert not isinstance(read, float) or math.isfinite(read)


@pytest.mark.parametrize("text", ["", "plain", "two\nlines", "tab\t", "ä€🙂"])
def test_printable_text_is_fit(text: str) -> None:
    assert is_fit(text)


@pytest.mark.parametrize("text", ["\x00", "a\x1b[2J", "\r", "\x7f", "\x9b", "\ud800"])
def test_control_characters_and_half_characters_are_unfit(text: str) -> None:
    assert not is_fit(text)
