"""Dockerfile, compose file, systemd unit and CI script: what the tools of their trade say of them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "kilngate.service"
COMPOSE = ROOT / "deploy" / "compose.yaml"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)


def beside_python(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def services() -> dict[str, Any]:
    read: dict[str, Any] = YAML(typ="safe", pure=True).load(COMPOSE)["services"]
    return read


def test_hadolint_has_nothing_to_say_of_the_dockerfile() -> None:
    done = run(beside_python("hadolint"), "--no-color", "Dockerfile")

    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_nobody_in_particular_and_stops_in_peace() -> None:
    text = (ROOT / "Dockerfile").read_text()

    assert re.search(r"(?m)^USER [1-9][0-9]+:[1-9][0-9]+$", text)
    assert re.search(r"(?m)^STOPSIGNAL SIGTERM$", text)
    assert 'CMD ["kilngate", "healthcheck"]' in text


def test_the_volumes_belong_to_the_one_who_writes_them() -> None:
    text = (ROOT / "Dockerfile").read_text()
    user, group = re.findall(r"(?m)^USER ([0-9]+):([0-9]+)$", text)[0]

    # Docker gives a new volume the owner that its directory has in the image.
    assert f"RUN install -d -o {user} -g {group} -m 0750 /var/log/kilngate /var/lib/kilngate\n" in text
    assert "audit:/var/log/kilngate" in services()["kilngate"]["volumes"]


def test_every_file_that_the_image_is_built_from_is_let_through() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"(?m)^COPY (?!--from)(.+) \./?\S*$", (ROOT / "Dockerfile").read_text())

    assert {name for names in copied for name in names.split()} == let_through
    assert all((ROOT / name).exists() for name in let_through)


def test_the_compose_file_fits_its_specification() -> None:
    done = run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)

    assert done.returncode == 0, done.stdout


def test_the_daemon_is_reached_by_its_socket_alone() -> None:
    daemon, door = services()["buildkitd"], services()["kilngate"]
    addresses = [
        after for flag, after in zip(daemon["command"], daemon["command"][1:], strict=False) if flag == "--addr"
    ]

    assert addresses == ["unix:///run/buildkit/buildkitd.sock"]
    assert not {"ports", "expose", "network_mode"} & set(daemon)
    assert [volume for volume in door["volumes"] if volume.startswith("socket:")] == ["socket:/run/buildkit:ro"]


def test_the_door_in_a_container_may_do_nothing_but_serve() -> None:
    door = services()["kilngate"]
    user = re.findall(r"(?m)^USER [0-9]+:([0-9]+)$", (ROOT / "Dockerfile").read_text())

    assert (door["read_only"], door["cap_drop"]) == (True, ["ALL"])
    assert services()["buildkitd"]["command"][-2:] == ["--group", *user]


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with commands that exist on every machine: the checkers look for them."""
    file = tmp_path / "kilngate.service"
    true = shutil.which("true") or "/bin/true"
    file.write_text(re.sub(r"(?m)^(Exec\w+)=\S+/(kilngate|kill)\b", rf"\1={true}", UNIT.read_text()))
    return file


def systemd_analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not on this machine")
    return run("systemd-analyze", *arguments)


def test_systemd_understands_every_line_of_the_unit(unit: Path) -> None:
    done = systemd_analyze("verify", unit)

    # The exit code is 0 even for keys that systemd does not know.
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])


def test_the_unit_gives_the_service_little_to_misuse(unit: Path) -> None:
    done = systemd_analyze("security", "--offline=true", "--threshold=20", unit)

    assert done.returncode == 0, done.stdout


def test_a_wrong_settings_file_is_not_tried_again() -> None:
    text = UNIT.read_text()

    assert "\nRestartPreventExitStatus=78\n" in text
    assert "\nType=notify\n" in text


@pytest.mark.parametrize("script", [".ci/run", "tools/setup"])
def test_scripts_can_be_read_by_their_shell(script: str) -> None:
    shell = (ROOT / script).read_text().splitlines()[0].removeprefix("#!").split()[-1]

    done = run(shell.rpartition("/")[2], "-n", script)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("make"), reason="make is not on this machine")
def test_make_prints_its_words() -> None:
    words = [line.split()[1] for line in run("make").stdout.splitlines()]

    assert {"setup", "demo", "test", "check", "bench", "docs", "clean"} <= set(words)


def test_the_licence_is_apache_2() -> None:
    assert "Apache License\n                           Version 2.0" in (ROOT / "LICENSE").read_text()
