"""Keep the keys of token issuers at hand: fetched before they are needed, and when a strange key is shown.

Each remote issuer has one loop that asks again at 80 % of the keys' life. A call that needs
keys now joins the fetch that is under way or starts one; there is never a second one for the
same issuer. What was learned stays in use when an issuer fails (see `identity.keyset`), so an
outage of an issuer is an event, not an outage of ours.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from proxy.edge.key_documents import KeysNotFetched, fetch_keys, new_session
from proxy.events import Event, TokenKeysFailed, TokenKeysFetched
from proxy.identity.keyset import KeySets, KeySource, Origin
from proxy.identity.tokens.keys import DOCUMENT_LIMIT_OCTETS, KeysUnusable
from proxy.units import SECOND_NS


@dataclass(frozen=True, slots=True)
class Pace:
    """How often an issuer is asked, in seconds."""

    fresh: float = 600.0
    """The longest time that keys are good; Cache-Control may shorten it."""
    shortest: float = 30.0
    """Less than this is never waited, whatever the issuer says."""
    after_failure: float = 30.0

    def wait(self, max_age_ns: int | None) -> float:
        """Return seconds from a good answer to the next question: 80 % of the life of the keys."""
        life = self.fresh if max_age_ns is None else min(self.fresh, max_age_ns / SECOND_NS)
        return max(self.shortest, 0.8 * life)


@dataclass(slots=True)
class _Fetch:
    """A fetch under way: who waits for it, and what sets it off early."""

    waiting: list[Callable[[], None]] = field(default_factory=list)
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)


class KeyFetcher:
    """Fills `keysets` with the keys of its remote sources, for as long as `run` runs.

    One generation of settings has one fetcher: on reload, start the new one, then cancel the old.
    """

    def __init__(
        self,
        keysets: KeySets,
        *,
        emit: Callable[[Event], None],
        wall_ns: Callable[[], int],
        pace: Pace | None = None,
    ) -> None:
        self._keysets = keysets
        self._emit = emit
        self._wall_ns = wall_ns
        self._pace = pace or Pace()
        self._fetches = {source.issuer: _Fetch() for source in keysets.sources if source.is_remote}
        self._is_over = False

    async def run(self) -> None:
        """Keep every key set fresh until cancelled. An issuer that is down delays and stops nothing."""
        try:
            async with new_session() as session, asyncio.TaskGroup() as group:
                for source in self._keysets.sources:
                    if source.is_remote:
                        group.create_task(self._keep_fresh(session, source))
        finally:
            self._is_over = True
            for fetch in self._fetches.values():
                _release(fetch)

    def need(self, issuer: str, then: Callable[[], None]) -> None:
        """Fetch the keys of `issuer`, and call `then` from the loop when that is over, well or badly.

        Before `run` has begun it waits for that. After a failure `keysets` knows it, so that
        asking again ends in a refusal.
        """
        fetch = self._fetches.get(issuer)
        if fetch is None or self._is_over:
            self._keysets.fail(issuer, now_wall_ns=self._wall_ns())
            asyncio.get_running_loop().call_soon(then)
            return
        fetch.waiting.append(then)
        fetch.is_asked.set()

    async def fetch(self, session: aiohttp.ClientSession, source: KeySource) -> float:
        """Ask `source` once; return how many seconds later to ask again. Failures are events."""
        try:
            fetched = await fetch_keys(session, source)
            count = self._keysets.learn(source.issuer, fetched.document, now_wall_ns=self._wall_ns())
        except (KeysNotFetched, KeysUnusable) as error:
            self._keysets.fail(source.issuer, now_wall_ns=self._wall_ns())
            self._emit(TokenKeysFailed(source.issuer, str(error)))
            return self._pace.after_failure
        self._emit(TokenKeysFetched(source.issuer, count, self._wall_ns()))
        return self._pace.wait(fetched.max_age_ns)

    async def _keep_fresh(self, session: aiohttp.ClientSession, source: KeySource) -> None:
        fetch = self._fetches[source.issuer]
        while True:
            wait_seconds = await self.fetch(session, source)
            # Who asked while the fetch was under way gets its result, not another one.
            fetch.is_asked.clear()
            _release(fetch)
            await _wait_asked(fetch.is_asked, wait_seconds)


def _release(fetch: _Fetch) -> None:
    loop = asyncio.get_running_loop()
    waiting, fetch.waiting = fetch.waiting, []
    for then in waiting:
        loop.call_soon(then)


async def _wait_asked(is_asked: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await is_asked.wait()
    except TimeoutError:
        return


def read_key_files(keysets: KeySets, *, emit: Callable[[Event], None], wall_ns: Callable[[], int]) -> None:
    """Read the key set of every source that is a file.

    Raises:
        KeysUnusable: the first file that cannot be read or holds no usable keys; the text names it.
    """
    for source in keysets.sources:
        if source.origin is Origin.FILE:
            now_wall_ns = wall_ns()
            try:
                count = keysets.learn(source.issuer, _read(source.place), now_wall_ns=now_wall_ns)
            except (OSError, KeysUnusable) as error:
                raise KeysUnusable(f"{source.place}: {error}") from None
            emit(TokenKeysFetched(source.issuer, count, now_wall_ns))


def _read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(DOCUMENT_LIMIT_OCTETS + 1)
