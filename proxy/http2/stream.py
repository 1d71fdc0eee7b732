"""One stream of the relay: the same number on both connections."""

from collections import deque

from proxy.grpc.framing import MessageReader
from proxy.http2.calls import Call, Fields
from proxy.http2.credit import Window


class Stream:
    """A stream that the caller opened and that is not over on both sides.

    `up` is the direction from caller to daemon, `down` the other one. `is_direct` and
    `is_plain` sum up what the hot paths must know: DATA of the caller, and of the
    daemon, passes as it is.

    `queue` is what is kept of the request; `rest` is what the caller has no room for
    yet of an answer, and `last` the head that ends that answer.
    """

    __slots__ = (
        "call",
        "caller_ended",
        "daemon_ended",
        "down",
        "end_passed",
        "fields",
        "is_answered",
        "is_direct",
        "is_forwarded",
        "is_ours",
        "is_over",
        "is_plain",
        "is_waiting",
        "last",
        "number",
        "observed",
        "opened_ns",
        "queue",
        "reader",
        "received_octets",
        "rest",
        "sent_octets",
        "up",
    )

    def __init__(self, number: int, fields: Fields, *, up_initial: int, down_initial: int, now_ns: int) -> None:
        self.number = number
        self.fields = fields
        self.opened_ns = now_ns
        self.up = Window(up_initial)
        self.down = Window(down_initial)
        self.call: Call | None = None
        self.reader: MessageReader | None = None
        self.queue: deque[bytes] = deque()
        self.rest: list[bytes] = []
        self.last: Fields | None = None
        self.is_waiting = False
        self.is_forwarded = False
        self.is_direct = False
        self.is_plain = True
        self.is_answered = False
        self.is_ours = False
        self.is_over = False
        self.observed = False
        self.caller_ended = False
        self.end_passed = False
        self.daemon_ended = False
        self.received_octets = 0
        self.sent_octets = 0

    @property
    def is_kept(self) -> bool:
        """The request's octets may not go on yet: unread, undecided, waiting, or answered by us."""
        return not self.is_forwarded or self.reader is not None or self.is_waiting or self.is_ours

    @property
    def is_done(self) -> bool:
        """Both sides have ended it, and nothing of either waits here."""
        return self.caller_ended and self.daemon_ended and not self.queue and not self.rest

    def take_up(self, call: Call) -> None:
        """Take over what was decided about the call by now."""
        self.is_waiting = call.is_waiting
        self.observed = call.is_observed
        self.settle_answer()

    def settle(self) -> None:
        """Set `is_direct` again after anything but passing octets happened."""
        self.is_direct = not (self.is_kept or self.queue or self.caller_ended) and self.up.gap >= 0

    def settle_answer(self) -> None:
        """Set `is_plain` again: the answer is the daemon's, nothing of it waits, nobody looks at it."""
        self.is_plain = not (self.is_ours or self.rest or self.observed)
