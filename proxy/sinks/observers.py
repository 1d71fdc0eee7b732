"""All readers of the event stream, made from the settings."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from proxy.events import Event, Warned
from proxy.settings.schema import Settings
from proxy.sinks.audit import AuditSink
from proxy.sinks.audit_file import AuditFile
from proxy.sinks.log import LogSink
from proxy.sinks.outlet import Outlet
from proxy.sinks.prometheus import PrometheusSink
from proxy.sinks.stream import EventStream
from proxy.sinks.wording import Level


class Observers:
    """Metrics, log and audit of one process.

    Raises:
        OSError: the audit log cannot be opened.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        version: str,
        openssl: str,
        now_ns: Callable[[], int],
        wall_ns: Callable[[], int],
    ) -> None:
        self._stream = EventStream()
        self.emit: Callable[[Event], None] = self._stream.emit
        self._metrics = PrometheusSink(version=version, openssl=openssl)
        self._outlet = Outlet(sys.stderr.fileno())
        self._log = LogSink(
            self._outlet,
            now_ns=now_ns,
            wall_ns=wall_ns,
            form=settings.log.format,
            level=Level[settings.log.level.upper()],
        )
        self._stream.add(self._metrics)
        self._stream.add(self._log)
        self._audit: AuditSink | None = None
        if settings.audit.file is not None:
            self._audit = AuditSink(
                AuditFile(Path(settings.audit.file)),
                emit=self.emit,
                wall_ns=wall_ns,
                is_sync=settings.audit.sync,
                is_denying=settings.audit.on_failure == "refuse",
            )
            self._audit.open()
            self._stream.add(self._audit)

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return self._metrics.render()

    def is_audited(self) -> bool:
        """Whether calls may go on as far as the audit log is concerned."""
        return self._audit is None or self._audit.is_healthy

    def report_bug(self, error: Exception) -> None:
        """Say where our own code failed. The error's text may quote a caller, so only its type and place are told."""
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        places = " < ".join(f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in reversed(frames))
        self.emit(Warned(f"a bug of kilngate: {type(error).__name__} at {places}"))

    def reopen(self) -> None:
        """Open the audit log again, after its file was moved away by a log rotation."""
        if self._audit is not None:
            try:
                self._audit.open()
            except OSError as error:
                self.emit(Warned(f"the audit log cannot be opened again: {error.strerror}"))

    async def run(self) -> None:
        """Write the audit log regularly until cancelled."""
        if self._audit is not None:
            await self._audit.run()

    def close(self) -> None:
        """Write what is left."""
        self._log.close()
        if self._audit is not None:
            self._audit.close()
        self._outlet.close()
