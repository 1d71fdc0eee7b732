"""What a file alone can promise: it outlives the process, is shared with others, and says why it cannot be used."""

import asyncio
import sqlite3
import stat
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import run

import pytest

from proxy.issuer.records import Target
from proxy.store.interface import StoreAway, TokenUsed
from proxy.store.sqlite import SqliteStore
from tests.unit.store.test_promises import NOW_NS, certificate, serials, token

PATIENCE_S = 20
Story = Callable[[SqliteStore], Awaitable[None]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def tell(file: Path, story: Story, *, is_new: bool = True) -> None:
    async def told() -> None:
        store = SqliteStore(file, is_new=is_new)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await store.open()
                await story(store)
        finally:
            await store.close()

    asyncio.run(told())


async def fill(store: SqliteStore) -> None:
    await store.issue(certificate(1), token(b"once"))
    await store.issue(certificate(2), token())
    await store.revoke(Target(serial=1), now_ns=NOW_NS)


async def nothing(_store: SqliteStore) -> None:
    """Open and close."""


def replace_file(file: Path) -> None:
    file.rename(file.with_name("away.db"))
    file.touch(0o600)


def why(file: Path, *, is_new: bool = True) -> str:
    with pytest.raises(StoreAway) as caught:
        tell(file, nothing, is_new=is_new)
    return str(caught.value)


def test_a_restart_forgets_nothing(file: Path) -> None:
    tell(file, fill)

    async def story(store: SqliteStore) -> None:
        assert await serials(store) == [2]
        assert [each.serial for each in await anext(store.watch())] == [1]
        with pytest.raises(TokenUsed):
            await store.issue(certificate(3), token(b"once"))

    tell(file, story)


def test_the_file_and_all_beside_it_are_for_their_owner_only(file: Path) -> None:
    async def story(store: SqliteStore) -> None:
        await fill(store)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}

        assert modes == {"store.db": 0o600, "store.db-shm": 0o600, "store.db-wal": 0o600}

    tell(file, story)


def test_a_revocation_by_another_process_is_heard(file: Path) -> None:
    async def story(store: SqliteStore) -> None:
        await fill(store)
        watching = store.watch()
        first = await anext(watching)
        other = SqliteStore(file, is_new=False)
        await other.open()

        await other.revoke(Target(serial=2), now_ns=NOW_NS)
        await other.close()
        second = await anext(watching)

        assert [each.serial for each in first] == [1]
        assert sorted(each.serial for each in second) == [1, 2]

    tell(file, story)


def test_one_token_is_exchanged_once_by_two_processes_too(file: Path) -> None:
    async def story(store: SqliteStore) -> None:
        other = SqliteStore(file)
        await other.open()
        tries = [one.issue(certificate(n), token(b"once")) for n, one in enumerate([store, other] * 10, 1)]
        ended = await asyncio.gather(*tries, return_exceptions=True)
        await other.close()

        assert [type(each) for each in ended if each is not None] == [TokenUsed] * 19

    tell(file, story)


def test_a_file_that_must_be_there_is_not_made(file: Path) -> None:
    assert "unable to open" in why(file, is_new=False)
    assert not file.exists()


def test_a_file_of_something_else_is_left_alone(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = file.read_bytes()

    assert "a file of something else" in why(file)
    assert file.read_bytes() == before


def test_a_file_that_is_no_database_is_left_alone(file: Path) -> None:
    file.write_bytes(b"not a database at all" * 100)

    assert "not a database" in why(file)
    assert file.read_bytes() == b"not a database at all" * 100


def test_a_damaged_file_is_said_to_be_damaged(file: Path) -> None:
    async def much(store: SqliteStore) -> None:
        for serial in range(1, 200):
            await store.issue(certificate(serial), token())

    tell(file, much)
    octets = bytearray(file.read_bytes())
    octets[4096:] = b"\xa5" * (len(octets) - 4096)
    file.write_bytes(octets)

    assert str(file) in why(file)


def test_a_file_of_a_later_version_is_not_touched(file: Path) -> None:
    tell(file, fill)
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()

    assert "another version of kilngate (format 2)" in why(file)


def test_a_file_that_was_replaced_is_noticed_and_the_new_one_used_after_it_was_opened(file: Path) -> None:
    async def story(store: SqliteStore) -> None:
        await fill(store)
        replace_file(file)
        with pytest.raises(StoreAway, match="replaced"):
            await store.issue(certificate(3), token())
        with pytest.raises(StoreAway, match="replaced"):
            await store.find(now_ns=NOW_NS)
        await store.open()

        await store.issue(certificate(3), token())

        assert await serials(store) == [3]

    tell(file, story)


FULL = """
import asyncio, resource, sys
from pathlib import Path
from proxy.store.interface import StoreAway
from proxy.store.sqlite import SqliteStore
from tests.unit.store.test_promises import certificate, serials, token

async def story():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    await store.issue(certificate(1), token())
    # No file of this process may grow any more: to SQLite that is a disk without room.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))
    issued = 1
    try:
        while issued < 1000:
            await store.issue(certificate(issued + 1), token())
            issued += 1
    except StoreAway as away:
        print("away:", away)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    print("kept all:", await serials(store) == list(range(1, issued + 1)))
    await store.issue(certificate(5000), token())
    print("goes on")
    await store.close()

asyncio.run(story())
"""


def test_a_full_disk_keeps_what_was_promised_and_nothing_else_and_goes_on_when_there_is_room(file: Path) -> None:
    root = Path(__file__).parents[3]
    done = run([sys.executable, "-c", FULL, str(file)], cwd=root, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0].startswith(f"away: {file}: ")
    assert said[1:] == ["kept all: True", "goes on"]
