"""The life of one call, as a table.

    JUDGING --admitted--> RUNNING          bulk methods: the head decides
    JUDGING --must wait--> WAITING         the build that it names is not there yet
    WAITING --build is there--> RUNNING
    any of these --ended, refused--> ENDED, once

A call holds permits (an open stream, a build's slot, a session's name). They are
given back when it ends, each exactly once, whoever ends it.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

from proxy.buildkit.methods import Method, Treatment
from proxy.buildkit.namespace import RememberedNames
from proxy.caller import Caller
from proxy.events import CallId
from proxy.policy.engine import Shadowed


class Rewriter(Protocol):
    """Makes of a daemon's answer what the caller may have of it."""

    def feed(self, message: bytes) -> Sequence[bytes]:
        """Return the messages that the caller gets for one of the daemon's.

        Raises:
            Refused: the answer must not go on.
        """

    def finish(self) -> Sequence[bytes]:
        """Return the messages that the caller gets at the end.

        Raises:
            Refused: as `feed`.
        """


class State(Enum):
    """Where a call stands."""

    JUDGING = "judging"
    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


_NEXT = {
    State.JUDGING: frozenset({State.WAITING, State.RUNNING, State.ENDED}),
    State.WAITING: frozenset({State.RUNNING, State.ENDED}),
    State.RUNNING: frozenset({State.ENDED}),
    State.ENDED: frozenset(),
}


class Call:
    """One call of a proven caller, under the names of its tenant. Times are monotonic nanoseconds.

    It answers the questions of the relay (`proxy.http2.calls.Call`).
    """

    __slots__ = (
        "_state",
        "_undo",
        "answer",
        "answer_limit_octets",
        "caller",
        "deadline_ns",
        "fields",
        "id",
        "is_observed",
        "is_read",
        "message_limit_octets",
        "method",
        "names",
        "received_octets",
        "ref",
        "rewriter",
        "sent_octets",
        "shadowed",
        "started_ns",
    )

    def __init__(
        self,
        call_id: CallId,
        caller: Caller,
        method: Method,
        fields: tuple[tuple[bytes, bytes], ...],
        now_ns: int,
        *,
        names: RememberedNames,
    ) -> None:
        self.id = call_id
        self.caller = caller
        self.method = method
        self.fields = fields
        self.names = names
        self.started_ns = now_ns
        self.deadline_ns: int | None = None
        self.ref = ""
        self.answer: bytes | None = None
        self.is_read = method.treatment is Treatment.INSPECT
        self.rewriter: Rewriter | None = None
        # What rules of its policy that only count would have refused.
        self.shadowed: tuple[Shadowed, ...] = ()
        self.message_limit_octets = method.message_limit_octets
        self.answer_limit_octets = method.answer_limit_octets
        self.is_observed = False
        self.received_octets = 0
        self.sent_octets = 0
        self._state = State.JUDGING
        self._undo: list[Callable[[], None]] = []

    @property
    def state(self) -> State:
        """Where the call stands."""
        return self._state

    @property
    def is_rewritten(self) -> bool:
        """The answer's messages go through `rewriter`."""
        return self.rewriter is not None

    @property
    def is_waiting(self) -> bool:
        """The octets of the request may not go on yet."""
        return self._state is State.WAITING

    def holds(self, give_back: Callable[[], None]) -> None:
        """Take note of something that must be given back when the call ends."""
        self._undo.append(give_back)

    def move(self, state: State) -> None:
        """Go to another state.

        Raises:
            ValueError: the table has no such way; an ended call stays ended.
        """
        if state not in _NEXT[self._state]:
            raise ValueError(f"a call cannot go from {self._state.value} to {state.value}")
        self._state = state

    def end(self) -> bool:
        """End the call and give back what it holds; tell whether it was not ended before."""
        if self._state is State.ENDED:
            return False
        self._state = State.ENDED
        while self._undo:
            self._undo.pop()()
        return True
