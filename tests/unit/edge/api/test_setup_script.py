"""The script that a farm hands out: what stands in it, and whether a shell reads it as it was meant."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.edge.api.setup_script import setup_script

SCRIPT = Path(__file__).parents[4] / "proxy/edge/api/setup.sh"
NAMES = ("*.farm.test", "farm.test", "127.0.0.1")


def farm_in(script: bytes) -> str:
    """Return the farm that a script names if nothing else is said."""
    [line] = [line for line in script.decode().splitlines() if line.startswith("farm=")]
    return line.removeprefix("farm=${KILNGATE_FARM:-").removesuffix("}")


@pytest.mark.parametrize("host", ["farm.test", "farm.test:8443", "10.0.0.1:443", "[::1]:8443", "[2001:db8::1]", "a"])
def test_a_farm_is_named_as_it_was_reached(host: str) -> None:
    assert farm_in(setup_script(host, NAMES)) == host


ODD = ["", "$(id)", "a b", "a/b", "a@b", "[::1", "farm.test:", "farm.test:123456", "a\nb", "\u0131"]


@pytest.mark.parametrize("host", ODD)
def test_an_odd_host_is_replaced_by_the_first_plain_name_of_the_certificate(host: str) -> None:
    assert farm_in(setup_script(host, NAMES)) == "farm.test"


def test_without_any_name_the_script_asks_for_one() -> None:
    assert farm_in(setup_script("", ())) == ""


def test_the_script_is_clean_to_shellcheck() -> None:
    program = Path(sys.executable).parent / "shellcheck"

    done = subprocess.run([program, "--shell=sh", SCRIPT], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("shell", ["sh", "dash", "bash", "busybox"])
def test_every_shell_can_read_the_script(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    command = [shell, "sh", "-n", SCRIPT] if shell == "busybox" else [shell, "-n", SCRIPT]

    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("farm", "address"),
    [
        ("farm.test", "farm.test:443"),
        ("farm.test:8443", "farm.test:8443"),
        ("10.0.0.1", "10.0.0.1:443"),
        ("[::1]", "[::1]:443"),
        ("[::1]:8443", "[::1]:8443"),
    ],
)
def test_a_farm_without_a_port_is_at_443(farm: str, address: str) -> None:
    start, _, _ = SCRIPT.read_text().partition("host=")
    done = subprocess.run(
        ["sh", "-c", start + 'echo "$address"'],
        env={"KILNGATE_FARM": farm, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == address
