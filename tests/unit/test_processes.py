"""Processes are ended by their ids, and only they and what they started."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.lab.child import Child
from proxy.processes import ProcessId, descendants, end, identify, left_behind, send, stop_process, wait_gone

# A leader with a child in its session that outlives it.
LEADER = ["sh", "-c", "sleep 60 & echo started; wait"]


@pytest.fixture
def leader(tmp_path: Path) -> Iterator[Child]:
    child = Child(LEADER, tmp_path / "log")
    child.wait_ready(lambda: "started" in child.log.read_text() and len(descendants(child.pid)) == 1, 10)
    below = descendants(child.pid)
    yield child
    child.kill()
    end(below)


def known(pid: int) -> ProcessId:
    found = identify(pid)
    assert found
    return found


def test_we_are_a_process_with_an_identity() -> None:
    assert known(os.getpid()).number == os.getpid()


def test_a_leftover_of_another_run_is_ended_with_its_descendants(leader: Child) -> None:
    below = descendants(leader.pid)

    stop_process(known(leader.pid), 5.0)

    assert leader.wait(5) == -15
    assert [identify(process.number) for process in below] == [None]


def test_what_a_dead_leader_left_in_its_session_is_found(leader: Child) -> None:
    process, below = known(leader.pid), descendants(leader.pid)
    found_before = left_behind(process)

    send(process, signal.SIGKILL)
    leader.wait(10)

    assert found_before == left_behind(process) == below


def test_a_session_whose_number_was_given_to_another_has_left_nothing(leader: Child) -> None:
    assert left_behind(ProcessId(leader.pid, start_ticks=1)) == []


def test_an_id_that_belongs_to_another_process_by_now_is_left_alone(tmp_path: Path) -> None:
    bystander = Child(["sleep", "60"], tmp_path / "log")

    send(ProcessId(bystander.pid, start_ticks=1), signal.SIGKILL)

    assert bystander.exit_code is None
    bystander.kill()


def test_a_process_that_was_not_yet_waited_for_is_gone_all_the_same() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        running = known(process.pid)
        process.kill()

        wait_gone([running], 10)

        assert identify(process.pid) is None
