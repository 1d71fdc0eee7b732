"""Daemons of our own: real processes, small ones."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.edge import daemon_life, daemon_process
from proxy.edge.daemon_life import NotStarted
from proxy.edge.daemons import Daemons
from proxy.events import DaemonEnd, DaemonEnded, DaemonNotStarted, DaemonStarted, Event, Warned
from proxy.lab.program import SOURCE
from proxy.processes import end_with_parent, identify, send, wait_gone
from proxy.routing.routes import OnDemand
from tests.helpers import own_daemons
from tests.helpers.own_daemons import (
    child_of,
    environment_of,
    is_asked_to_end,
    is_gone,
    noted,
    plan,
    process_of,
    run,
    starts,
    wait_until,
)


def ends(said: list[Event]) -> list[DaemonEnd]:
    return [event.end for event in said if isinstance(event, DaemonEnded)]


async def failure(daemons: Daemons, wanted: OnDemand) -> str:
    with pytest.raises(NotStarted) as caught:
        await daemons.lease(wanted)
    return str(caught.value)


# --- start ----------------------------------------------------------------------------------


def test_many_calls_start_a_daemon_once_and_each_learns_of_the_start_it_waited_for(tmp_path: Path) -> None:
    own = plan(tmp_path)

    async def story(daemons: Daemons, said: list[Event]) -> None:
        leases = await asyncio.gather(*(daemons.lease(own) for _ in range(5)))
        late = await daemons.lease(own)

        assert [lease.take_start() for lease in leases] == said * 5
        assert late.take_start() is None
        assert {lease.address for lease in (*leases, late)} == {own.address}

    said = run(story, own)

    [started] = said
    assert isinstance(started, DaemonStarted)
    assert (started.pool, started.tenant, started.version) == ("own", "payments", "v0.31.1")
    assert 0 < started.begun_wall_ns < started.ended_wall_ns
    assert len(starts(own)) == 1


def test_a_start_is_shown_once_to_who_comes_in_the_next_moment_if_nobody_who_waited_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = plan(tmp_path)

    async def story(daemons: Daemons, said: list[Event]) -> None:
        waited, soon, later = [await daemons.lease(own) for _ in range(3)]

        assert [soon.take_start(), later.take_start(), waited.take_start()] == [said[0], None, said[0]]

    run(story, own)

    async def too_late(daemons: Daemons, _said: list[Event]) -> None:
        await daemons.lease(own)
        monkeypatch.setattr(daemon_life, "FRESH_NS", 0)

        assert (await daemons.lease(own)).take_start() is None

    run(too_late, own)


def test_each_tenant_has_a_process_and_a_root_of_its_own(tmp_path: Path) -> None:
    first, second = plan(tmp_path), plan(tmp_path, tenant="platform")

    async def story(daemons: Daemons, _said: list[Event]) -> None:
        await asyncio.gather(daemons.lease(first), daemons.lease(second))

    run(story, first, second)

    assert first.home.root != second.home.root
    assert [len(starts(own)) for own in (first, second)] == [1, 1]


def test_a_daemon_gets_little_of_our_environment_and_what_the_settings_give_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARM_SECRET", "x")
    own = plan(tmp_path, environment={"BUILDKIT_STEP_LOG_MAX_SIZE": "1"})

    async def story(daemons: Daemons, _said: list[Event]) -> None:
        await daemons.lease(own)

    run(story, own)

    assert environment_of(own) == {"PATH", "HOME", "XDG_RUNTIME_DIR", "BUILDKIT_STEP_LOG_MAX_SIZE"}


def test_an_old_daemon_is_warned_of(tmp_path: Path) -> None:
    own = plan(tmp_path, minimum_version="99.0")

    async def story(daemons: Daemons, _said: list[Event]) -> None:
        await daemons.lease(own)

    said = run(story, own)

    assert isinstance(said[1], Warned)
    assert "daemon own.payments is BuildKit v0.31.1, older than 99.0" in said[1].what


# --- a daemon that does not start -----------------------------------------------------------


def test_a_daemon_that_ends_at_once_is_told_with_its_last_words_to_all_who_waited(tmp_path: Path) -> None:
    own = plan(tmp_path, "fails")

    async def story(daemons: Daemons, _said: list[Event]) -> None:
        details = await asyncio.gather(*(failure(daemons, own) for _ in range(3)))

        assert details == ["it ended with exit code 1: no such worker"] * 3

    said = run(story, own)

    assert said == [DaemonNotStarted("own", "payments", "it ended with exit code 1: no such worker")]
    assert len(starts(own)) == 1


def test_a_daemon_that_does_not_answer_in_time_is_ended(tmp_path: Path) -> None:
    own = plan(tmp_path, "mute", start_timeout="1s")

    async def story(daemons: Daemons, _said: list[Event]) -> None:
        detail = await failure(daemons, own)

        assert detail == "it did not answer within 1 s (No such file or directory): its log is empty"
        process = process_of(own)
        await wait_until(lambda: is_gone(process))

    run(story, own)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    own = OnDemand("own", "", own_daemons.template(tmp_path, command=("/no/such", "{socket}", "{root}")), "0.12.5")

    async def story(daemons: Daemons, _said: list[Event]) -> None:
        assert "No such file or directory" in await failure(daemons, own)

    run(story, own)


def test_a_home_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    async def story(daemons: Daemons, _said: list[Event]) -> None:
        assert "must belong to kilngate's user alone" in await failure(daemons, plan(tmp_path))

    run(story, plan(tmp_path))


def test_a_daemon_that_keeps_failing_is_left_alone_for_a_while(tmp_path: Path) -> None:
    own = plan(tmp_path, "fails")

    async def story(daemons: Daemons, _said: list[Event]) -> None:
        details = [await failure(daemons, own) for _ in range(3)]

        assert details[0] == details[1] == "it ended with exit code 1: no such worker"
        assert details[2].startswith("it did not start before; the next attempt is made in ")

    said = run(story, own)

    assert len(starts(own)) == len(said) == 2


def test_a_reload_that_changes_the_command_tries_it_at_once(tmp_path: Path) -> None:
    broken, mended = plan(tmp_path, "fails"), plan(tmp_path)

    async def story(daemons: Daemons, _said: list[Event]) -> None:
        for _ in range(3):
            await failure(daemons, broken)
        daemons.apply([broken])
        still = await failure(daemons, broken)
        daemons.apply([mended])
        lease = await daemons.lease(broken)

        assert still.startswith("it did not start before")
        assert lease.take_start() is not None

    run(story, broken)


# --- the end --------------------------------------------------------------------------------


def test_a_daemon_that_nobody_uses_ends_and_the_next_call_starts_it_again(tmp_path: Path) -> None:
    own = plan(tmp_path, "parent", idle_timeout="1s")

    async def story(daemons: Daemons, said: list[Event]) -> None:
        first, second = await daemons.lease(own), await daemons.lease(own)
        process, child = process_of(own), child_of(own)
        first.give_back()
        first.give_back()
        await asyncio.sleep(1.2)
        assert not ends(said)
        second.give_back()
        await wait_until(lambda: bool(ends(said)))
        assert is_gone(process)
        assert is_gone(child)
        assert noted(own) == ""
        assert (await daemons.lease(own)).take_start() is not None

    assert ends(run(story, own)) == [DaemonEnd.IDLE]
    assert len(starts(own)) == 2


def test_a_call_that_comes_while_a_daemon_ends_waits_for_the_next_life(tmp_path: Path) -> None:
    own = plan(tmp_path, idle_timeout="1s")

    async def story(daemons: Daemons, said: list[Event]) -> None:
        (await daemons.lease(own)).give_back()
        process = process_of(own)
        os.kill(process.number, signal.SIGSTOP)
        await wait_until(lambda: is_asked_to_end(process))
        waiting = asyncio.ensure_future(daemons.lease(own))  # noqa: TID251
        await asyncio.sleep(0.1)
        assert not waiting.done()
        os.kill(process.number, signal.SIGCONT)

        assert (await waiting).take_start() is not None
        assert ends(said) == [DaemonEnd.IDLE]

    run(story, own)


def test_a_daemon_that_crashed_is_told_and_started_again_by_the_next_call(tmp_path: Path) -> None:
    own = plan(tmp_path, "parent")

    async def story(daemons: Daemons, said: list[Event]) -> None:
        lease = await daemons.lease(own)
        child = child_of(own)
        send(process_of(own), signal.SIGKILL)
        await wait_until(lambda: bool(ends(said)))
        assert is_gone(child)
        lease.give_back()
        assert (await daemons.lease(own)).take_start() is not None

    said = run(story, own)

    [ended] = [event for event in said if isinstance(event, DaemonEnded)]
    assert (ended.end, ended.detail) == (DaemonEnd.CRASHED, "it ended with exit code -9: its log is empty")


def test_a_log_that_was_taken_away_does_not_matter(tmp_path: Path) -> None:
    own = plan(tmp_path)

    async def story(daemons: Daemons, said: list[Event]) -> None:
        await daemons.lease(own)
        os.unlink(own.home.log)
        send(process_of(own), signal.SIGKILL)
        await wait_until(lambda: bool(ends(said)))

    assert ends(run(story, own)) == [DaemonEnd.CRASHED]


def test_a_daemon_that_the_settings_no_longer_name_goes_when_its_last_connection_has(tmp_path: Path) -> None:
    own = plan(tmp_path)

    async def story(daemons: Daemons, said: list[Event]) -> None:
        lease = await daemons.lease(own)
        daemons.apply([])
        await asyncio.sleep(0.1)
        assert not ends(said)
        lease.give_back()
        await wait_until(lambda: bool(ends(said)))
        # A connection that was opened before the reload may still ask for it.
        again = await daemons.lease(own)
        assert again.take_start() is not None
        again.give_back()
        await wait_until(lambda: len(ends(said)) == 2)

    assert ends(run(story, own)) == [DaemonEnd.IDLE] * 2


def test_a_changed_template_counts_from_the_next_start_but_its_idle_time_at_once(tmp_path: Path) -> None:
    before, after = plan(tmp_path), plan(tmp_path, idle_timeout="1s", environment={"NEW": "1"})

    async def story(daemons: Daemons, said: list[Event]) -> None:
        lease = await daemons.lease(before)
        daemons.apply([after])
        process = process_of(before)
        lease.give_back()
        await wait_until(lambda: bool(ends(said)))
        assert is_gone(process)
        await daemons.lease(before)

    run(story, before)

    assert "NEW" in environment_of(after)
    assert len(starts(after)) == 2


def test_all_end_with_kilngate_and_none_is_started_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_process, "STOP_S", 0.2)
    plans = [plan(tmp_path), plan(tmp_path, "stubborn", tenant="platform"), plan(tmp_path, "mute", tenant="slow")]

    async def story(daemons: Daemons, _said: list[Event]) -> None:
        await asyncio.gather(*(daemons.lease(own) for own in plans[:2]))
        starting = asyncio.ensure_future(failure(daemons, plans[2]))  # noqa: TID251
        await wait_until(lambda: bool(starts(plans[2])))
        processes = [process_of(own) for own in plans]
        await daemons.stop()

        assert [is_gone(process) for process in processes] == [True] * 3
        assert await starting == await failure(daemons, plans[0]) == "kilngate stops"

    assert ends(run(story, *plans)) == [DaemonEnd.STOPPED] * 2


def test_daemons_die_with_the_task_that_keeps_them(tmp_path: Path) -> None:
    own = plan(tmp_path, "stubborn")
    processes = []

    async def story(daemons: Daemons, _said: list[Event]) -> None:
        await daemons.lease(own)
        processes.append(process_of(own))

    run(story, own)

    wait_gone(processes, 10)
    assert is_gone(processes[0])


@pytest.mark.skipif(not end_with_parent(signal.SIGKILL), reason="this system has no setpriv that knows --pdeathsig")
def test_a_daemon_does_not_outlive_a_kilngate_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, pathlib, sys; from tests.helpers import own_daemons;"
        "own = own_daemons.plan(pathlib.Path(sys.argv[1]));\n"
        "async def story(daemons, said):\n"
        "    await daemons.lease(own); print(own_daemons.process_of(own).number, flush=True); os.kill(os.getpid(), 9)\n"
        "own_daemons.run(story, own)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    orphan = identify(int(done.stdout))

    wait_gone([orphan] if orphan else [], 10)
    assert done.returncode == -9
    assert identify(int(done.stdout)) is None
