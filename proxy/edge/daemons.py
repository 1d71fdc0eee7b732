"""The build daemons that kilngate runs: each from the first call that needs it until nobody does.

Many calls that need one daemon start it once. A daemon that crashed is started again
by the next call; one that does not start is left alone for a while.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from proxy.buildkit.address import UpstreamAddress
from proxy.edge.clock import now_ns
from proxy.edge.daemon_life import Life, NotStarted
from proxy.edge.health import doubt
from proxy.events import DaemonEnded, DaemonNotStarted, DaemonStarted, Event, Warned
from proxy.routing.backoff import Backoff
from proxy.routing.routes import OnDemand
from proxy.units import said

Name = tuple[str, str]


class Lease(NamedTuple):
    """A place at a daemon, which stays until it is given back; `take_start` is `Life.take_start` of its holder."""

    address: UpstreamAddress
    take_start: Callable[[], DaemonStarted | None]
    give_back: Callable[[], None]


class Daemons:
    """Starts and ends daemons in a task group of its own. `run` must be running for anything to happen."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._plans: dict[Name, OnDemand] = {}
        self._lives: dict[Name, Life] = {}
        self._backoffs: dict[Name, Backoff] = {}
        self._begun: asyncio.Queue[Life] = asyncio.Queue()
        self._is_stopping = False

    def apply(self, plans: Iterable[OnDemand]) -> None:
        """Take what a reload brought: the next start of each daemon is by its new plan; one without goes when idle."""
        before, self._plans = self._plans, {plan.name: plan for plan in plans}
        for name, life in self._lives.items():
            plan = self._plans.get(name)
            life.keep(plan.template.idle_timeout if plan else 0)
        self._backoffs = {
            name: backoff for name, backoff in self._backoffs.items() if self._plans.get(name) == before.get(name)
        }

    async def lease(self, plan: OnDemand) -> Lease:
        """Return a place at the daemon of `plan`, once it answers; it is started if need be.

        Raises:
            NotStarted: it does not start.
        """
        asked_ns = now_ns()
        while True:
            life = self._lives.get(plan.name) or self._begin(plan)
            if life.enter():
                break
            await life.is_over.wait()
        try:
            await life.wait_decided()
        except BaseException:
            life.leave()
            raise
        return Lease(life.plan.address, partial(life.take_start, asked_ns), _once(life.leave))

    async def run(self) -> None:
        """Let daemons live until cancelled; those that are left then are killed."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._live(await self._begun.get()))

    async def stop(self) -> None:
        """End all daemons, and start none any more."""
        self._is_stopping = True
        lives = list(self._lives.values())
        for life in lives:
            life.tell_to_end()
        for life in lives:
            await life.is_over.wait()

    def _begin(self, plan: OnDemand) -> Life:
        if self._is_stopping:
            raise NotStarted("kilngate stops")
        backoff = self._backoffs.get(plan.name)
        if backoff is not None and (wait_ns := backoff.wait_ns(now_ns())):
            raise NotStarted(f"it did not start before; the next attempt is made in {said(wait_ns)}")
        newest = self._plans.get(plan.name)
        life = self._lives[plan.name] = Life(newest or plan, decided=self._decided)
        if newest is None:
            life.keep(0)
        self._begun.put_nowait(life)
        return life

    async def _live(self, life: Life) -> None:
        try:
            await life.run()
        finally:
            del self._lives[life.plan.name]
            life.is_over.set()
        if life.end is not None:
            lasted_ns = now_ns() - life.answered_ns
            self._emit(DaemonEnded(life.plan.pool, life.plan.tenant, life.end, lasted_ns, life.failure))

    def _decided(self, life: Life) -> None:
        plan = life.plan
        if life.started is None:
            self._backoffs.setdefault(plan.name, Backoff()).failed(now_ns())
            self._emit(DaemonNotStarted(plan.pool, plan.tenant, life.failure))
            return
        self._backoffs.pop(plan.name, None)
        self._emit(life.started)
        if warning := doubt(".".join(filter(None, plan.name)), life.started.version, plan.minimum_version):
            self._emit(Warned(warning))


def _once(act: Callable[[], None]) -> Callable[[], None]:
    left = [act]

    def acted() -> None:
        if left:
            left.pop()()

    return acted
