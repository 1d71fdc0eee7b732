"""Daemons that kilngate runs, with small processes in place of BuildKit."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from proxy.edge.daemons import Daemons
from proxy.events import Event
from proxy.processes import ProcessId, identify
from proxy.routing.routes import OnDemand
from proxy.routing.template import Template
from tests.helpers import small_daemon

PATIENCE_S = 30.0
Story = Callable[[Daemons, list[Event]], Awaitable[None]]


def plan(
    directory: Path, *ways: str, tenant: str = "payments", minimum_version: str = "0.12.5", **more: Any
) -> OnDemand:
    """Return a small daemon that lives in `directory`; `ways` are its odd ways, `more` fields of its template."""
    command = (sys.executable, small_daemon.__file__, "{socket}", "{root}", *ways)
    return OnDemand("own", tenant, template(directory, command=command, **more), minimum_version)


def template(directory: Path, **fields: Any) -> Template:
    """Return a template whose daemons live in `directory`."""
    return Template(directory=str(directory), environment=fields.pop("environment", {}), **fields)


def starts(plan: OnDemand) -> list[list[str]]:
    """Return the words of each start's note: the process id and the names of its variables."""
    path = Path(plan.home.root, "starts")
    return [line.split(maxsplit=1) for line in path.read_text().splitlines()] if path.exists() else []


def process_of(plan: OnDemand) -> ProcessId:
    """Return the process of the daemon that was started last."""
    found = identify(int(starts(plan)[-1][0]))
    assert found
    return found


def run(story: Story, *plans: OnDemand) -> list[Event]:
    """Run daemons for as long as `story` lasts, and return what was said."""
    said: list[Event] = []

    async def whole() -> None:
        daemons = Daemons(said.append)
        daemons.apply(plans)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(daemons.run())
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await story(daemons, said)
            finally:
                running.cancel()

    asyncio.run(whole())
    return said


def child_of(plan: OnDemand) -> ProcessId:
    """Return what a daemon of the way `parent` started."""
    found = identify(int(Path(plan.home.root, "child").read_text()))
    assert found
    return found


def noted(plan: OnDemand) -> str:
    """Return what the note in its home says."""
    return Path(plan.home.note).read_text()


async def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so that nobody tells."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def is_asked_to_end(process: ProcessId) -> bool:
    """Tell whether SIGTERM waits for a process that was stopped (proc(5), /proc/pid/status, ShdPnd)."""
    status = Path(f"/proc/{process.number}/status").read_text()
    [pending] = [line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd:")]
    return bool(int(pending, 16) >> signal.SIGTERM - 1 & 1)


def is_gone(process: ProcessId) -> bool:
    """Tell whether a process runs no more."""
    return identify(process.number) != process


def environment_of(plan: OnDemand) -> set[str]:
    """Return the names of the variables that the daemon had, but for those that Python itself sets."""
    return set(starts(plan)[-1][1].strip("[]").replace("'", "").split(", ")) - {"LC_CTYPE"}
