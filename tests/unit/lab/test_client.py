"""One version of buildx, apart from the operator's own Docker settings."""

import json
from pathlib import Path

import pytest

from proxy.lab.client import Buildx, find_any_buildx, find_buildx, read_version
from proxy.lab.missing import Missing

PLUGIN = """#!/bin/sh
echo '{"SchemaVersion":"0.1.0","Vendor":"Docker Inc.","Version":"v9.8.7+ds1"}'
"""
CLI = """#!/bin/sh
env | sort > "$DOCKER_CONFIG/environment"
for word in "$@"; do echo "$word" >> "$DOCKER_CONFIG/arguments"; done
echo out; echo err >&2
exit "${CODE:-0}"
"""


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def buildx(tmp_path: Path) -> Buildx:
    (tmp_path / "configuration").mkdir()
    return Buildx(program(tmp_path / "docker", CLI), tmp_path / "configuration", "9.8.7")


def test_the_version_is_the_plugins_own_word(tmp_path: Path) -> None:
    assert read_version(program(tmp_path / "docker-buildx", PLUGIN)) == "9.8.7"


@pytest.mark.parametrize(
    "text", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho no json\n", "#!/bin/sh\necho {}\n", "not a program"]
)
def test_a_plugin_that_does_not_run_is_missing(tmp_path: Path, text: str) -> None:
    with pytest.raises(Missing, match="does not run here"):
        read_version(program(tmp_path / "docker-buildx", text))


def test_the_installed_buildx_is_used_where_debians_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "docker-configuration"
    program(own / "cli-plugins/docker-buildx", PLUGIN)
    monkeypatch.setenv("DOCKER_CONFIG", str(own))
    docker = program(tmp_path / "bin/docker", CLI)
    (tmp_path / "bin/sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    found = find_any_buildx("trixie", tmp_path / "cache", tmp_path / "configuration")

    assert (found.docker, found.version) == (docker, "9.8.7")
    assert (tmp_path / "configuration/cli-plugins/docker-buildx").resolve() == own / "cli-plugins/docker-buildx"


def test_both_reasons_are_told_if_no_buildx_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Missing, match=r"apt.*and there is no docker CLI"):
        find_any_buildx("trixie", tmp_path / "cache", tmp_path / "configuration")


def test_without_a_docker_cli_nothing_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Missing, match="no docker CLI"):
        find_buildx("installed", tmp_path, tmp_path)


def test_the_operators_docker_settings_are_not_seen(buildx: Buildx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere")

    buildx.run(["ls"], environment={"OWN": "word"})

    seen = (buildx.configuration / "environment").read_text()
    assert "DOCKER_HOST" not in seen
    assert "OWN=word" in seen
    assert f"HOME={buildx.configuration}" in seen


def test_a_run_gives_all_that_was_printed_and_the_exit_code(buildx: Buildx) -> None:
    done = buildx.run(["ls"], environment={"CODE": "102"})

    assert (done.returncode, done.stdout) == (102, "out\nerr\n")


def test_a_builder_is_created_anew_with_its_options(buildx: Buildx) -> None:
    instance = buildx.configuration / "buildx/instances/farm"
    instance.parent.mkdir(parents=True)
    instance.write_text(json.dumps({"Name": "farm"}))

    buildx.create_builder("farm", "tcp://127.0.0.1:8443", {"cacert": Path("/ca.pem"), "servername": "farm.test"})

    assert not instance.exists()
    assert (buildx.configuration / "arguments").read_text().splitlines() == [
        *("buildx", "create", "--name", "farm", "--driver", "remote"),
        *("--driver-opt=cacert=/ca.pem", "--driver-opt=servername=farm.test", "tcp://127.0.0.1:8443"),
    ]


def test_a_builder_that_buildx_refuses_is_told_in_its_words(buildx: Buildx) -> None:
    program(buildx.docker, "#!/bin/sh\necho no such driver; exit 1\n")

    with pytest.raises(Missing, match="buildx create failed: no such driver"):
        buildx.create_builder("farm", "tcp://127.0.0.1:8443")
