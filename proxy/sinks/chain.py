"""The chain of the audit log: each line carries the SHA-256 of the line before it.

Whoever changes, drops or moves a line must rewrite all that follow, and then the
head (the hash of the last line) is another one. So a head that was noted elsewhere,
for example in a log that is shipped away, proves everything before it.

A line is one JSON object, ASCII only, that begins with `seq` (1, 2, 3, ...) and
`prev` (hex; 64 zeros before line 1). The hash covers the line without its line end.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

GENESIS = "0" * 64


class Chain:
    """Where the chain stands: `seq` and `head` of the last line."""

    def __init__(self, seq: int = 0, head: str = GENESIS) -> None:
        self.seq = seq
        self.head = head

    def link(self, body: Mapping[str, object]) -> bytes:
        """Return `body` as the next line, with its line end."""
        record = {"seq": self.seq + 1, "prev": self.head, **body}
        # ASCII only: no terminal, pager or parser can be fooled by what a name carries.
        line = json.dumps(record, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii")
        self.seq += 1
        self.head = digest(line)
        return line + b"\n"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first broken place: `line` counts from 1 over all that was read."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the lines prove. `fault` is None if they form one unbroken chain."""

    lines: int
    first_seq: int
    last_seq: int
    head: str
    fault: Fault | None


def digest(line: bytes) -> str:
    """Return the hash of a line, in hex; a line end does not count."""
    return hashlib.sha256(line.rstrip(b"\n")).hexdigest()


def read_link(line: bytes) -> tuple[int, str, dict[str, object]] | None:
    """Return `seq`, `prev` and the whole record of a line, or None if it is not one."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    seq, prev = record.get("seq"), record.get("prev")
    if type(seq) is not int or not isinstance(prev, str):
        return None
    return seq, prev, record


def verify(lines: Iterable[bytes], *, head: str | None = None) -> Verdict:
    """Walk the lines, oldest first, and say whether they form one chain.

    The first line may be any (older files were rotated away), but line 1 of a chain must
    say so. With `head`, the chain must pass through that hash: a chain that was cut off
    before it is broken.
    """
    walk = _Walk()
    is_head_met = False
    for line in lines:
        walk.step(line)
        if walk.fault:
            break
        is_head_met = is_head_met or walk.head == head
    fault = walk.fault or walk.open_end()
    if not fault and head is not None and not is_head_met:
        fault = Fault(walk.lines, f"no line has the hash {head}: lines were cut off at the end, or it is another chain")
    return Verdict(walk.lines, walk.first_seq, walk.seq, walk.head, fault)


class _Walk:
    """One pass over the lines of a chain."""

    def __init__(self) -> None:
        self.lines = 0
        self.first_seq = 0
        self.seq = 0
        self.head = GENESIS
        self.fault: Fault | None = None
        self._torn_line = 0

    def step(self, line: bytes) -> None:
        """Take the next line."""
        self.lines += 1
        link = read_link(line)
        if link is None:
            self._step_torn(line)
            return
        seq, prev, record = link
        self.fault = self._judge(seq, prev, record)
        self.first_seq = self.first_seq or seq
        self.seq, self.head, self._torn_line = seq, digest(line), 0

    def open_end(self) -> Fault | None:
        """Return the fault of a chain that ends here, if any."""
        return Fault(self._torn_line, "not a complete record") if self._torn_line else None

    def _step_torn(self, line: bytes) -> None:
        # A crash can leave half a line. The next start keeps it, and its first record says so.
        if self._torn_line:
            self.fault = self.open_end()
        self._torn_line, self.head = self.lines, digest(line)

    def _judge(self, seq: int, prev: str, record: dict[str, object]) -> Fault | None:
        if self._torn_line and record.get("torn") is not True:
            return self.open_end()
        if self.first_seq == 0 and not self._torn_line:
            return None if (seq == 1) == (prev == GENESIS) else Fault(self.lines, "the chain does not begin here")
        if self.first_seq and seq != self.seq + 1:
            return Fault(
                self.lines,
                f"record {seq} follows record {self.seq}: lines are missing, were added, or stand in another order",
            )
        if prev != self.head:
            return Fault(self.lines - 1, f"record {self.seq} was changed: the next line carries another hash of it")
        return None
