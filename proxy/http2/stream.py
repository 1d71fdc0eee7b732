"""One stream of the relay: the same number on both connections."""

from collections import deque

from proxy.grpc.framing import MessageReader
from proxy.http2.backlog import Backlog
from proxy.http2.calls import Call, Fields
from proxy.http2.credit import Window


class Stream:
    """A stream that the caller opened and that is not over on both sides.

    `up` is the direction from caller to daemon, `down` the other one; `queue` and `back`
    are what waits in them. `is_direct` and `is_back_direct` sum up what the hot paths
    must know: DATA of the caller, of the daemon, passes as it is. `trailers` wait until
    `back` is out.
    """

    __slots__ = (
        "back",
        "call",
        "caller_ended",
        "closes_after",
        "daemon_ended",
        "down",
        "end_passed",
        "fields",
        "is_answered",
        "is_back_direct",
        "is_direct",
        "is_forwarded",
        "is_ours",
        "is_over",
        "is_waiting",
        "number",
        "observed",
        "opened_ns",
        "queue",
        "reader",
        "received_octets",
        "rewriter",
        "sent_octets",
        "trailers",
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
        self.rewriter: MessageReader | None = None
        self.queue: Backlog = deque()
        self.back: Backlog = deque()
        self.trailers: Fields | None = None
        self.is_waiting = False
        self.is_forwarded = False
        self.is_direct = False
        self.is_back_direct = False
        self.is_answered = False
        # The answer is our own: whatever the daemon still says is not for the caller.
        self.is_ours = False
        # Nobody listens to the caller any more: its stream is closed behind the trailers.
        self.closes_after = False
        self.is_over = False
        self.observed = False
        self.caller_ended = False
        self.end_passed = False
        self.daemon_ended = False
        self.received_octets = 0
        self.sent_octets = 0

    @property
    def is_kept(self) -> bool:
        """The request's octets may not go on yet: unread, undecided or waiting."""
        return not self.is_forwarded or self.reader is not None or self.is_waiting

    @property
    def is_done(self) -> bool:
        """Both sides have ended it, and nothing waits."""
        return self.caller_ended and self.daemon_ended and not self.queue and not self.back and self.trailers is None

    def take_up(self, call: Call) -> None:
        """Take over what was decided about the call by now."""
        self.is_waiting = call.is_waiting
        self.observed = call.is_observed
        if call.is_rewritten and self.rewriter is None:
            self.rewriter = MessageReader(call.answer_limit_octets)
        self.settle_back()

    def settle(self) -> None:
        """Set `is_direct` again after anything but passing octets happened."""
        self.is_direct = not (self.is_kept or self.queue or self.caller_ended) and self.up.gap >= 0

    def settle_back(self) -> None:
        """Set `is_back_direct` again after what decides about it has changed."""
        self.is_back_direct = not (self.observed or self.rewriter or self.back) and self.down.gap >= 0
