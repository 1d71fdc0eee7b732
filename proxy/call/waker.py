"""What the owner of a connection offers to its calls, when what they waited for is there."""

from typing import Protocol

from proxy.errors import Refused


class Waker(Protocol):
    """Decide again, let go, answer, end; what comes of it is sent soon."""

    def retry(self, stream: int) -> None:
        """Decide a call again."""

    def let_go(self, stream: int) -> None:
        """Let the octets of a call go on."""

    def answer(self, stream: int) -> None:
        """Answer a call with nothing, and status OK."""

    def end_call(self, stream: int, refused: Refused) -> None:
        """End a call with a sentence."""
