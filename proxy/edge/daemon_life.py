"""One life of a build daemon that kilngate runs: started, asked until it answers, kept while needed, ended."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from proxy.buildkit.address import UpstreamAddress
from proxy.edge.clock import now_ns, wall_ns
from proxy.edge.daemon_process import DaemonProcess, start
from proxy.edge.health import Seen, look
from proxy.edge.upstream import open_upstream
from proxy.errors import one_line
from proxy.events import DaemonEnd, DaemonStarted
from proxy.routing.routes import OnDemand
from proxy.units import SECOND_NS, said

ASK_AGAIN_S = 0.05
FRESH_NS = 5 * SECOND_NS


class Stage(Enum):
    """Where a life stands; they follow each other."""

    STARTING = 1
    ANSWERING = 2
    ENDING = 3


class NotStarted(Exception):
    """The daemon does not start; the text says why, for the operator."""


class Life:
    """A daemon from its start to its end. `run` is the life itself; `decided` is told once it answers or never will."""

    def __init__(self, plan: OnDemand, *, decided: Callable[["Life"], None]) -> None:
        self.plan = plan
        self.stage = Stage.STARTING
        self.started: DaemonStarted | None = None
        self.failure = ""
        self.end: DaemonEnd | None = None
        self.answered_ns = 0
        self.is_over = asyncio.Event()
        self._tell_decided = decided
        self._is_decided = asyncio.Event()
        self._process: DaemonProcess | None = None
        self._idle_ns = plan.template.idle_timeout
        self._idle_since_ns = 0
        self._connections = 0
        self._is_told_to_end = False
        self._is_shown = False
        self._news = asyncio.Event()

    # --- for whoever needs the daemon -------------------------------------------------------

    def enter(self) -> bool:
        """Take a place, so that it stays once it answers; False if it is about to end."""
        if self.stage is Stage.ENDING:
            return False
        self._connections += 1
        self._news.set()
        return True

    async def wait_decided(self) -> None:
        """Wait until it answers.

        Raises:
            NotStarted: it does not.
        """
        await self._is_decided.wait()
        if self.started is None:
            raise NotStarted(self.failure)

    def take_start(self, asked_ns: int) -> DaemonStarted | None:
        """Return the start, if whoever asked at `asked_ns` should be shown it.

        That is who waited for it, and the first build of the next moment: some clients wait
        on one connection and build on another.
        """
        was_waited_for = asked_ns < self.answered_ns
        if not was_waited_for and (self._is_shown or asked_ns - self.answered_ns > FRESH_NS):
            return None
        self._is_shown = True
        return self.started

    def leave(self) -> None:
        """Give the place back."""
        self._connections -= 1
        self._idle_since_ns = now_ns()
        self._news.set()

    def keep(self, idle_ns: int) -> None:
        """Stay so long without a connection, from now on."""
        self._idle_ns = idle_ns
        self._news.set()

    def tell_to_end(self) -> None:
        """End it as soon as may be, whoever uses it."""
        self._is_told_to_end = True
        self._news.set()

    # --- the life ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Live. `started` or `failure` is set when it is decided, `end` if it had started."""
        try:
            if await self._start():
                await self._stay()
            if self._process is not None:
                await self._process.end()
        finally:
            if self._process is not None:
                await self._process.kill()

    async def _start(self) -> bool:
        begun_ns, begun_wall_ns = now_ns(), wall_ns()
        try:
            self._check()
            self._process = await start(self.plan)
            seen = await self._wait_answer(self._process)
        except (OSError, NotStarted) as error:
            self.failure = one_line(error)
            self._decide(Stage.ENDING)
            return False
        self.answered_ns = self._idle_since_ns = now_ns()
        ended_wall_ns = begun_wall_ns + self.answered_ns - begun_ns
        self.started = DaemonStarted(self.plan.pool, self.plan.tenant, begun_wall_ns, ended_wall_ns, seen.version)
        self._decide(Stage.ANSWERING)
        return True

    def _decide(self, stage: Stage) -> None:
        self.stage = stage
        self._is_decided.set()
        self._tell_decided(self)

    async def _wait_answer(self, process: DaemonProcess) -> Seen:
        limit_ns = self.plan.template.start_timeout
        seen = Seen(is_up=False)
        try:
            async with asyncio.timeout(limit_ns / SECOND_NS):
                while not (seen := await _look(self.plan.address)).is_up:
                    self._check()
                    await asyncio.sleep(ASK_AGAIN_S)
        except TimeoutError:
            raise NotStarted(
                f"it did not answer within {said(limit_ns)} ({seen.detail}): {process.last_words}"
            ) from None
        return seen

    def _check(self) -> None:
        if self._is_told_to_end:
            raise NotStarted("kilngate stops")
        if self._process is not None and self._process.exit_code is not None:
            raise NotStarted(self._death(self._process))

    async def _stay(self) -> None:
        """Wait until it is not needed any more, or is gone by itself; `end` says which."""
        assert self._process is not None
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(self._process))
            while (end := self._reason_to_end(self._process)) is None:
                self._news.clear()
                await self._wait_news()
            self.end, self.stage = end, Stage.ENDING
            watching.cancel()
        if end is DaemonEnd.CRASHED:
            self.failure = self._death(self._process)

    def _reason_to_end(self, process: DaemonProcess) -> DaemonEnd | None:
        if process.exit_code is not None:
            return DaemonEnd.CRASHED
        if self._is_told_to_end:
            return DaemonEnd.STOPPED
        return DaemonEnd.IDLE if not self._connections and self._idle_left_ns() <= 0 else None

    def _death(self, process: DaemonProcess) -> str:
        return one_line(f"it ended with exit code {process.exit_code}: {process.last_words}")

    def _idle_left_ns(self) -> int:
        return self._idle_since_ns + self._idle_ns - now_ns()

    async def _wait_news(self) -> None:
        left_s = None if self._connections else self._idle_left_ns() / SECOND_NS
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._news.wait()

    async def _watch(self, process: DaemonProcess) -> None:
        await process.wait()
        self._news.set()


async def _look(address: UpstreamAddress) -> Seen:
    """Look at a daemon that may not be there yet; the first question is a cheap one."""
    try:
        sock, _ = await open_upstream(address)
    except OSError as error:
        return Seen(is_up=False, detail=one_line(error.strerror or error))
    sock.close()
    return await look(address)
