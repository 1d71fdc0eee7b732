"""The process of a build daemon that kilngate runs: started with little, ended with all it started."""

import asyncio
import os
import signal
from contextlib import suppress

from proxy.edge.daemon_home import Claim, last_words, open_log, prepare
from proxy.processes import ProcessId, descendants, end, end_with_parent, identify, left_behind
from proxy.routing.routes import OnDemand
from proxy.routing.template import Home

# How long a daemon may take to stop in good order.
STOP_S = 10.0
# A killed process is gone in a moment, unless the kernel holds it (a disk that does not answer).
KILL_S = 5.0


class DaemonProcess:
    """A daemon's process. It leads a session of its own: a Ctrl-C at our terminal reaches us alone."""

    def __init__(self, home: Home, claim: Claim, process: asyncio.subprocess.Process, log_octets: int) -> None:
        self._home = home
        self._claim = claim
        self._process = process
        self._log_octets = log_octets
        self._is_given_back = False
        # One that has ended already has no start that could be read; what it left behind is found by its number.
        self.id = identify(process.pid) or ProcessId(process.pid, 0)

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.returncode

    @property
    def last_words(self) -> str:
        """The last line that it wrote to its log."""
        return last_words(self._home, self._log_octets)

    async def wait(self) -> None:
        """Wait until it has ended."""
        await self._process.wait()

    async def end(self) -> None:
        """Ask it to end, then make it and all it started end; give its home back."""
        family = await asyncio.to_thread(descendants, self.id.number)
        if self.exit_code is None:
            self._send(signal.SIGTERM)
            await self._wait_at_most(STOP_S)
        await self._kill()
        await asyncio.to_thread(end, [*family, *left_behind(self.id)])
        self._give_back()

    async def kill(self) -> None:
        """End the process and its group at once; after `end` nothing is left to do."""
        await self._kill()
        self._give_back()

    async def _kill(self) -> None:
        if self.exit_code is None:
            self._send(signal.SIGKILL)
            await self._wait_at_most(KILL_S)

    def _give_back(self) -> None:
        if not self._is_given_back:
            self._is_given_back = True
            self._claim.close(is_empty=self.exit_code is not None)

    async def _wait_at_most(self, limit_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self.wait()

    def _send(self, number: signal.Signals) -> None:
        # While the process is there, no other group can have its number.
        if identify(self.id.number) == self.id:
            with suppress(ProcessLookupError):
                os.killpg(self.id.number, number)


async def start(plan: OnDemand) -> DaemonProcess:
    """Start the daemon of `plan` in its home.

    Raises:
        OSError: its home cannot be had, or its program not be started.
    """
    home = plan.home
    claim = await asyncio.to_thread(prepare, home)
    try:
        log = open_log(home)
        try:
            log_octets = os.fstat(log).st_size
            process = await _spawn(plan, log)
        finally:
            os.close(log)
    except BaseException:
        claim.close(is_empty=True)
        raise
    started = DaemonProcess(home, claim, process, log_octets)
    claim.write(started.id)
    return started


async def _spawn(plan: OnDemand, log: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        # Not SIGTERM: what must not outlive us has no say, and `unshare` would not even hear it.
        *end_with_parent(signal.SIGKILL),
        *plan.template.fill(plan.home, plan.tenant),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=plan.home.path,
        # Nothing of ours: secrets of the door are no business of a daemon that runs other people's builds.
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": plan.home.path,
            "XDG_RUNTIME_DIR": plan.home.run,
            **plan.template.environment,
        },
        start_new_session=True,
    )
