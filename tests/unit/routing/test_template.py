import json
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.buildkit.address import Scheme, UpstreamAddress
from proxy.routing.template import BUILDKITD, SEALED, Home, Template, home_of

PLAIN = ["builder", "{socket}", "{root}"]
HOME = Home("/d/own.payments")


def template(**values: Any) -> Template:
    return Template.model_validate_json(json.dumps(values))


def faults(**values: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        template(**values)
    return [error["msg"].removeprefix("Value error, ") for error in caught.value.errors()]


def test_everything_of_a_daemon_is_in_its_home() -> None:
    home = home_of("/d/", "own", "payments")

    assert home == HOME
    assert (home.run, home.socket, home.root) == (
        f"{HOME.path}/run",
        f"{HOME.path}/run/daemon.sock",
        f"{HOME.path}/root",
    )
    assert (home.log, home.note) == (f"{HOME.path}/daemon.log", f"{HOME.path}/daemon.pid")
    assert home_of("/d", "own", "").path == "/d/own"


def test_a_pool_and_a_tenant_of_another_pool_never_share_a_home() -> None:
    assert home_of("/d", "a", "b-c") != home_of("/d", "a-b", "c")


@pytest.mark.parametrize(("octets", "is_short"), [(107, True), (108, False)])
def test_a_socket_needs_a_short_path(octets: int, is_short: bool) -> None:
    home = Home("/" + "x" * (octets - len("//run/daemon.sock")))

    assert len(home.socket) == octets
    assert home.is_short_enough is is_short


def test_the_default_is_a_buildkitd_with_a_root_a_socket_and_a_limit_of_its_own() -> None:
    command = template(keep_storage="1GiB").fill(HOME, "payments")

    assert tuple(command[: len(SEALED) + 1]) == (*SEALED, "buildkitd")
    assert command[command.index("--addr") + 1] == "unix:///d/own.payments/run/daemon.sock"
    assert command[command.index("--root") + 1] == "/d/own.payments/root"
    assert command[command.index("--otel-socket-path") + 1] == "/d/own.payments/run/otel.sock"
    assert command[command.index("--oci-worker-gc-keepstorage") + 1] == "1073"
    assert len(command) == len(BUILDKITD)


def test_placeholders_are_filled_wherever_they_stand_and_nothing_else_is() -> None:
    words = ["run-{tenant}", "--host=unix://{socket}", "{root}{root}", "{{.Name}}", "$HOME", "{}"]

    assert template(command=words, tenants_each=True).fill(HOME, "payments") == [
        "run-payments",
        "--host=unix:///d/own.payments/run/daemon.sock",
        "/d/own.payments/root/d/own.payments/root",
        "{{.Name}}",
        "$HOME",
        "{}",
    ]


def test_what_a_value_looks_like_is_not_filled_again() -> None:
    assert template(command=[*PLAIN, "{tenant}"], tenants_each=True).fill(Home("/{tenant}"), "{root}") == [
        "builder",
        "/{tenant}/run/daemon.sock",
        "/{tenant}/root",
        "{root}",
    ]


def test_even_a_tiny_limit_is_one() -> None:
    assert template(command=[*PLAIN, "{keep_storage_mb}"], keep_storage=1).fill(HOME, "")[-1] == "1"


@pytest.mark.parametrize("scheme", ["unix", "docker"])
def test_the_scheme_says_how_the_socket_is_spoken_to(scheme: Scheme) -> None:
    assert template(scheme=scheme).address(HOME) == UpstreamAddress(scheme, HOME.socket)


def test_a_command_must_say_where_the_daemon_listens_and_lives() -> None:
    assert faults(command=["builder", "{root}"]) == [
        "the command does not say {socket}; the daemon must be told where it listens and lives"
    ]
    assert faults(command=["builder", "{socket}"])[0].startswith("the command does not say {root}")
    assert faults(command=[])[0].startswith("Tuple should have at least 1 item")


def test_an_unknown_placeholder_is_told_with_what_was_perhaps_meant() -> None:
    assert faults(command=[*PLAIN, "{rot}"]) == ["unknown placeholder {rot}; did you mean {root}?"]
    assert faults(command=[*PLAIN, "{x}"]) == [
        "unknown placeholder {x}; expected {socket}, {root}, {run}, {tenant}, {keep_storage_mb}"
    ]


def test_a_daemon_for_all_has_no_tenant() -> None:
    assert "all tenants of the pool share this daemon" in faults(command=[*PLAIN, "{tenant}"])[0]


def test_a_limit_that_the_command_does_not_know_is_an_error() -> None:
    assert faults(command=PLAIN, keep_storage="1GiB") == [
        "keep_storage has no effect; the command does not say {keep_storage_mb}"
    ]


@pytest.mark.parametrize(
    "values", [{"directory": "daemons"}, {"idle_timeout": "0s"}, {"start_timeout": "1h"}, {"environment": {"A=B": "c"}}]
)
def test_values_that_no_daemon_could_use_are_errors(values: dict[str, Any]) -> None:
    assert len(faults(**values)) == 1
