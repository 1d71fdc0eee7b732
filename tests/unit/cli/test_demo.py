"""`kilngate demo` where it cannot do what it promises; what it does do is a scenario."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli.demo import command
from proxy.lab import engine


def test_without_a_buildkit_the_choices_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KILNGATE_BUILDKIT", raising=False)
    monkeypatch.setattr(engine, "RUNNING", {})

    done = CliRunner().invoke(command, ["--once", f"--state={tmp_path}/state"])

    assert done.exit_code == 69
    assert "kilngate: no BuildKit runs on this machine" in done.output
    assert "KILNGATE_BUILDKIT" in done.output


def test_a_suite_that_is_not_offered_is_a_wrong_usage() -> None:
    assert CliRunner().invoke(command, ["--buildx", "bookworm"]).exit_code == 2
