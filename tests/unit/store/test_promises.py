"""What every store promises (`proxy.store.interface`), asked of each way to keep it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.issuer.records import KEPT_AFTER_END_NS, Exchange, Issued, Revoked, Target
from proxy.store.interface import Store, TokenCutOff, TokenUsed
from proxy.store.memory import MemoryStore
from proxy.store.sqlite import SqliteStore
from proxy.units import SECOND_NS

NOW_NS = 1_800_000_000 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS
PATIENCE_S = 20
Story = Callable[[Store], Awaitable[None]]


def certificate(serial: int = 1, tenant: str = "payments", subject: str = "alice", **changes: object) -> Issued:
    made = Issued(serial, "ca-1", tenant, "person", subject, "builder", "idp", "rule-1", NOW_NS, NOW_NS + HOUR_NS)
    return replace(made, **changes)  # type: ignore[arg-type]


def token(token_id: bytes | None = None, issued_at_ns: int = NOW_NS - SECOND_NS) -> Exchange:
    return Exchange(issued_at_ns, NOW_NS + HOUR_NS, token_id)


@asynccontextmanager
async def opened(kind: str, directory: Path) -> AsyncIterator[Store]:
    store: Store = MemoryStore() if kind == "memory" else SqliteStore(directory / "store.db")
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(params=["memory", "sqlite"])
def tell(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Story], None]:
    """Tell a story to one kind of store after the other."""

    async def told(story: Story) -> None:
        async with asyncio.timeout(PATIENCE_S), opened(request.param, tmp_path) as store:
            await story(store)

    return lambda story: asyncio.run(told(story))


Tell = Callable[[Story], None]


async def serials(store: Store, now_ns: int = NOW_NS) -> list[int]:
    return [each.serial for each in await store.find(now_ns=now_ns)]


def test_what_was_issued_is_found_as_it_was_until_it_ends(tell: Tell) -> None:
    async def story(store: Store) -> None:
        made = certificate(serial=2**127 + 1, subject="acme/\u00fc@refs/heads/main")

        await store.issue(made, token())

        assert await store.find(now_ns=NOW_NS) == [made]
        assert await store.find(now_ns=made.not_after_ns) == []

    tell(story)


def test_a_token_that_counts_once_is_exchanged_once(tell: Tell) -> None:
    async def story(store: Store) -> None:
        await store.issue(certificate(1), token(b"once"))
        with pytest.raises(TokenUsed):
            await store.issue(certificate(2), token(b"once"))
        await store.issue(certificate(3), token(b"other"))

        assert await serials(store) == [1, 3]

    tell(story)


def test_of_many_who_exchange_one_token_at_once_one_succeeds(tell: Tell) -> None:
    async def story(store: Store) -> None:
        tries = [store.issue(certificate(serial), token(b"once")) for serial in range(1, 21)]
        ended = await asyncio.gather(*tries, return_exceptions=True)

        assert [type(each) for each in ended if each is not None] == [TokenUsed] * 19
        assert len(await serials(store)) == 1

    tell(story)


def test_a_token_without_an_id_is_exchanged_again(tell: Tell) -> None:
    async def story(store: Store) -> None:
        await store.issue(certificate(1), token())
        await store.issue(certificate(2), token())

        assert await serials(store) == [1, 2]

    tell(story)


@pytest.mark.parametrize(
    ("target", "revoked", "left"),
    [
        (Target(serial=2), [2], [1, 3, 4]),
        (Target(subject="alice"), [1, 3], [2, 4]),
        (Target(tenant="payments"), [1, 2], [3, 4]),
        (Target(tenant="payments", subject="alice"), [1], [2, 3, 4]),
        (Target(serial=9), [], [1, 2, 3, 4]),
        (Target(tenant="nobody"), [], [1, 2, 3, 4]),
        # It has ended, but a connection may have outlived it.
        (Target(serial=5), [5], [1, 2, 3, 4]),
        (Target(tenant="ended"), [5], [1, 2, 3, 4]),
    ],
    ids=str,
)
def test_a_revocation_takes_all_that_it_names_and_nothing_else(
    tell: Tell, target: Target, revoked: list[int], left: list[int]
) -> None:
    async def story(store: Store) -> None:
        for one in (
            certificate(1),
            certificate(2, subject="bob"),
            certificate(3, tenant="platform"),
            certificate(4, tenant="platform", subject="bob"),
            certificate(5, tenant="ended", subject="carol", not_after_ns=NOW_NS),
        ):
            await store.issue(one, token())

        made = await store.revoke(target, now_ns=NOW_NS)

        assert sorted(made, key=lambda each: each.serial) == [
            Revoked(serial, "ca-1", NOW_NS, NOW_NS + (HOUR_NS if serial < 5 else 0)) for serial in revoked
        ]
        assert sorted(await serials(store)) == left
        assert await anext(store.watch()) == made
        assert await store.revoke(target, now_ns=NOW_NS + 1) == []

    tell(story)


@pytest.mark.parametrize(
    ("target", "tenant", "subject"),
    [
        (Target(tenant="payments"), "payments", "anybody"),
        (Target(subject="alice"), "payments", "alice"),
        (Target(tenant="payments", subject="alice"), "payments", "alice"),
    ],
    ids=str,
)
def test_a_token_from_before_a_revocation_is_not_exchanged_for_a_new_certificate(
    tell: Tell, target: Target, tenant: str, subject: str
) -> None:
    async def story(store: Store) -> None:
        await store.revoke(target, now_ns=NOW_NS)
        made = certificate(1, tenant=tenant, subject=subject)
        with pytest.raises(TokenCutOff):
            await store.issue(made, token(b"old", NOW_NS))
        await store.issue(made, token(b"old", NOW_NS + 1))

        assert await serials(store) == [1]

    tell(story)


@pytest.mark.parametrize(
    "target",
    [Target(tenant="platform"), Target(subject="bob"), Target(tenant="platform", subject="alice"), Target(serial=7)],
    ids=str,
)
def test_a_revocation_of_others_stops_no_token(tell: Tell, target: Target) -> None:
    async def story(store: Store) -> None:
        await store.revoke(target, now_ns=NOW_NS)

        await store.issue(certificate(1), token())

        assert await serials(store) == [1]

    tell(story)


def test_who_watches_hears_all_revocations_at_first_and_after_each_change(tell: Tell) -> None:
    async def story(store: Store) -> None:
        await store.issue(certificate(1), token())
        await store.issue(certificate(2), token())
        await store.revoke(Target(serial=1), now_ns=NOW_NS)
        watching = store.watch()
        first = await anext(watching)

        await store.revoke(Target(serial=2), now_ns=NOW_NS + 1)
        second = await anext(watching)

        assert [each.serial for each in first] == [1]
        assert sorted(each.serial for each in second) == [1, 2]

    tell(story)


def test_certificates_are_counted_by_the_authority_that_signed_them(tell: Tell) -> None:
    async def story(store: Store) -> None:
        await store.issue(certificate(1), token())
        await store.issue(certificate(2), token())
        await store.issue(certificate(3, authority="ca-2"), token())
        await store.issue(certificate(4, authority="ca-2"), token())
        await store.issue(certificate(5, authority="ca-2", not_after_ns=NOW_NS), token())
        await store.revoke(Target(serial=4), now_ns=NOW_NS)

        assert await store.count(now_ns=NOW_NS) == {"ca-1": 2, "ca-2": 1}

    tell(story)


def test_a_sweep_forgets_what_is_over_and_keeps_the_rest(tell: Tell) -> None:
    async def story(store: Store) -> None:
        await store.issue(certificate(1), token(b"long over"))
        await store.issue(certificate(2, not_after_ns=NOW_NS + 2 * HOUR_NS + KEPT_AFTER_END_NS), token())
        await store.revoke(Target(tenant="payments"), now_ns=NOW_NS)
        later_ns = NOW_NS + HOUR_NS + KEPT_AFTER_END_NS

        await store.sweep(now_ns=later_ns - 1)
        before = await anext(store.watch())
        await store.sweep(now_ns=later_ns)
        after = await anext(store.watch())

        assert sorted(each.serial for each in before) == [1, 2]
        assert [each.serial for each in after] == [2]
        with pytest.raises(TokenCutOff):
            await store.issue(certificate(3), token(b"long over"))
        await store.issue(certificate(3), token(b"long over", NOW_NS + 1))

    tell(story)


@pytest.mark.parametrize("odd", [{}, {"serial": 1, "tenant": "payments"}, {"serial": 1, "subject": "alice"}])
def test_a_target_is_a_serial_or_somebody(odd: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="give a serial"):
        Target(**odd)  # type: ignore[arg-type]
