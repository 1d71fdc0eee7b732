"""`kilngate certificates` and `kilngate revoke`: what an operator types on a bad day."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.cli.exits import CONFIG, FAILED, OK, USAGE
from proxy.issuer.records import Exchange, Issued
from proxy.store.sqlite import SqliteStore
from proxy.units import SECOND_NS

SETTINGS = """\
tls: {certificate_file: server.pem, key_file: server.key}
listen: {address: 127.0.0.1:8443}
auth: [{type: mtls, ca_file: ca.pem, rules: [{match: {uri: a}, tenant: payments}]}]
tenants: {payments: }
store: {file: store.db}
"""
Run = Callable[..., Result]


def record(serial: int, tenant: str = "payments", subject: str = "alice", authority: str = "ab12") -> Issued:
    now_ns = time.time_ns()
    ends_ns = now_ns + 3600 * SECOND_NS
    return Issued(serial, authority, tenant, "person", subject, "builder", "idp", "staff", now_ns, ends_ns)


def fill(file: Path, *records: Issued) -> None:
    async def filled() -> None:
        store = SqliteStore(file)
        await store.open()
        for one in records:
            await store.issue(one, Exchange(0, 0))
        await store.close()

    asyncio.run(filled())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command beside a store with four certificates."""
    (tmp_path / "kilngate.yaml").write_text(SETTINGS)
    fill(
        tmp_path / "store.db",
        record(0xA1),
        record(0xB2, subject="bob\n"),
        record(0xC3, tenant="platform", authority="cd34"),
        record(2**127),
    )

    def given(*arguments: str) -> Result:
        command, *rest = arguments
        return CliRunner().invoke(main, [command, "--config", str(tmp_path / "kilngate.yaml"), *rest])

    return given


def serials(result: Result) -> set[str]:
    return {one["serial"] for one in json.loads(result.stdout)}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), {"a1", "b2", "c3", f"{2**127:x}"}),
        (("--tenant", "platform"), {"c3"}),
        (("--subject", "alice"), {"a1", "c3", f"{2**127:x}"}),
        (("--authority", "CD:34"), {"c3"}),
        (("--tenant", "platform", "--subject", "bob"), set()),
    ],
)
def test_what_is_good_now_is_listed(run: Run, options: tuple[str, ...], found: set[str]) -> None:
    assert serials(run("certificates", "-o", "json", *options)) == found


def test_a_list_for_people_counts_by_authority_and_keeps_names_on_their_line(run: Run) -> None:
    result = run("certificates")

    assert result.exit_code == OK
    lines = result.stdout.splitlines()
    assert len(lines) == 6
    assert "payments person bob? (builder, ab12)" in lines[1]
    assert lines[4:] == ["3 of authority ab12", "1 of authority cd34"]


def test_nothing_is_said_to_be_none(run: Run) -> None:
    assert run("certificates", "--tenant", "nobody").stdout == "none\n"


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("a1",), {"b2", "c3", f"{2**127:x}"}),
        (("00:A1",), {"b2", "c3", f"{2**127:x}"}),
        ((f"{2**127:x}",), {"a1", "b2", "c3"}),
        (("--subject", "alice"), {"b2"}),
        (("--tenant", "payments"), {"c3"}),
        (("--tenant", "payments", "--subject", "alice"), {"b2", "c3"}),
    ],
)
def test_what_was_revoked_is_listed_no_more(run: Run, options: tuple[str, ...], left: set[str]) -> None:
    revoked = run("revoke", *options)

    assert revoked.exit_code == OK
    assert "within five seconds" in revoked.stdout
    assert serials(run("certificates", "-o", "json")) == left


def test_a_serial_that_nobody_has_is_a_failure(run: Run) -> None:
    result = run("revoke", "ffff")

    assert result.exit_code == FAILED
    assert "no certificate with serial ffff" in result.stderr


def test_a_subject_that_has_no_certificate_is_cut_off_all_the_same(run: Run) -> None:
    result = run("revoke", "--subject", "mallory")

    assert result.exit_code == OK
    assert "tokens from before now are not exchanged" in result.stdout


@pytest.mark.parametrize("odd", [(), ("xyz",), ("a1", "--tenant", "payments"), ("a1", "--subject", "alice")])
def test_what_is_to_be_revoked_must_be_clear(run: Run, odd: tuple[str, ...]) -> None:
    result = run("revoke", *odd)

    assert result.exit_code == USAGE
    assert "give a SERIAL in hexadecimal, or --tenant" in result.stderr


@pytest.mark.parametrize("command", [("certificates",), ("revoke", "a1")])
def test_without_a_store_the_commands_say_so(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "kilngate.yaml").write_text(SETTINGS.replace("store: {file: store.db}\n", ""))
    nothing = run(*command)
    (tmp_path / "kilngate.yaml").write_text(SETTINGS.replace("store.db", "elsewhere.db"))
    absent = run(*command)
    (tmp_path / "kilngate.yaml").unlink()
    nowhere = run(*command)

    assert (nothing.exit_code, absent.exit_code, nowhere.exit_code) == (CONFIG, FAILED, CONFIG)
    assert "has no store.file" in nothing.stderr
    assert "kilngate serve makes the store at its first start" in absent.stderr
    assert not (tmp_path / "elsewhere.db").exists()
    assert "No such file" in nowhere.stderr
