"""The keys of token issuers: asked ahead, asked once, kept when an issuer fails."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proxy.edge import key_documents
from proxy.edge.keys import KeyFetcher, Pace, read_key_files
from proxy.errors import KeysNeeded, Refused
from proxy.events import Event, TokenKeysFailed, TokenKeysFetched
from proxy.identity.keyset import COOLDOWN_NS, KeySets, KeySource, KeysUnusable, Origin
from proxy.identity.tokens.places import discovery_place
from proxy.reasons import Reason
from proxy.units import SECOND_NS
from tests.helpers.issuer import DISCOVERY_PATH, KEYS_PATH, Fault, Issuer
from tests.helpers.signing import key_set, new_key

RARELY = Pace()
OFTEN = Pace(fresh=0.05, shortest=0.01, after_failure=0.01)
CLOSED = "http://127.0.0.1:1"


def remote(url: str) -> KeySource:
    return KeySource(url, Origin.DISCOVERY, discovery_place(url))


@dataclass
class Story:
    """A fetcher that runs, what it learned, and what it said. `late_ns` moves the wall clock on."""

    keysets: KeySets
    pace: Pace
    events: list[Event] = field(default_factory=list)
    late_ns: int = 0

    def __post_init__(self) -> None:
        self.said = asyncio.Condition()
        self.fetcher = KeyFetcher(self.keysets, emit=self.events.append, wall_ns=self.wall_ns, pace=self.pace)

    def wall_ns(self) -> int:
        return time.time_ns() + self.late_ns

    async def needed(self, issuer: str) -> None:
        """Ask for keys as a call does, and wait until that is over."""
        is_over = asyncio.Event()
        self.fetcher.need(issuer, is_over.set)
        async with asyncio.timeout(20):
            await is_over.wait()

    def finds(self, issuer: str, key_id: str = "key-1") -> str | Reason:
        """Return the key's id, or why there is none."""
        try:
            return str(self.keysets.find(issuer, key_id, "ES256", now_wall_ns=self.wall_ns()).key_id)
        except Refused as refused:
            return refused.reason


@asynccontextmanager
async def fetching(*sources: KeySource, pace: Pace = RARELY) -> AsyncIterator[Story]:
    story = Story(KeySets(sources), pace)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(story.fetcher.run())
        try:
            yield story
        finally:
            running.cancel()


def test_keys_are_fetched_before_anybody_needs_them() -> None:
    async def story() -> None:
        async with Issuer() as issuer, fetching(remote(issuer.url)) as told:
            await told.needed(issuer.url)

            assert told.finds(issuer.url) == "key-1"
            assert issuer.asked == [DISCOVERY_PATH, KEYS_PATH]
            assert told.events == [TokenKeysFetched(issuer.url, 1, told.events[0].at_wall_ns)]  # type: ignore[union-attr]

    asyncio.run(story())


def test_a_key_set_with_a_place_of_its_own_needs_no_discovery() -> None:
    async def story() -> None:
        async with Issuer() as issuer:
            source = KeySource(issuer.url, Origin.URL, issuer.url + KEYS_PATH)
            async with fetching(source) as told:
                await told.needed(issuer.url)

                assert told.finds(issuer.url) == "key-1"
                assert issuer.asked == [KEYS_PATH]

    asyncio.run(story())


FAULTS = [
    (KEYS_PATH, Fault.STATUS_500, "the answer is 500, not 200"),
    (KEYS_PATH, Fault.HTML, "cannot be read"),
    (KEYS_PATH, Fault.EMPTY, "cannot be read"),
    (KEYS_PATH, Fault.EMPTY_SET, "no usable key among 0"),
    (KEYS_PATH, Fault.HUGE, "larger than 524288 octets"),
    (KEYS_PATH, Fault.REDIRECT, "the answer is 302, not 200"),
    (KEYS_PATH, Fault.CUT, "payload"),
    (KEYS_PATH, Fault.HUNG, "no answer within"),
    (KEYS_PATH, Fault.TRICKLE, "no answer within"),
    (DISCOVERY_PATH, Fault.HUNG, "no answer within"),
    (DISCOVERY_PATH, Fault.STATUS_500, "the answer is 500, not 200"),
    (DISCOVERY_PATH, Fault.HTML, "discovery document cannot be read"),
    (DISCOVERY_PATH, Fault.HUGE, "larger than 524288 octets"),
    (DISCOVERY_PATH, Fault.REDIRECT, "the answer is 302, not 200"),
    (DISCOVERY_PATH, Fault.WRONG_ISSUER, "of another issuer"),
    (DISCOVERY_PATH, Fault.SLASHED_ISSUER, "of another issuer"),
    (DISCOVERY_PATH, Fault.NO_JWKS_URI, "names no jwks_uri"),
    (DISCOVERY_PATH, Fault.PLAIN_JWKS_URI, "it must begin with https://"),
]


@pytest.mark.parametrize(("path", "fault", "what"), FAULTS, ids=[f"{p[1:5]}-{f.name.lower()}" for p, f, _ in FAULTS])
def test_an_issuer_that_answers_badly_takes_no_good_keys_away(
    path: str, fault: Fault, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Short only where waiting is the point: a busy machine needs a moment for a large answer.
    monkeypatch.setattr(key_documents, "TIMEOUT_SECONDS", 0.5 if fault in (Fault.HUNG, Fault.TRICKLE) else 20.0)

    async def story() -> None:
        async with Issuer() as issuer, fetching(remote(issuer.url)) as told:
            await told.needed(issuer.url)
            issuer.fault, issuer.fault_path = fault, path
            await told.needed(issuer.url)

            failed = told.events[-1]
            assert isinstance(failed, TokenKeysFailed)
            assert what in failed.detail
            assert told.finds(issuer.url) == "key-1"
            assert told.finds(issuer.url, "strange") is Reason.KEYS_UNAVAILABLE
            assert "/elsewhere" not in issuer.asked

    asyncio.run(story())


def test_an_issuer_that_is_down_at_start_stops_nobody_and_is_used_when_it_is_back() -> None:
    async def story() -> None:
        async with Issuer() as good, Issuer() as late:
            late.fault = Fault.STATUS_500
            async with fetching(remote(CLOSED), remote(good.url), remote(late.url), pace=OFTEN) as told:
                for url in (CLOSED, good.url, late.url):
                    await told.needed(url)

                assert told.finds(CLOSED) is Reason.KEYS_UNAVAILABLE
                assert told.finds(good.url) == "key-1"
                assert told.finds(late.url) is Reason.KEYS_UNAVAILABLE
                late.fault = None
                await told.needed(late.url)
                assert told.finds(late.url) == "key-1"

    asyncio.run(story())


def test_many_calls_that_need_keys_share_one_question() -> None:
    async def story() -> None:
        async with Issuer() as issuer, fetching(remote(issuer.url)) as told:
            issuer.fault = Fault.SLOW
            await issuer.wait_asked(1)
            called = asyncio.Semaphore(0)
            for _ in range(50):
                told.fetcher.need(issuer.url, called.release)
            issuer.may_answer.set()
            for _ in range(50):
                await called.acquire()

            assert issuer.asked.count(KEYS_PATH) == 1
            assert called.locked()

    asyncio.run(story())


def test_a_call_with_a_new_key_learns_it_by_one_question() -> None:
    async def story() -> None:
        async with Issuer() as issuer, fetching(remote(issuer.url)) as told:
            await told.needed(issuer.url)
            new = issuer.rotate().key_id
            assert new
            assert told.finds(issuer.url, new) is Reason.TOKEN_UNKNOWN_KEY

            told.late_ns = COOLDOWN_NS
            with pytest.raises(KeysNeeded):
                told.finds(issuer.url, new)
            await told.needed(issuer.url)

            assert told.finds(issuer.url, new) == new
            assert told.finds(issuer.url, "key-1") is Reason.TOKEN_UNKNOWN_KEY
            assert issuer.asked.count(KEYS_PATH) == 2

    asyncio.run(story())


def test_keys_are_refreshed_in_the_background() -> None:
    async def story() -> None:
        async with Issuer() as issuer, fetching(remote(issuer.url), pace=OFTEN) as told:
            await issuer.wait_asked(2)
            new = issuer.rotate().key_id
            assert new
            await issuer.wait_asked(issuer.asked.count(KEYS_PATH) + 2)

            assert told.finds(issuer.url, new) == new

    asyncio.run(story())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 480.0),
        ("public", 480.0),
        ("max-age=3600", 480.0),
        ("public, Max-Age = 100, immutable", 80.0),
        ('max-age="100"', 80.0),
        ("s-maxage=100", 480.0),
        ("max-age=0", 30.0),
        ("max-age=99999999999999", 480.0),
        ("no-store", 30.0),
        ("No-Cache, max-age=600", 30.0),
        ("x-no-store-x", 480.0),
        ("max-age=-1", 480.0),
    ],
)
def test_an_issuer_may_shorten_the_life_of_its_keys_within_reason(header: str | None, seconds: float) -> None:
    assert Pace().wait(key_documents.max_age_ns(header or "")) == seconds


def test_the_issuers_own_cache_control_is_read() -> None:
    async def story() -> key_documents.Fetched:
        async with Issuer() as issuer, key_documents.new_session() as session:
            issuer.cache_control = "max-age=77"
            return await key_documents.fetch_keys(session, remote(issuer.url))

    assert asyncio.run(story()).max_age_ns == 77 * SECOND_NS


def test_asking_for_what_nobody_fetches_ends_in_a_refusal() -> None:
    async def story() -> None:
        file = KeySource("https://file.example.com", Origin.FILE, "/none")
        async with Issuer() as issuer:
            async with fetching(remote(issuer.url), file) as told:
                await told.needed(file.issuer)
                assert told.finds(file.issuer) is Reason.KEYS_UNAVAILABLE
            told.late_ns = COOLDOWN_NS
            await told.needed(issuer.url)

            assert told.finds(issuer.url, "strange") is Reason.KEYS_UNAVAILABLE

    asyncio.run(story())


def test_who_asks_before_the_fetcher_runs_waits_for_it() -> None:
    async def story() -> None:
        async with Issuer() as issuer:
            told = Story(KeySets([remote(issuer.url)]), RARELY)
            is_over = asyncio.Event()
            told.fetcher.need(issuer.url, is_over.set)
            async with asyncio.TaskGroup() as group:
                running = group.create_task(told.fetcher.run())
                await is_over.wait()
                running.cancel()

            assert told.finds(issuer.url) == "key-1"

    asyncio.run(story())


def test_nobody_waits_for_a_fetcher_that_was_stopped() -> None:
    async def story() -> None:
        is_over = asyncio.Event()
        async with Issuer() as issuer:
            issuer.fault = Fault.HUNG
            async with fetching(remote(issuer.url)) as told:
                await issuer.wait_asked(1)
                told.fetcher.need(issuer.url, is_over.set)
            async with asyncio.timeout(20):
                await is_over.wait()

            # The next generation's fetcher is asked then: this one's end says nothing of the issuer.
            with pytest.raises(KeysNeeded):
                told.finds(issuer.url)

    asyncio.run(story())


def test_an_authority_and_a_token_of_its_own_are_used_for_an_issuer(tmp_path: Path) -> None:
    import ssl

    from tests.helpers.certificates import Authority

    authority = Authority.create()
    certificate, key = authority.server("localhost").write(tmp_path, "issuer")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "token").write_text("reader-secret\n")

    async def story() -> None:
        async with Issuer(tls=context) as issuer:
            place = discovery_place(issuer.url)
            trusting = KeySource(
                issuer.url,
                Origin.DISCOVERY,
                place,
                ca_file=str(tmp_path / "ca.pem"),
                bearer_token_file=str(tmp_path / "token"),
            )
            async with fetching(trusting) as told:
                await told.needed(issuer.url)
                assert told.finds(issuer.url) == "key-1"
                assert issuer.authorizations == ["Bearer reader-secret"] * 2
            async with fetching(remote(issuer.url)) as told:
                await told.needed(issuer.url)
                assert told.finds(issuer.url) is Reason.KEYS_UNAVAILABLE
                assert "certificate verify failed" in str(told.events)

    asyncio.run(story())


@pytest.mark.parametrize("text", ["two tokens", "", "line\nbreak", "é"])
def test_a_bearer_token_file_that_is_not_one_token_is_named_and_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text, encoding="utf-8")

    async def story() -> None:
        async with Issuer() as issuer:
            place = discovery_place(issuer.url)
            source = KeySource(issuer.url, Origin.DISCOVERY, place, bearer_token_file=str(tmp_path / "token"))
            async with fetching(source) as told:
                await told.needed(issuer.url)

                failed = told.events[0]
                assert isinstance(failed, TokenKeysFailed)
                assert str(tmp_path / "token") in failed.detail
                assert not text or text not in failed.detail
                assert issuer.asked == []

    asyncio.run(story())


def test_key_files_are_read_and_told(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(key_set(new_key())))
    keysets = KeySets([KeySource("ours", Origin.FILE, str(file)), remote(CLOSED)])
    events: list[Event] = []

    read_key_files(keysets, emit=events.append, wall_ns=lambda: 7)

    assert keysets.find("ours", "key-1", "ES256", now_wall_ns=7).key_id == "key-1"
    assert events == [TokenKeysFetched("ours", 1, 7)]


@pytest.mark.parametrize("content", [None, b"", b"<html>", b" " * (600 << 10)])
def test_a_key_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_bytes(content)
    keysets = KeySets([KeySource("ours", Origin.FILE, str(file))])

    with pytest.raises(KeysUnusable, match=str(file)):
        read_key_files(keysets, emit=lambda _: None, wall_ns=lambda: 7)
