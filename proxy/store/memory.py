"""A store in this process: for tests, and for a farm that may forget when it restarts."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence

from proxy.issuer.records import KEPT_AFTER_END_NS, Exchange, Issued, Revoked, Target
from proxy.store.interface import TokenCutOff, TokenUsed


class MemoryStore:
    """Keeps everything in plain dicts. See `Store`."""

    def __init__(self) -> None:
        self._tokens: dict[bytes, int] = {}
        self._issued: dict[int, Issued] = {}
        self._revoked: dict[int, Revoked] = {}
        self._cuts: dict[Target, int] = {}
        self._changed = asyncio.Condition()

    async def open(self) -> None:
        """See `Store`."""

    async def close(self) -> None:
        """See `Store`."""

    async def issue(self, issued: Issued, exchange: Exchange) -> None:
        """See `Store`."""
        cuts = [at_ns for target, at_ns in self._cuts.items() if target.covers(issued.tenant, issued.subject)]
        if exchange.issued_at_ns <= max(cuts, default=-1):
            raise TokenCutOff
        if exchange.token_id is not None:
            if exchange.token_id in self._tokens:
                raise TokenUsed
            self._tokens[exchange.token_id] = exchange.until_ns
        self._issued[issued.serial] = issued

    async def revoke(self, target: Target, *, now_ns: int) -> Sequence[Revoked]:
        """See `Store`."""
        if target.serial is None:
            self._cuts[target] = now_ns
        made = [
            Revoked(each.serial, each.authority, now_ns, each.not_after_ns)
            for each in self._issued.values()
            if each.serial == target.serial or target.covers(each.tenant, each.subject)
            if each.serial not in self._revoked
        ]
        async with self._changed:
            self._revoked = {**self._revoked, **{each.serial: each for each in made}}
            self._changed.notify_all()
        return made

    async def watch(self) -> AsyncGenerator[Sequence[Revoked], None]:
        """See `Store`."""
        while True:
            given = self._revoked
            yield list(given.values())
            async with self._changed:
                while self._revoked is given:
                    await self._changed.wait()

    async def find(self, *, now_ns: int) -> Sequence[Issued]:
        """See `Store`."""
        return [
            each for each in self._issued.values() if each.not_after_ns > now_ns and each.serial not in self._revoked
        ]

    async def count(self, *, now_ns: int) -> Mapping[str, int]:
        """See `Store`."""
        return Counter(each.authority for each in await self.find(now_ns=now_ns))

    async def sweep(self, *, now_ns: int) -> None:
        """See `Store`."""
        self._tokens = {token: until_ns for token, until_ns in self._tokens.items() if until_ns > now_ns}
        ended_ns = now_ns - KEPT_AFTER_END_NS
        self._issued = {each.serial: each for each in self._issued.values() if each.not_after_ns > ended_ns}
        async with self._changed:
            self._revoked = {each.serial: each for each in self._revoked.values() if each.not_after_ns > ended_ns}
            self._changed.notify_all()
