"""The wheel installs and runs, and refuses to run where another package has written over it."""

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import proxy

ROOT = Path(__file__).parents[2]
# What another project of the import name `proxy` installs, as far as it matters.
FOREIGN_INIT = '"""Fast, lightweight proxy server."""\nfrom .proxy import main\n__all__ = ["main"]\n'


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [built] = directory.glob("*.whl")
    return built


@pytest.fixture
def environment(wheel: Path, tmp_path: Path) -> Path:
    """A clean environment with the wheel in it; the dependencies are borrowed, so that no index is needed."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    command = [home / "bin" / "pip", "install", "--quiet", "--no-index", "--no-deps", wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (packages(home) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


def packages(home: Path) -> Path:
    [found] = home.glob("lib/python*/site-packages")
    return found


def kilngate(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [home / "bin" / "kilngate", *arguments], cwd=home, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_wheel_holds_the_package_its_types_and_its_licence_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    information = f"kilngate-{proxy.__version__}.dist-info"

    assert {name.split("/")[0] for name in names} == {"proxy", information}
    assert {"proxy/py.typed", f"{information}/licenses/LICENSE"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".yaml")]


def test_the_installed_command_runs(environment: Path) -> None:
    done = kilngate(environment, "--version")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"kilngate {proxy.__version__} (python ")
    assert packages(environment).joinpath("proxy").is_dir()


@pytest.mark.parametrize("comes_last", [True, False], ids=["the other last", "we last"])
def test_it_refuses_to_run_beside_another_package_of_its_import_name(environment: Path, comes_last: bool) -> None:
    home = packages(environment) / "proxy"
    for name in ("common", "core", "http", "plugin"):
        (home / name).mkdir()
        (home / name / "__init__.py").touch()
    (home / "proxy.py").write_text("def main() -> None: ...\n")
    if comes_last:
        (home / "__init__.py").write_text(FOREIGN_INIT)
    shutil.rmtree(home / "__pycache__", ignore_errors=True)

    done = kilngate(environment, "version")

    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("kilngate: another package owns the import name 'proxy' in this environment")
