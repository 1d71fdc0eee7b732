"""What a store promises. Each way to keep it is held to the same tests (tests/unit/store/test_promises.py).

Certificates are recorded before anybody gets them, so that what is not in the store does not exist.
Times are wall-clock nanoseconds.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

from proxy.issuer.records import Exchange, Issued, Revoked, Target


class StoreAway(Exception):
    """The store cannot be read or written now; the text says why. Nothing was changed."""


class TokenUsed(Exception):
    """A token that may be exchanged once was exchanged before. Nothing was changed."""


class TokenCutOff(Exception):
    """The token is from before a revocation of its subject or tenant. Nothing was changed."""


class Store(Protocol):
    """Certificates, used tokens and revocations."""

    async def open(self) -> None:
        """Begin; before anything else.

        Raises:
            StoreAway: it cannot be used; it may be tried again.
        """

    async def close(self) -> None:
        """End; what was promised is kept."""

    async def issue(self, issued: Issued, exchange: Exchange) -> None:
        """Record a certificate and use its token up: both or neither, and kept when this returns.

        Of many who exchange one token that may be exchanged once, one succeeds.

        Raises:
            TokenUsed, TokenCutOff, StoreAway: the certificate must not be given out.
        """

    async def revoke(self, target: Target, *, now_ns: int) -> Sequence[Revoked]:
        """Revoke every certificate of `target`; return those that were not revoked before.

        One that has ended is among them for a week: a connection may outlive it. A subject's or tenant's tokens from
        before are not exchanged any more.

        Raises:
            StoreAway: nothing was revoked.
        """

    def watch(self) -> AsyncGenerator[Sequence[Revoked], None]:
        """Give all revocations now, and all again after every change, whoever made it, within two seconds.

        Raises:
            StoreAway: while iterating; what was given before still holds. Begin again.
        """

    async def find(self, *, now_ns: int) -> Sequence[Issued]:
        """Return every certificate that has not ended and was not revoked, the oldest first.

        Raises:
            StoreAway: as it says.
        """

    async def count(self, *, now_ns: int) -> Mapping[str, int]:
        """Return how many certificates `find` would, of each authority that has any.

        Raises:
            StoreAway: as it says.
        """

    async def sweep(self, *, now_ns: int) -> None:
        """Forget what cannot matter any more: tokens that have ended, and a week later certificates.

        Raises:
            StoreAway: as it says.
        """
