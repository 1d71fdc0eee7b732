"""The writer of the audit log: makes records of events, chains them, appends them.

One thread at a time. Lines that the disk does not take are kept as they are, chained
already, and tried again before anything else.
"""

from collections.abc import Iterable

from proxy.errors import one_line
from proxy.events import CallRefused, Event, ReloadFailed, SettingsLoaded
from proxy.sinks.audit_file import AuditFile
from proxy.sinks.audit_records import AuditRecords, Body
from proxy.sinks.chain import Chain
from proxy.sinks.flood import FloodGate, Held
from proxy.sinks.stamp import SECOND_NS, stamp

# Refusals a minute: of one kind to one caller, and of all. Further ones become one record with their number, so
# that nobody fills the disk by being refused.
REFUSALS_EACH, REFUSALS_IN_ALL = 30, 1200
# The parts of a refusal's key in the gate, as the record of the repeated ones names them.
KEY_NAMES = ("tenant", "subject", "peer", "method", "reason")


class AuditWriter:
    """Writes batches of events; goes on with the chain that the file holds.

    `fault` says why the last batch is not on the disk yet; empty if it is.
    """

    def __init__(self, file: AuditFile) -> None:
        self.fault = ""
        self.chain = Chain()
        self._file = file
        self._records = AuditRecords()
        self._gate = FloodGate(each=REFUSALS_EACH, in_all=REFUSALS_IN_ALL, window_ns=60 * SECOND_NS)
        self._unwritten: list[bytes] = []
        self._is_begun = False
        self._is_moved = False
        self._failures = 0
        self._lost_told = 0

    def keeps(self, event: Event) -> bool:
        """Say whether `write` would do anything with `event`; safe to ask from any thread."""
        return self._records.keeps(event)

    def retry(self, *, wall_ns: int) -> bool:
        """Open the file if that is still to be done, write what earlier batches left; say whether nothing is left."""
        try:
            self._open(wall_ns)
            if self._unwritten:
                self._file.append(b"".join(self._unwritten))
        except OSError as failure:
            self.fault = f"{self._file.path}: {failure.strerror or failure}"
            self._failures += 1
            return False
        self._unwritten, self.fault = [], ""
        return True

    def write(self, batch: Iterable[tuple[int, Event]], *, wall_ns: int, lost: int) -> None:
        """Write records of `batch`, pairs of wall time and event; `lost` counts events that never got here.

        Call it after `retry` said that nothing is left: what the disk does not take must stay bounded.
        """
        if self._failures or lost > self._lost_told:
            gap: Body = {"event": "log-recovered", "failures": self._failures, "lost": lost - self._lost_told}
            self._add(wall_ns, gap)
            self._failures, self._lost_told = 0, lost
        for at_ns, event in batch:
            self._take(at_ns, event)
        self._tell_held(self._gate.ended(wall_ns), wall_ns)
        self.retry(wall_ns=wall_ns)

    def finish(self, *, wall_ns: int) -> None:
        """Write what the gate still holds."""
        self._tell_held(self._gate.close(), wall_ns)
        self.retry(wall_ns=wall_ns)

    def _take(self, at_ns: int, event: Event) -> None:
        self._is_moved = self._is_moved or isinstance(event, SettingsLoaded | ReloadFailed)
        try:
            body = self._records.body(event)
            if body is not None and self._is_admitted(at_ns, event):
                self._add(at_ns, body)
        except Exception as failure:  # a record that cannot be made must not take the whole batch with it
            self._add(at_ns, {"event": "record-failed", "of": type(event).__name__, "detail": type(failure).__name__})

    def _is_admitted(self, at_ns: int, event: Event) -> bool:
        if not isinstance(event, CallRefused):
            return True
        self._tell_held(self._gate.ended(at_ns), at_ns)
        return self._gate.admits("proven" if event.caller else "unproven", _key(event), now_ns=at_ns)

    def _tell_held(self, held: Iterable[Held], wall_ns: int) -> None:
        for one in held:
            who = dict(zip(KEY_NAMES, one.key, strict=True)) if isinstance(one.key, tuple) else {}
            body: Body = {"event": "calls-refused", "decision": "deny", "count": one.count, **who}
            self._add(wall_ns, body)

    def _add(self, wall_ns: int, body: Body) -> None:
        self._unwritten.append(self.chain.link({"ts": stamp(wall_ns), **body}))

    def _open(self, wall_ns: int) -> None:
        if not self._is_begun:
            self._begin(wall_ns)
        elif self._is_moved and self._file.is_moved():
            # The chain goes on in the new file: its first record carries the hash of the old file's last.
            self._file.open()
        self._is_moved = False

    def _begin(self, wall_ns: int) -> None:
        tail = self._file.open()
        self.chain, self._is_begun = Chain(tail.seq, tail.head), True
        if tail.is_open:
            self._unwritten.append(b"\n")
        self._add(wall_ns, {"event": "log-opened", "torn": True} if tail.is_torn else {"event": "log-opened"})


def _key(event: CallRefused) -> tuple[str, ...]:
    tenant, subject = (event.caller.tenant, one_line(event.caller.subject)) if event.caller else ("", "")
    host = event.peer.rpartition(":")[0]
    return tenant, subject, one_line(host), event.method, event.reason.label
