import asyncio
import errno
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy import events as said
from proxy.caller import Caller, Role
from proxy.events import AuditFailed, AuditSealed, CallId, Event
from proxy.reasons import Reason
from proxy.sinks import audit as audit_module
from proxy.sinks.audit import AuditSink
from proxy.sinks.audit_file import AuditFile, Tail
from proxy.sinks.audit_writer import REFUSALS_EACH
from proxy.sinks.chain import verify
from tests.helpers import told

START_NS = 1_769_903_999_000_000_000
MINUTE_NS = 60 * told.SECOND_NS


class Clock:
    def __init__(self) -> None:
        self.wall_ns = START_NS

    def __call__(self) -> int:
        return self.wall_ns


class Disk(AuditFile):
    """A disk that can be full."""

    is_full = False

    def append(self, lines: bytes) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(lines)

    def open(self) -> Tail:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().open()


class Desk:
    """An audit sink, its clock, its disk, and what it says itself."""

    def __init__(self, path: Path, **settings: bool) -> None:
        self.path = path
        self.clock = Clock()
        self.disk = Disk(path)
        self.said: list[Event] = []
        self.sink = AuditSink(self.disk, emit=self.said.append, wall_ns=self.clock, **settings)

    def records(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]

    def events(self) -> list[object]:
        return [record["event"] for record in self.records()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path / "audit.log")
    one.sink.open()
    yield one
    one.disk.is_full = False
    one.sink.close()


def fault_of(*paths: Path, head: str | None = None) -> object:
    return verify((line for path in paths for line in path.read_bytes().splitlines(keepends=True)), head=head).fault


def test_events_become_chained_records_at_the_next_flush(desk: Desk) -> None:
    desk.sink(told.call_started())
    before = desk.events()
    desk.sink.flush()

    assert before == ["log-opened"]
    assert desk.events() == ["log-opened", "call-admitted"]
    assert desk.records()[1]["ts"] == "2026-01-31T23:59:59.000000Z"
    assert fault_of(desk.path) is None


def test_synchronous_records_are_there_before_the_call_goes_on(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "audit.log", is_sync=True)
    desk.sink.open()
    desk.sink(told.call_started())

    assert desk.events() == ["log-opened", "call-admitted"]
    desk.sink.close()


def test_the_time_of_a_record_is_that_of_its_event(desk: Desk) -> None:
    desk.sink(told.call_started())
    desk.clock.wall_ns += told.SECOND_NS
    desk.sink.flush()

    assert desk.records()[1]["ts"] == "2026-01-31T23:59:59.000000Z"


def test_a_restart_goes_on_with_the_chain(desk: Desk) -> None:
    desk.sink(told.call_started())
    desk.sink.close()
    again = Desk(desk.path)
    again.sink.open()
    again.sink(told.call_ended())
    again.sink.close()

    assert [record["seq"] for record in desk.records()] == [1, 2, 3, 4]
    assert fault_of(desk.path) is None


def test_a_restart_after_a_crash_keeps_the_torn_line_and_says_so(desk: Desk) -> None:
    desk.sink(told.call_started())
    desk.sink.close()
    with desk.path.open("ab") as file:
        file.write(b'{"seq":3,"prev":"12')
    again = Desk(desk.path)
    again.sink.open()
    again.sink.close()

    assert fault_of(desk.path) is None
    last = json.loads(desk.path.read_bytes().splitlines()[-1])
    assert (last["seq"], last["torn"]) == (3, True)


def test_a_reload_goes_on_in_a_new_file_after_rotation(desk: Desk) -> None:
    old = desk.path.with_suffix(".1")
    desk.sink(told.call_started())
    desk.sink.flush()
    desk.path.rename(old)
    desk.sink(told.call_ended())
    desk.sink.flush()
    desk.sink(told.settings_loaded("payments"))
    desk.sink.flush()

    assert [json.loads(line)["event"] for line in old.read_bytes().splitlines()] == [
        "log-opened",
        "call-admitted",
        "call-ended",
    ]
    assert desk.events() == ["settings-loaded"]
    assert fault_of(old, desk.path) is None


def test_a_failed_reload_opens_a_rotated_file_anew_too(desk: Desk) -> None:
    desk.path.rename(desk.path.with_suffix(".1"))
    desk.sink(said.ReloadFailed("line 3"))
    desk.sink.flush()

    assert desk.events() == ["reload-failed"]


def test_a_reload_without_rotation_changes_nothing(desk: Desk) -> None:
    desk.sink(told.settings_loaded("payments"))
    desk.sink.flush()

    assert desk.events() == ["log-opened", "settings-loaded"]


def test_a_reload_may_name_another_file_and_the_chain_goes_on_there(desk: Desk) -> None:
    other = desk.path.with_name("other.log")
    desk.sink.configure(other, is_sync=False, is_denying=True)
    desk.sink(told.settings_loaded("payments"))
    desk.sink.flush()

    assert json.loads(other.read_bytes())["event"] == "settings-loaded"
    assert fault_of(desk.path, other) is None


def test_while_the_disk_is_full_calls_must_be_refused_and_nothing_is_lost(desk: Desk) -> None:
    desk.disk.is_full = True
    desk.sink(told.call_started())
    desk.sink.flush()
    broken = (desk.sink.is_healthy, desk.sink.fault)
    desk.sink(told.call_ended())
    desk.sink.flush()
    desk.disk.is_full = False
    desk.sink.flush()

    assert broken == (False, f"{desk.path}: No space left on device")
    assert desk.sink.is_healthy
    assert desk.events() == ["log-opened", "call-admitted", "log-recovered", "call-ended"]
    assert desk.records()[2] | {"failures": 2, "lost": 0} == desk.records()[2]
    assert fault_of(desk.path) is None


def test_an_operator_may_choose_to_go_on_without_an_audit_log(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "audit.log", is_denying=False)
    desk.sink.open()
    desk.disk.is_full = True
    desk.sink(told.call_started())
    desk.sink.flush()

    assert desk.sink.fault
    assert desk.sink.is_healthy
    desk.disk.is_full = False
    desk.sink.close()


def test_each_failed_write_is_told(desk: Desk) -> None:
    desk.said.clear()
    desk.disk.is_full = True
    desk.sink(told.call_started())
    asyncio.run(desk.sink.tick())
    asyncio.run(desk.sink.tick())

    assert desk.said == [AuditFailed(f"{desk.path}: No space left on device")] * 2


def test_a_log_that_cannot_be_opened_says_so_and_is_tried_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "audit.log")
    desk.disk.is_full = True
    with pytest.raises(OSError, match="No space"):
        desk.sink.open()
    refused = desk.sink.is_healthy
    desk.disk.is_full = False
    desk.sink.flush()

    assert (refused, desk.sink.is_healthy) == (False, True)
    assert desk.events() == ["log-opened", "log-recovered"]
    desk.sink.close()


def test_what_waits_is_bounded_and_what_is_lost_is_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "WAITING_LIMIT", 3)
    desk.disk.is_full = True
    desk.sink(told.call_started())
    desk.sink.flush()
    for _ in range(5):
        desk.sink(told.call_started())
    desk.disk.is_full = False
    desk.sink.flush()

    assert desk.events() == ["log-opened", "call-admitted", "log-recovered", *["call-admitted"] * 3]
    assert desk.records()[2]["lost"] == 2


def test_a_disk_that_hangs_is_unhealthy_though_nothing_failed_yet(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "WAITING_TOO_LONG", 2)
    for _ in range(3):
        desk.sink(told.call_started())

    assert not desk.sink.is_healthy
    assert desk.sink.fault == "the disk does not answer"


def test_the_head_is_told_at_the_start_at_the_end_and_each_hour(desk: Desk) -> None:
    first = desk.said.copy()
    desk.sink(told.call_started())
    asyncio.run(desk.sink.tick())
    unchanged = desk.said.copy()
    desk.clock.wall_ns += 61 * MINUTE_NS
    asyncio.run(desk.sink.tick())
    asyncio.run(desk.sink.tick())
    hourly = desk.said.copy()
    desk.sink(told.call_ended())
    desk.sink.close()

    assert [event.records for event in first if isinstance(event, AuditSealed)] == [1]
    assert unchanged == first
    assert [event.records for event in hourly if isinstance(event, AuditSealed)] == [1, 2]
    sealed = [event for event in desk.said if isinstance(event, AuditSealed)]
    assert [event.records for event in sealed] == [1, 2, 3]
    assert all(fault_of(desk.path, head=event.head) is None for event in sealed)


def test_repeated_refusals_become_one_record_with_their_number(desk: Desk) -> None:
    for port in range(REFUSALS_EACH + 70):
        desk.sink(told.call_refused(Reason.NO_CREDENTIALS, peer=f"198.51.100.9:{port}"))
    desk.sink(told.call_refused(by=told.caller()))
    desk.sink.flush()
    within = len(desk.records())
    desk.clock.wall_ns += MINUTE_NS
    desk.sink.flush()

    last = desk.records()[-1]
    assert within == 1 + REFUSALS_EACH + 1
    assert (last["event"], last["count"], last["peer"], last["reason"]) == (
        "calls-refused",
        70,
        "198.51.100.9",
        "no-credentials",
    )
    assert fault_of(desk.path) is None


def test_what_the_gate_still_holds_is_written_at_the_end(desk: Desk) -> None:
    for _ in range(REFUSALS_EACH + 1):
        desk.sink(told.call_refused())
    desk.sink.close()

    assert desk.records()[-1] | {"event": "calls-refused", "count": 1} == desk.records()[-1]


def test_a_flood_of_strangers_hides_no_refusal_of_a_proven_caller(desk: Desk) -> None:
    for number in range(3000):
        desk.sink(told.call_refused(Reason.NO_CREDENTIALS, peer=f"10.{number // 250}.{number % 250}.1:5"))
    desk.sink(told.call_refused(by=told.caller()))
    desk.sink.flush()

    assert len(desk.records()) < 1300
    assert desk.records()[-1]["reason"] == "rate-limited"


def test_a_record_that_cannot_be_made_takes_no_other_with_it(desk: Desk) -> None:
    desk.sink(said.CallRefused(CallId(1, 1), None, 7, told.SOLVE, Reason.INTERNAL, ""))  # type: ignore[arg-type]
    desk.sink(told.call_started())
    desk.sink.flush()

    assert desk.events() == ["log-opened", "record-failed", "call-admitted"]


@pytest.mark.parametrize("text", ['"\n{"seq":9}\n', "\u2028\u202e\x00\x1b[2J", "\udc80", "x" * 100_000, "\r\n", "\\"])
def test_hostile_names_never_break_a_line(desk: Desk, text: str) -> None:
    for event in told.every_event(text):
        desk.sink(event)
    desk.sink.flush()

    assert fault_of(desk.path) is None
    octets = desk.path.read_bytes()
    assert octets.isascii()
    assert not set(octets) & set(range(32)) - {10}
    assert max(map(len, octets.splitlines())) < 8192


def test_the_writer_runs_beside_the_loop_until_it_is_cancelled(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "FLUSH_SECONDS", 0.001)
    desk.sink(told.call_started())

    async def wait_written() -> None:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            writing = group.create_task(desk.sink.run())
            for _ in itertools.count():
                if len(desk.records()) == 2:
                    break
                await asyncio.sleep(0.002)
            writing.cancel()

    asyncio.run(wait_written())

    assert desk.events() == ["log-opened", "call-admitted"]


def test_who_asked_is_said_by_name_and_never_by_token(desk: Desk) -> None:
    who = Caller("payments", Role.ADMIN, "ci@example.com", "github", "main-branch")
    desk.sink(said.CallStarted(told.CALL, who, told.PEER, "/moby.buildkit.v1.Control/Prune"))
    desk.sink.flush()

    assert desk.records()[1]["who"] == {"subject": "ci@example.com", "method": "github", "rule": "main-branch"}
    assert desk.records()[1]["role"] == "admin"
