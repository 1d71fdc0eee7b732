"""The audit log: who was let in or turned away, by which rule, and what came of it.

JSON lines in a hash chain (`chain`), kept apart from the ordinary log. On the event
loop an event is only put in line; `audit_writer` does the rest each second in a thread,
or at once where `is_sync` is set. What the disk does not take waits, and is tried again
each second.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from proxy.events import AuditFailed, AuditSealed, Event
from proxy.sinks.audit_file import AuditFile
from proxy.sinks.audit_writer import AuditWriter
from proxy.sinks.stamp import SECOND_NS

FLUSH_SECONDS = 1.0
SEAL_EVERY_NS = 3600 * SECOND_NS
# Events that may wait for a disk which takes none; later ones are only counted.
WAITING_LIMIT = 20_000
# A writer that is this far behind hangs: nothing failed yet, and nothing is written either.
WAITING_TOO_LONG = WAITING_LIMIT // 2


class AuditSink:
    """Writes the audit log.

    `emit` is the event stream (for AuditFailed and AuditSealed), `wall_ns` reads the wall
    clock. Where `is_denying`, calls must be refused while the log cannot be written.
    """

    def __init__(
        self,
        file: AuditFile,
        *,
        emit: Callable[[Event], None],
        wall_ns: Callable[[], int],
        is_sync: bool = False,
        is_denying: bool = True,
    ) -> None:
        self._file = file
        self._emit = emit
        self._wall_ns = wall_ns
        self._is_sync = is_sync
        self._is_denying = is_denying
        self._waiting: deque[tuple[int, Event]] = deque()
        self._lost = 0
        self._writer = AuditWriter(file)
        self._turn = threading.Lock()
        self._seal_at_ns = 0
        self._sealed_head = ""

    @property
    def fault(self) -> str:
        """What keeps the log from being written now; empty if nothing does."""
        if len(self._waiting) > WAITING_TOO_LONG:
            return "the disk does not answer"
        return self._writer.fault

    @property
    def is_healthy(self) -> bool:
        """Whether calls may go on: the log can be written, or need not be."""
        return not (self._is_denying and self.fault)

    def configure(self, path: Path, *, is_sync: bool, is_denying: bool) -> None:
        """Take other settings; the chain goes on in another file from the next reload's record on."""
        self._file.path = path
        self._is_sync, self._is_denying = is_sync, is_denying

    def open(self) -> None:
        """Open the file and go on with its chain; before the first event.

        Raises:
            OSError: it cannot be opened or written, or another process writes it. It is
                tried again at each `flush`.
        """
        self.flush()
        if self._writer.fault:
            raise OSError(self._writer.fault)
        self._seal()

    def __call__(self, event: Event) -> None:
        """Put `event` in line for the log."""
        if not self._writer.keeps(event):
            return
        if len(self._waiting) >= WAITING_LIMIT:
            self._lost += 1
            return
        self._waiting.append((self._wall_ns(), event))
        if self._is_sync:
            self.flush()
            self._tell()

    def flush(self) -> None:
        """Write what waits; waits for the disk. Failure shows in `fault`."""
        with self._turn:
            wall_ns = self._wall_ns()
            if self._writer.retry(wall_ns=wall_ns):
                batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
                self._writer.write(batch, wall_ns=wall_ns, lost=self._lost)

    async def tick(self) -> None:
        """Write what waits, in a thread; say the head each hour. Wanted each second."""
        await asyncio.to_thread(self.flush)
        self._tell()
        if self._wall_ns() >= self._seal_at_ns:
            self._seal()

    async def run(self) -> None:
        """Tick each second until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.tick()

    def close(self) -> None:
        """Write what waits, say the head, and close the file."""
        self.flush()
        with self._turn:
            self._writer.finish(wall_ns=self._wall_ns())
        self._tell()
        self._seal()
        self._file.close()

    def _tell(self) -> None:
        if fault := self.fault:
            self._emit(AuditFailed(fault))

    def _seal(self) -> None:
        self._seal_at_ns = self._wall_ns() + SEAL_EVERY_NS
        if not self.fault and self._writer.chain.head != self._sealed_head:
            self._sealed_head = self._writer.chain.head
            self._emit(AuditSealed(self._writer.chain.seq, self._sealed_head))
