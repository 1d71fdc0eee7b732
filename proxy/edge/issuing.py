"""The issuer's desk: signs, writes down before it gives out, and makes revocations take effect.

The store may go away: then nothing is issued, what was revoked stays so, and builds go on.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding

from proxy.caller import Caller
from proxy.errors import Refused
from proxy.events import CertificatesCounted, Event, RevocationsTaken, StoreChanged
from proxy.identity.issued import LiveRevocations
from proxy.identity.tokens.compact import Token
from proxy.issuer.authority import LIST_LIFE_NS, Authority
from proxy.issuer.issuer import Issuer, read_exchange
from proxy.issuer.records import Issued, Revoked
from proxy.reasons import Reason
from proxy.store.interface import Store, StoreAway, TokenCutOff, TokenUsed

SERIAL_BITS = 128
AGAIN_S = 1.0
COUNT_S = 5.0
# How many counts pass until what is over is forgotten.
SWEEP_EVERY = 12


@dataclass(frozen=True, slots=True)
class _List:
    """A revocation list in DER, and what it was made of."""

    revoked: Sequence[Revoked]
    made_at_ns: int
    der: bytes


class Desk:
    """Issues certificates for tokens, and keeps `revocations` as the store tells them.

    `issuer` is that of the generation in force, None if nothing is issued. `taken` is called
    when revocations changed, ends the connections that they concern, and returns how many.
    """

    def __init__(
        self,
        store: Store,
        *,
        revocations: LiveRevocations,
        emit: Callable[[Event], None],
        wall_ns: Callable[[], int],
        taken: Callable[[], int],
    ) -> None:
        self.issuer: Issuer | None = None
        self._store = store
        self._revocations = revocations
        self._emit = emit
        self._wall_ns = wall_ns
        self._taken = taken
        self._revoked: Sequence[Revoked] = ()
        self._lists: dict[str, _List] = {}
        self._listing = asyncio.Lock()
        self._fault: str | None = "not opened yet"

    async def open(self) -> None:
        """Open the store and take its revocations, so that the first caller is judged by them; or say why not."""
        try:
            await self._store.open()
            async with aclosing(self._store.watch()) as watching:
                self._take(await anext(watching))
        except StoreAway as away:
            self._set_fault(str(away))
        else:
            self._set_fault(None)

    async def run(self) -> None:
        """Take revocations as they come, count what is valid, and forget what is over, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._count())

    async def close(self) -> None:
        """Close the store."""
        try:
            await self._store.close()
        except StoreAway as away:
            self._set_fault(str(away))

    # --- certificates -----------------------------------------------------------------------

    def working_issuer(self) -> Issuer:
        """Return the issuer in force.

        Raises:
            Refused: ISSUER_OFF.
        """
        if self.issuer is None:
            raise Refused(Reason.ISSUER_OFF)
        return self.issuer

    async def issue(self, caller: Caller, token: Token, request: bytes) -> tuple[Issued, bytes]:
        """Return a new certificate for whom the token proved, with its chain in PEM.

        Raises:
            Refused: ISSUER_OFF, CSR_UNFIT, SUBJECT_UNFIT, AUTHORITY_ENDS, TOKEN_USED, TOKEN_CUT_OFF or STORE_AWAY.
        """
        issuer, serial = self.working_issuer(), secrets.randbits(SERIAL_BITS) or 1
        issued, chain = await asyncio.to_thread(issuer.certify, caller, request, serial=serial, now_ns=self._wall_ns())
        try:
            await self._store.issue(issued, read_exchange(token, caller.kind))
        except TokenUsed:
            raise Refused(Reason.TOKEN_USED) from None
        except TokenCutOff:
            raise Refused(Reason.TOKEN_CUT_OFF, subject=caller.subject) from None
        except StoreAway as away:
            self._set_fault(str(away))
            raise Refused(Reason.STORE_AWAY, detail=str(away)) from None
        self._set_fault(None)
        return issued, chain

    async def revocation_list(self, authority: Authority) -> bytes:
        """Return the list of an authority in DER: made anew when something was revoked, and every eight hours.

        Raises:
            Refused: STORE_AWAY, what was revoked was never known.
        """
        if not self._revocations.is_known:
            raise Refused(Reason.STORE_AWAY, detail=self._fault or "")
        async with self._listing:
            now_ns, made = self._wall_ns(), self._lists.get(authority.key_id)
            is_fresh = made is not None and 0 <= now_ns - made.made_at_ns < LIST_LIFE_NS // 3
            if made is None or made.revoked is not self._revoked or not is_fresh:
                revoked = self._revoked
                signed = await asyncio.to_thread(authority.revocation_list, revoked, now_ns=now_ns)
                made = self._lists[authority.key_id] = _List(revoked, now_ns, signed.public_bytes(Encoding.DER))
            return made.der

    # --- the store --------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            try:
                if self._fault is not None:
                    await self._store.open()
                    self._set_fault(None)
                async for revoked in self._store.watch():
                    self._take(revoked)
            except StoreAway as away:
                self._set_fault(str(away))
                await asyncio.sleep(AGAIN_S)

    def _take(self, revoked: Sequence[Revoked]) -> None:
        if self._revocations.is_known and list(revoked) == list(self._revoked):
            return
        news = tuple(f"{each.serial:x}" for each in revoked if not self._revocations.has(each.serial))
        is_changed = bool(revoked or self._revoked)
        self._revoked = revoked
        self._revocations.take(frozenset(each.serial for each in revoked))
        ended = self._taken()
        if is_changed:
            self._emit(RevocationsTaken(len(revoked), ended, news))

    async def _count(self) -> None:
        turn = 0
        while True:
            try:
                if turn % SWEEP_EVERY == 0:
                    # Also the proof that a store which could not be written can be again.
                    await self._store.sweep(now_ns=self._wall_ns())
                    self._set_fault(None)
                counts = await self._store.count(now_ns=self._wall_ns())
            except StoreAway as away:
                self._set_fault(str(away))
            else:
                accepted = self.issuer.authorities if self.issuer else ()
                self._emit(CertificatesCounted(tuple((one.key_id, counts.get(one.key_id, 0)) for one in accepted)))
            turn += 1
            await asyncio.sleep(COUNT_S)

    def _set_fault(self, fault: str | None) -> None:
        if fault != self._fault:
            self._fault = fault
            self._emit(StoreChanged(fault is None, fault or ""))
