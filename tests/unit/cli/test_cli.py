import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import proxy
from proxy.cli import COMMANDS, main
from proxy.cli.exits import CONFIG, Stop
from proxy.cli.version import versions, written

ROOT = Path(__file__).parents[3]


def run(*arguments: str) -> tuple[int, str, str]:
    """Run `kilngate` with arguments; return exit code, output and error text."""
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_help_lists_every_command_and_imports_none() -> None:
    script = (
        "import sys; sys.argv = ['kilngate', '--help']\n"
        "import proxy.cli\n"
        "try: proxy.cli.main()\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('pydantic', 'aiohttp', 'grpc', 'cryptography')))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)

    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_can_be_called_and_says_what_it_is_for(name: str) -> None:
    command = main.get_command(click.Context(main), name)

    assert command is not None
    assert command.help
    assert run(name, "--help")[0] == 0


@pytest.mark.parametrize("arguments", [(), ("check-config",), ("config",), ("config", "schema"), ("version",)])
def test_help_teaches_by_examples(arguments: tuple[str, ...]) -> None:
    help_text = run(*arguments, "--help")[1]

    assert "\n    kilngate " in help_text or "$schema" in help_text


def test_an_unknown_command_is_wrong_usage() -> None:
    code, _, error = run("srve")

    assert code == 2
    assert "No such command 'srve'" in error


def test_the_version_is_one_line_and_json_on_request() -> None:
    one_line = run("--version")
    as_json = run("version", "-o", "json")

    assert one_line == (0, written(versions()) + "\n", "")
    assert run("version") == one_line
    assert json.loads(as_json[1])["kilngate"] == proxy.__version__


def test_a_library_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.cli.version.LIBRARIES", ("click", "no-such-library"))

    assert "click" in versions()
    assert "no-such-library" not in versions()


def test_a_command_can_stop_with_a_sentence_and_a_code() -> None:
    @click.command()
    def command() -> None:
        raise Stop("the door is shut", 69)

    result = CliRunner().invoke(command, [])

    assert (result.exit_code, result.stderr) == (69, "kilngate: the door is shut\n")


@pytest.mark.parametrize("distribution", [None, "proxy.py"])
def test_nothing_runs_when_another_package_owns_the_import_name(
    monkeypatch: pytest.MonkeyPatch, distribution: str | None
) -> None:
    monkeypatch.setattr(proxy, "__distribution__", distribution)

    code, output, error = run("version")

    assert (code, output) == (CONFIG, "")
    assert error.startswith(
        "kilngate: another package owns the import name 'proxy' in this environment; install kilngate"
    )


SETTINGS = "listen: {address: 127.0.0.1:8443}\ntls: {certificate_file: a.pem, key_file: a.key}\ntenants: {a: }\n"


def test_check_config_tells_all_mistakes_and_ends_with_78(tmp_path: Path) -> None:
    file = tmp_path / "kilngate.yaml"
    file.write_text("listen: {adress: x}\nlog: {level: loud}\n")

    code, output, error = run("check-config", str(file))

    assert (code, output) == (78, "")
    assert [line.removeprefix(str(file)).split(": ")[1] for line in error.splitlines()] == [
        "listen.address",
        "tls",
        "listen.adress",
        "log.level",
    ]


def test_check_config_tells_mistakes_as_json_too(tmp_path: Path) -> None:
    file = tmp_path / "kilngate.yaml"
    file.write_text(SETTINGS)

    code, output, _ = run("check-config", "-o", "json", "-c", str(file))

    told = json.loads(output)
    assert code == 78
    assert told["errors"][0] == {
        "line": 2,
        "column": 25,
        "key": "tls.certificate_file",
        "what": f"cannot read {tmp_path}/a.pem: No such file or directory",
    }


def test_config_show_prints_settings_that_can_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "kilngate.yaml"
    file.write_text(SETTINGS + "limits: {burst: 7}\n")
    again = tmp_path / "again.yaml"

    again.write_text(run("config", "show", str(file))[1])

    first, second = (json.loads(run("config", "show", "-o", "json", str(name))[1]) for name in (file, again))
    assert first == second
    assert first["tenants"]["a"]["limits"]["burst"] == 7
    assert first["drain"] == {"timeout": "30m"}


def test_config_show_prints_the_default_policy_and_who_gets_which(tmp_path: Path) -> None:
    file = tmp_path / "kilngate.yaml"
    file.write_text(
        "listen: {address: 127.0.0.1:8443}\ntls: {certificate_file: c, key_file: k}\n"
        "policies: {strict: {exporters: {push: false}}}\ntenants: {a: {policy: strict}, b: }\n"
        "auth: [{type: mtls, ca_file: ca, rules: [{match: {uri: x}, tenant: a}, {match: {uri: y}, tenant: b}]}]\n"
    )

    shown = json.loads(run("config", "show", "-o", "json", str(file))[1])

    assert [rule["policy"] for rule in shown["auth"][0]["rules"]] == ["strict", "default"]
    assert shown["policies"]["default"]["exporters"]["push"] is True
    assert shown["policies"]["strict"]["exporters"]["push"] is False


def test_config_show_needs_a_file_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "nowhere.yaml"
    code, _, error = run("config", "show", str(file))

    assert (code, error) == (78, f"{file}:1:1: cannot be read: No such file or directory\n")


def test_config_show_names_files_so_that_they_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kilngate.yaml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)

    shown = json.loads(run("config", "show", "-o", "json", "kilngate.yaml")[1])

    assert shown["tls"]["certificate_file"] == f"{tmp_path}/a.pem"


def test_config_schema_prints_the_committed_schema() -> None:
    assert run("config", "schema")[1] == (ROOT / "config" / "kilngate.schema.json").read_text()
