"""What the relay asks about calls: the words between HTTP/2 and whoever decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from proxy.errors import Refused
from proxy.reasons import Code, Reason

Fields = Sequence[tuple[bytes, bytes]]


class Call(Protocol):
    """One call that may go on, as far as the relay must know it."""

    @property
    def fields(self) -> tuple[tuple[bytes, bytes], ...]:
        """The head that the daemon sees."""

    @property
    def is_read(self) -> bool:
        """The request message must be judged before any octet of it reaches the daemon."""

    @property
    def is_waiting(self) -> bool:
        """The request's octets must be kept until `Relay.let_go` is called."""

    @property
    def is_observed(self) -> bool:
        """The octets of the answer are shown to `Calls.observe`."""

    @property
    def is_rewritten(self) -> bool:
        """The messages of the answer go through `Calls.rewrite` before the caller gets them."""

    @property
    def message_limit_octets(self) -> int:
        """The longest request message that is read; used only if `is_read`."""

    @property
    def answer_limit_octets(self) -> int:
        """The longest message of an answer that is read; used only if `is_rewritten`."""

    @property
    def answer(self) -> bytes | None:
        """An answer of our own, as a framed message; the daemon is not asked."""


AnyCall = TypeVar("AnyCall", bound=Call)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request that was judged: it goes on, another message in its place, or we answer it."""

    message: bytes | None = None
    """The message that the daemon gets; None is the caller's own."""
    answer: bytes | None = None
    """Framed messages that answer the call (empty: none); the daemon shall not work on it."""


AS_IT_IS = Verdict()


class Calls(Protocol[AnyCall]):
    """Decides about the calls of one connection. Every admitted call is told `ended` exactly once."""

    def begin(self, stream: int, fields: Fields, now_ns: int) -> AnyCall | None:
        """Return the admitted call, or None if it cannot be decided yet (`Relay.retry` asks again).

        Raises:
            Refused: the call is turned away; `refused` follows.
        """

    def judge(self, call: AnyCall, message: bytes, now_ns: int) -> Verdict:
        """Judge the whole request message of a call that `is_read`.

        Raises:
            Refused: the call is turned away; `refused` follows.
        """

    def observe(self, call: AnyCall, octets: memoryview) -> None:
        """See octets of the answer, in order. The view is reused after the call."""

    def rewrite(self, call: AnyCall, message: bytes | None) -> Sequence[bytes]:
        """Return the messages that the caller gets for one of the daemon's, or at the end (None) of its answer.

        Raises:
            Refused: the answer must not go on; `ended` follows.
        """

    def reword(self, call: AnyCall, trailers: Fields) -> Fields:
        """Return the trailers that the caller gets for those of a call that the daemon failed."""

    def refused(self, stream: int, call: AnyCall | None, refused: Refused, now_ns: int) -> tuple[Code, str]:
        """Note a refusal and return the status that the caller reads."""

    def ended(self, call: AnyCall, code: Code, reason: Reason | None, now_ns: int) -> None:
        """Note the end of a call; `reason` is set if kilngate ended it."""

    def passed(self, call: AnyCall, received_octets: int, sent_octets: int) -> None:
        """Note octets of messages that passed since the last time."""
