"""Metrics, audit and log of a process, wired as its settings say."""

import asyncio
import sys
import traceback
from collections.abc import Callable
from pathlib import Path, PurePath

from proxy.events import AuditFailed, Warned
from proxy.settings.schema import Settings
from proxy.sinks.audit import AuditSink
from proxy.sinks.audit_file import AuditFile
from proxy.sinks.log import LogSink
from proxy.sinks.outlet import Outlet
from proxy.sinks.prometheus import PrometheusSink
from proxy.sinks.stream import EventStream
from proxy.sinks.wording import Level

FLUSH_SECONDS = 1.0
# Of a fault of our own: where it was raised, and the few steps that led there.
FRAMES = 4


class Observers:
    """All that a process tells about itself: `emit` events, `render` metrics.

    `version` is kilngate's, `openssl` that of the library which speaks TLS; `now_ns` and
    `wall_ns` read the clocks. The log goes to the descriptor `log_to`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        version: str,
        openssl: str,
        now_ns: Callable[[], int],
        wall_ns: Callable[[], int],
        log_to: int | None = None,
    ) -> None:
        """Begin as `settings` say.

        Raises:
            OSError: the audit log cannot be opened or written, or another process writes it.
        """
        self._wall_ns = wall_ns
        self._metrics = PrometheusSink(version=version, openssl=openssl)
        self._outlet = Outlet(sys.__stderr__.fileno() if log_to is None and sys.__stderr__ else log_to or 2)
        self._log = LogSink(self._outlet, now_ns=now_ns, wall_ns=wall_ns)
        self._stream = EventStream((self._metrics, self._log))
        self._audit: AuditSink | None = None
        self.emit = self._stream.emit
        self.render = self._metrics.render
        self._configure_log(settings)
        self._configure_audit(settings)

    def is_audited(self) -> bool:
        """Say whether calls may go on: the audit log can be written, or need not be."""
        return self._audit is None or self._audit.is_healthy

    def reopen(self, settings: Settings) -> None:
        """Take the settings of a new generation; an audit log that cannot be opened is tried again each second."""
        self._configure_log(settings)
        try:
            self._configure_audit(settings)
        except OSError as failure:
            self.emit(AuditFailed(str(failure)))

    async def run(self) -> None:
        """Write the audit log each second until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            if self._audit is not None:
                await self._audit.tick()

    def report_bug(self, failure: Exception) -> None:
        """Say where our own code failed; never what it held, for that may be a secret."""
        steps = traceback.extract_tb(failure.__traceback__)[-FRAMES:]
        where = " > ".join(f"{PurePath(step.filename).name}:{step.lineno} {step.name}" for step in steps)
        self.emit(Warned(f"kilngate's own fault: {type(failure).__name__} at {where}"))

    def close(self) -> None:
        """Write what waits, and close what is open."""
        if self._audit is not None:
            self._audit.close()
        self._log.close()
        self._outlet.close()

    def _configure_log(self, settings: Settings) -> None:
        self._log.configure(form=settings.log.format, level=Level[settings.log.level.upper()])
        self._stream.route_again()

    def _configure_audit(self, settings: Settings) -> None:
        wanted = settings.audit
        if wanted.file is None:
            self._stop_audit()
            return
        path, is_denying = Path(wanted.file), wanted.on_failure == "refuse"
        if self._audit is not None:
            self._audit.configure(path, is_sync=wanted.sync, is_denying=is_denying)
            return
        self._audit = AuditSink(
            AuditFile(path), emit=self.emit, wall_ns=self._wall_ns, is_sync=wanted.sync, is_denying=is_denying
        )
        self._stream.add(self._audit)
        self._audit.open()

    def _stop_audit(self) -> None:
        if self._audit is not None:
            self._stream.remove(self._audit)
            self._audit.close()
            self._audit = None
