import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.settings.parse import parse
from proxy.settings.schema import Settings
from proxy.sinks import observers as observers_module
from proxy.sinks.observers import Observers
from tests.helpers import told


def settings(audit: str = "", log: str = "{}") -> Settings:
    block = f"audit: {{file: {audit}}}\n" if audit else ""
    text = (
        f"listen: {{address: 127.0.0.1:8443}}\ntls: {{certificate_file: /c.pem, key_file: /k.pem}}\nlog: {log}\n{block}"
    )
    return parse(text.encode(), file="kilngate.yaml")


class Process:
    def __init__(self, first: Settings, log: Path) -> None:
        self.log = log
        self.fd = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.seen = Observers(
            first, version="1.2.3", openssl="3.5", now_ns=lambda: 0, wall_ns=lambda: 10**18, log_to=self.fd
        )

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    one = Process(settings(str(tmp_path / "audit.log")), tmp_path / "log")
    yield one
    one.seen.close()
    os.close(one.fd)


def records(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_bytes().splitlines()]


def test_one_event_reaches_metrics_log_and_audit(process: Process, tmp_path: Path) -> None:
    process.seen.emit(told.settings_loaded("payments"))
    process.seen.emit(told.call_refused(by=told.caller()))
    process.seen.close()

    assert b'kilngate_requests_denied_total{reason="rate-limited",tenant="payments"} 1.0' in process.seen.render()
    assert any("call refused" in line for line in process.lines())
    assert "call-refused" in records(tmp_path / "audit.log")


def test_a_reload_may_ask_for_more_lines_in_another_form(process: Process, tmp_path: Path) -> None:
    process.seen.emit(told.call_started())
    process.seen.reopen(settings(str(tmp_path / "audit.log"), "{level: debug, format: json}"))
    process.seen.emit(told.call_started())

    assert [json.loads(line)["event"] for line in process.lines() if line.startswith("{")] == ["call admitted"]


def test_a_reload_may_begin_and_end_the_audit_log(tmp_path: Path) -> None:
    process = Process(settings(), tmp_path / "log")
    path = tmp_path / "audit.log"
    without = process.seen.is_audited()
    process.seen.reopen(settings(str(path)))
    process.seen.emit(told.call_started())
    process.seen.reopen(settings())
    process.seen.emit(told.call_ended())
    process.seen.close()
    os.close(process.fd)

    assert without
    assert records(path) == ["log-opened", "call-admitted"]


def test_an_audit_log_that_cannot_be_opened_at_a_reload_refuses_calls_and_is_tried_again(tmp_path: Path) -> None:
    process = Process(settings(), tmp_path / "log")
    home = tmp_path / "later"
    process.seen.reopen(settings(str(home / "audit.log")))
    broken = process.seen.is_audited()
    home.mkdir()

    async def wait_healthy() -> None:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            writing = group.create_task(process.seen.run())
            for _ in range(2000):
                if process.seen.is_audited():
                    break
                await asyncio.sleep(0.002)
            writing.cancel()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(observers_module, "FLUSH_SECONDS", 0.001)
        asyncio.run(wait_healthy())
    process.seen.close()
    os.close(process.fd)

    assert not broken
    assert process.seen.is_audited()
    assert records(home / "audit.log")[0] == "log-opened"
    assert any("audit log cannot be written" in line for line in process.lines())


def test_an_audit_log_that_cannot_be_opened_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Process(settings(str(tmp_path / "nowhere" / "audit.log")), tmp_path / "log")


def test_a_fault_of_our_own_is_told_by_place_and_never_by_content(process: Process) -> None:
    def inner() -> None:
        raise ValueError("token eyJhbGciOi")

    try:
        inner()
    except ValueError as failure:
        process.seen.report_bug(failure)

    [line] = [line for line in process.lines() if "own fault" in line]
    assert "ValueError at" in line
    assert "test_observers.py" in line
    assert "eyJ" not in line
