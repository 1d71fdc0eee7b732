"""The issuer's desk: nothing is given out that is not written down, and revocations take effect whatever happens."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography import x509

from proxy.caller import Caller, Kind, Role
from proxy.edge import issuing
from proxy.edge.issuing import Desk
from proxy.errors import Refused
from proxy.events import CertificatesCounted, Event, RevocationsTaken, StoreChanged
from proxy.identity.issued import LiveRevocations
from proxy.identity.tokens.compact import Token, read_compact
from proxy.issuer.authority import LIST_LIFE_NS, Authority
from proxy.issuer.issuer import Issuer
from proxy.issuer.records import Target
from proxy.issuer.settings import Lifetimes
from proxy.reasons import Reason
from proxy.store.interface import Store
from proxy.store.memory import MemoryStore
from proxy.store.sqlite import SqliteStore
from tests.helpers import certificates
from tests.helpers.certificates import Issued
from tests.helpers.issuing import DOMAIN, new_request
from tests.helpers.signing import claims, new_key

PATIENCE_S = 20
KEY = new_key()
SIGNER = certificates.Authority.create("Farm CA").intermediate("Issuer")
OLD = certificates.Authority.create("Farm CA").intermediate("Old issuer")
ALICE = Caller("payments", Role.BUILDER, "alice", "idp", "rule-1", kind=Kind.PERSON)
Kinds = TypeVar("Kinds", bound=Event)


def authority(signer: certificates.Authority = SIGNER) -> Authority:
    return Authority.read(signer.pem, Issued(signer.certificate, signer.key).key_pem)


def token(**changes: object) -> Token:
    return read_compact(KEY.sign(claims("https://id.test", int(time.time()), **changes)).encode())


@dataclass
class Story:
    """A desk that runs, what it said, and how many connections it was told to have ended."""

    store: Store
    said: list[Event] = field(default_factory=list)
    late_ns: int = 0
    judged: int = 0

    def __post_init__(self) -> None:
        self._news = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self.revocations = LiveRevocations()
        self.desk = Desk(
            self.store, revocations=self.revocations, emit=self._emit, wall_ns=self.wall_ns, taken=self._taken
        )
        self.desk.issuer = Issuer(DOMAIN, (authority(), authority(OLD)), Lifetimes(), {"payments": "default"})

    def wall_ns(self) -> int:
        return time.time_ns() + self.late_ns

    def _taken(self) -> int:
        self.judged += 1
        return 7

    async def heard(self, kind: type[Kinds], count: int = 1) -> list[Kinds]:
        """Wait until so many events of a kind were told."""
        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: len(self._told(kind)) >= count)
        return self._told(kind)

    def _told(self, kind: type[Kinds]) -> list[Kinds]:
        return [each for each in self.said if isinstance(each, kind)]

    def _emit(self, event: Event) -> None:
        self.said.append(event)
        self._tasks.append(asyncio.get_running_loop().create_task(self._notify()))

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def issue(self, caller: Caller = ALICE, **changes: object) -> int:
        """Return the serial of a new certificate."""
        issued, _ = await self.desk.issue(caller, token(**changes), new_request())
        return issued.serial


@asynccontextmanager
async def running(story: Story) -> AsyncIterator[Story]:
    await story.desk.open()
    task = asyncio.get_running_loop().create_task(story.desk.run())
    try:
        yield story
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await story.desk.close()


def test_what_is_given_out_was_written_down_before() -> None:
    async def told() -> None:
        async with running(Story(MemoryStore())) as story:
            issued, chain = await story.desk.issue(ALICE, token(), new_request())

            assert await story.store.find(now_ns=time.time_ns()) == [issued]
            assert x509.load_pem_x509_certificate(chain).serial_number == issued.serial

    asyncio.run(told())


def test_serials_are_random_and_of_128_bits() -> None:
    async def told() -> None:
        async with running(Story(MemoryStore())) as story:
            serials = [await story.issue() for _ in range(40)]

            assert len(set(serials)) == 40
            assert max(serial.bit_length() for serial in serials) > 122
            assert all(0 < serial < 2**128 for serial in serials)

    asyncio.run(told())


def test_a_token_that_was_used_or_cut_off_is_refused_with_its_reason() -> None:
    async def told() -> None:
        async with running(Story(MemoryStore())) as story:
            job = Caller("payments", Role.BUILDER, "job", "ci", "rule-1", kind=Kind.CI)
            await story.issue(job, jti="x")
            with pytest.raises(Refused) as used:
                await story.issue(job, jti="x")
            await story.store.revoke(Target(subject="alice"), now_ns=time.time_ns())
            with pytest.raises(Refused) as cut:
                await story.issue()

            assert used.value.reason is Reason.TOKEN_USED
            assert cut.value.reason is Reason.TOKEN_CUT_OFF
            assert "alice" in cut.value.sentence

    asyncio.run(told())


def test_a_revocation_is_taken_and_everybody_judged_anew() -> None:
    async def told() -> None:
        async with running(Story(MemoryStore())) as story:
            serial = await story.issue()
            before = story.judged
            await story.store.revoke(Target(serial=serial), now_ns=time.time_ns())

            assert await story.heard(RevocationsTaken) == [RevocationsTaken(1, 7, (f"{serial:x}",))]
            assert story.revocations.has(serial)
            assert story.judged == before + 1

    asyncio.run(told())


def test_each_accepted_authority_is_counted_also_when_nobody_uses_it() -> None:
    async def told() -> None:
        async with running(Story(MemoryStore())) as story:
            [first] = await story.heard(CertificatesCounted)

            assert first.valid == ((authority().key_id, 0), (authority(OLD).key_id, 0))

    asyncio.run(told())


def test_a_count_follows_what_is_issued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuing, "COUNT_S", 0.01)

    async def told() -> None:
        async with running(Story(MemoryStore())) as story:
            await story.issue()
            before = len(await story.heard(CertificatesCounted))
            # The first of these two may have been counted while it was issued.
            counted = await story.heard(CertificatesCounted, before + 2)

            assert counted[-1].valid[0] == (authority().key_id, 1)

    asyncio.run(told())


# --- lists ----------------------------------------------------------------------------------


def test_a_list_is_signed_again_only_when_something_changed_or_it_grows_old() -> None:
    async def told() -> None:
        async with running(Story(MemoryStore())) as story:
            serial = await story.issue()
            first = await story.desk.revocation_list(authority())
            again = await story.desk.revocation_list(authority())
            await story.store.revoke(Target(serial=serial), now_ns=time.time_ns())
            await story.heard(RevocationsTaken)
            changed = await story.desk.revocation_list(authority())
            story.late_ns = LIST_LIFE_NS // 3
            old = await story.desk.revocation_list(authority())

            assert first == again
            assert [len(x509.load_der_x509_crl(each)) for each in (first, changed, old)] == [0, 1, 1]
            assert old != changed

    asyncio.run(told())


def test_each_authority_has_a_list_of_its_own() -> None:
    async def told() -> None:
        async with running(Story(MemoryStore())) as story:
            await story.store.revoke(Target(serial=await story.issue()), now_ns=time.time_ns())
            await story.heard(RevocationsTaken)
            lists = [await story.desk.revocation_list(authority(one)) for one in (SIGNER, OLD)]

            assert [len(x509.load_der_x509_crl(each)) for each in lists] == [1, 0]

    asyncio.run(told())


# --- a store that is away -------------------------------------------------------------------


def damage(file: Path) -> None:
    file.write_bytes(b"not a database " * 100)


def mend(file: Path) -> None:
    file.unlink()


def test_a_store_that_cannot_be_opened_lets_the_rest_go_on_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuing, "AGAIN_S", 0.01)
    file = tmp_path / "store.db"
    damage(file)

    async def told() -> None:
        async with running(Story(SqliteStore(file))) as story:
            [down] = await story.heard(StoreChanged)
            with pytest.raises(Refused) as issued:
                await story.issue()
            with pytest.raises(Refused) as listed:
                await story.desk.revocation_list(authority())
            was_known = story.revocations.is_known
            mend(file)
            up = (await story.heard(StoreChanged, 2))[-1]

            assert not down.is_up
            assert "not a database" in down.detail
            assert (issued.value.reason, listed.value.reason) == (Reason.STORE_AWAY, Reason.STORE_AWAY)
            assert not was_known
            assert up.is_up
            assert await story.issue()

    asyncio.run(told())


def test_what_was_revoked_stays_revoked_while_the_store_is_away(tmp_path: Path) -> None:
    file = tmp_path / "store.db"

    async def told() -> None:
        async with running(Story(SqliteStore(file))) as story:
            serial = await story.issue()
            await story.store.revoke(Target(serial=serial), now_ns=time.time_ns())
            await story.heard(RevocationsTaken)
            mend(file)
            down = (await story.heard(StoreChanged, 2))[-1]

            assert not down.is_up
            assert story.revocations.has(serial)
            assert x509.load_der_x509_crl(await story.desk.revocation_list(authority()))

    asyncio.run(told())


def test_a_fault_is_told_once_and_not_each_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuing, "AGAIN_S", 0.001)
    damage(tmp_path / "store.db")

    async def told() -> None:
        async with running(Story(SqliteStore(tmp_path / "store.db"))) as story:
            for _ in range(20):
                with pytest.raises(Refused):
                    await story.issue()

            assert len([each for each in story.said if isinstance(each, StoreChanged)]) <= 2

    asyncio.run(told())


def test_without_an_issuer_nothing_is_issued() -> None:
    async def told() -> None:
        async with running(Story(MemoryStore())) as story:
            story.desk.issuer = None
            with pytest.raises(Refused) as caught:
                await story.issue()

            assert caught.value.reason is Reason.ISSUER_OFF

    asyncio.run(told())
