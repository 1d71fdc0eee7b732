"""The process of a build daemon that kilngate runs: started with little, ended with all it started."""

import asyncio
import os
import signal
from contextlib import suppress

from proxy.edge.daemon_home import last_words, note, open_log, prepare
from proxy.processes import ProcessId, descendants, end, end_with_parent, identify, left_behind
from proxy.routing.routes import OnDemand
from proxy.routing.template import Home

# How long a daemon may take to stop in good order.
STOP_S = 10.0


class DaemonProcess:
    """A daemon's process. It leads a session of its own: a Ctrl-C at our terminal reaches us alone."""

    def __init__(self, home: Home, process: asyncio.subprocess.Process, log_octets: int) -> None:
        self._home = home
        self._process = process
        self._log_octets = log_octets
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
        """Ask it to end, then make it and all it started end."""
        family = await asyncio.to_thread(descendants, self.id.number)
        if self.exit_code is None:
            self._send(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await self.wait()
        self.kill()
        await self.wait()
        await asyncio.to_thread(end, [*family, *left_behind(self.id)])
        with suppress(FileNotFoundError):
            os.unlink(self._home.note)

    def kill(self) -> None:
        """End the process and its group at once, without waiting."""
        if self.exit_code is None:
            self._send(signal.SIGKILL)

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
    home, template = plan.home, plan.template
    await asyncio.to_thread(prepare, home)
    log = open_log(home)
    try:
        log_octets = os.fstat(log).st_size
        process = await asyncio.create_subprocess_exec(
            # Not SIGTERM: what must not outlive us has no say, and `unshare` would not even hear it.
            *end_with_parent(signal.SIGKILL),
            *template.fill(home, plan.tenant),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home.path,
            # Nothing of ours: secrets of the door are no business of a daemon that runs other people's builds.
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": home.path,
                "XDG_RUNTIME_DIR": home.run,
                **template.environment,
            },
            start_new_session=True,
        )
    finally:
        os.close(log)
    started = DaemonProcess(home, process, log_octets)
    note(home, started.id)
    return started
