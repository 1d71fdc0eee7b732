"""Generated pages say what the code says."""

import re
import tomllib
from pathlib import Path

import pytest

from proxy.reasons import Reason
from tools.docs import PAGES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    assert (ROOT / name).read_text() == PAGES[name](), "run: make docs"


def test_every_refusal_is_explained_and_nothing_else_is() -> None:
    explained = tomllib.loads((ROOT / "tools" / "errors.toml").read_text())

    assert list(explained) == [reason.label for reason in Reason]
    assert all(set(words) == {"cause", "fix"} for words in explained.values())


def test_every_refusal_has_an_anchor_of_its_own() -> None:
    anchors = re.findall(r'<a id="kg-(\d+)">', PAGES["docs/errors.md"]())

    assert anchors == [str(reason.number) for reason in Reason]
