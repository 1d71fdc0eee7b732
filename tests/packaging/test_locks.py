"""What is installed is exactly what was resolved, from whatever index the machine uses."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(name: str) -> dict[str, str]:
    """Return package -> version of a lock."""
    return dict(re.findall(r"(?m)^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==([^ ;\\]+)", (ROOT / name).read_text()))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_host_and_no_directory(name: str) -> None:
    text = (ROOT / name).read_text()

    assert not re.search(r"://|--(extra-)?index-url|--find-links|file:|/home/|/root/|@ ", text)


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_held_by_a_hash(name: str) -> None:
    entries = re.split(r"(?m)^(?=[a-z0-9])", (ROOT / name).read_text())[1:]

    assert entries
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("requirements.lock", PROJECT["project"]["dependencies"]),
        ("requirements.lock", PROJECT["project"]["optional-dependencies"]["uvloop"]),
        ("requirements-build.lock", PROJECT["dependency-groups"]["build"]),
        ("requirements-dev.lock", [line for line in PROJECT["dependency-groups"]["dev"] if isinstance(line, str)]),
    ],
)
def test_a_lock_has_what_the_project_asks_for(name: str, wanted: list[str]) -> None:
    found = locked(name)

    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(found[canonical(requirement.name)]), f"{requirement}: run make lock"


def test_developers_run_what_users_run() -> None:
    assert locked("requirements.lock").items() <= locked("requirements-dev.lock").items()
    assert locked("requirements-build.lock").items() <= locked("requirements-dev.lock").items()
