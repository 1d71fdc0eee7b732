"""A store in one SQLite file: survives restarts, and other processes of this machine may use it at the same time.

One thread does all that waits for the disk. Each change is one transaction that is on the disk
before anybody hears of it (WAL, synchronous=FULL). Changes by others, such as `kilngate revoke`,
are found by looking at one number each second.

Source: sqlite.org/wal.html, sqlite.org/pragma.html.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from proxy.issuer.records import KEPT_AFTER_END_NS, Exchange, Issued, Revoked, Target
from proxy.store.interface import StoreAway, TokenCutOff, TokenUsed
from proxy.units import SECOND_NS

POLL_S = 1.0
# Another process writes for a moment only: one that holds the file longer hangs.
BUSY_S = 5.0
# No token lives longer (`auth[].max_lifetime`), so that a cut of before stops nobody any more.
CUTS_MATTER_NS = 400 * 86400 * SECOND_NS
# "kiln" in ASCII: other files of SQLite are not taken for one of ours.
APPLICATION_ID = 1802071150
VERSION = 1
_TABLES = """
PRAGMA application_id = 1802071150;
PRAGMA user_version = 1;
CREATE TABLE token (id BLOB PRIMARY KEY, until_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE issued (
  serial TEXT PRIMARY KEY, authority TEXT NOT NULL, tenant TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
  role TEXT NOT NULL, method TEXT NOT NULL, rule TEXT NOT NULL, issued_at_ns INTEGER NOT NULL,
  not_after_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX issued_end ON issued (not_after_ns);
CREATE TABLE revoked (
  serial TEXT PRIMARY KEY, authority TEXT NOT NULL, at_ns INTEGER NOT NULL, not_after_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE cut (tenant TEXT NOT NULL, subject TEXT NOT NULL, at_ns INTEGER NOT NULL);
CREATE TABLE change (number INTEGER NOT NULL);
INSERT INTO change VALUES (0);
"""
_NOT_REVOKED = "FROM issued WHERE serial NOT IN (SELECT serial FROM revoked)"
_VALID = f"{_NOT_REVOKED} AND not_after_ns > :now_ns"
_ISSUED = "serial, authority, tenant, kind, subject, role, method, rule, issued_at_ns, not_after_ns"

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class SqliteStore:
    """Keeps everything in `file`. See `Store`.

    `is_new`: a file that is not there is made, for its owner's eyes only; else it must be there.
    """

    def __init__(self, file: Path, *, is_new: bool = True) -> None:
        self._file = _File(file, is_new=is_new)
        self._thread = ThreadPoolExecutor(1, "store")

    async def open(self) -> None:
        """See `Store`."""
        await self._in_thread(self._file.open)

    async def close(self) -> None:
        """See `Store`."""
        await self._in_thread(self._file.close)
        self._thread.shutdown(wait=False)

    async def issue(self, issued: Issued, exchange: Exchange) -> None:
        """See `Store`."""
        await self._in_thread(self._file.issue, issued, exchange)

    async def revoke(self, target: Target, *, now_ns: int) -> Sequence[Revoked]:
        """See `Store`."""
        return await self._in_thread(self._file.revoke, target, now_ns)

    async def watch(self) -> AsyncGenerator[Sequence[Revoked], None]:
        """See `Store`."""
        known = -1
        while True:
            number, revoked = await self._in_thread(self._file.revoked_since, known)
            if number != known:
                yield revoked
            known = number
            await asyncio.sleep(POLL_S)

    async def find(self, *, now_ns: int) -> Sequence[Issued]:
        """See `Store`."""
        return await self._in_thread(self._file.find, now_ns)

    async def count(self, *, now_ns: int) -> Mapping[str, int]:
        """See `Store`."""
        return await self._in_thread(self._file.count, now_ns)

    async def sweep(self, *, now_ns: int) -> None:
        """See `Store`."""
        await self._in_thread(self._file.sweep, now_ns)

    async def _in_thread(
        self, work: Callable[Arguments, Answer], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))


class _File:
    """The file, as the one thread sees it. Everything raises StoreAway for whatever SQLite or the disk says."""

    def __init__(self, path: Path, *, is_new: bool) -> None:
        self._path = path
        self._is_new = is_new
        self._connection: sqlite3.Connection | None = None
        self._identity = (0, 0)
        self._closed_by = f"{path} is not open"

    def open(self) -> None:
        self.close()
        try:
            self._open()
        except StoreAway as away:
            # Whoever asks meanwhile hears why.
            self._closed_by = str(away)
            raise

    def _open(self) -> None:
        with self._faults():
            if self._is_new:
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            place = f"{self._path.absolute().as_uri()}?mode=rw"
            connection = sqlite3.connect(place, uri=True, timeout=BUSY_S, isolation_level=None)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection, self._identity = connection, self._found()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with self._faults():
                connection.close()

    def issue(self, issued: Issued, exchange: Exchange) -> None:
        with self._writing() as write:
            cut = "SELECT max(at_ns) FROM cut WHERE tenant IN ('', ?) AND subject IN ('', ?)"
            [latest_ns] = write.execute(cut, (issued.tenant, issued.subject)).fetchone()
            if latest_ns is not None and exchange.issued_at_ns <= latest_ns:
                raise TokenCutOff
            if exchange.token_id is not None:
                used = write.execute(
                    "INSERT OR IGNORE INTO token VALUES (?, ?)", (exchange.token_id, exchange.until_ns)
                )
                if not used.rowcount:
                    raise TokenUsed
            write.execute("INSERT INTO issued VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _row(issued))

    def revoke(self, target: Target, now_ns: int) -> Sequence[Revoked]:
        with self._writing() as write:
            if target.serial is None:
                write.execute("INSERT INTO cut VALUES (?, ?, ?)", (target.tenant or "", target.subject or "", now_ns))
            which, wanted = _condition(target)
            found = write.execute(f"SELECT {_ISSUED} {_NOT_REVOKED} {which}", wanted).fetchall()
            made = [Revoked(each.serial, each.authority, now_ns, each.not_after_ns) for each in map(_issued, found)]
            write.executemany(
                "INSERT INTO revoked VALUES (?, ?, ?, ?)",
                [(_hex(each.serial), each.authority, each.at_ns, each.not_after_ns) for each in made],
            )
            write.execute("UPDATE change SET number = number + 1")
            return made

    def revoked_since(self, known: int) -> tuple[int, Sequence[Revoked]]:
        """Return the number of the newest change, and all revocations if that is not `known`."""
        with self._reading() as read:
            [number] = read.execute("SELECT number FROM change").fetchone()
            if number == known:
                return number, ()
            rows = read.execute("SELECT serial, authority, at_ns, not_after_ns FROM revoked ORDER BY at_ns").fetchall()
            return number, [Revoked(int(serial, 16), *rest) for serial, *rest in rows]

    def find(self, now_ns: int) -> Sequence[Issued]:
        with self._reading() as read:
            rows = read.execute(f"SELECT {_ISSUED} {_VALID} ORDER BY issued_at_ns", {"now_ns": now_ns})
            return [_issued(row) for row in rows]

    def count(self, now_ns: int) -> Mapping[str, int]:
        with self._reading() as read:
            return dict(read.execute(f"SELECT authority, count(*) {_VALID} GROUP BY authority", {"now_ns": now_ns}))

    def sweep(self, now_ns: int) -> None:
        with self._writing() as write:
            write.execute("DELETE FROM token WHERE until_ns <= ?", (now_ns,))
            write.execute("DELETE FROM cut WHERE at_ns <= ?", (now_ns - CUTS_MATTER_NS,))
            write.execute("DELETE FROM issued WHERE not_after_ns <= ?", (now_ns - KEPT_AFTER_END_NS,))
            gone = write.execute("DELETE FROM revoked WHERE not_after_ns <= ?", (now_ns - KEPT_AFTER_END_NS,))
            write.execute("UPDATE change SET number = number + ?", (gone.rowcount > 0,))

    # --- what they are made of --------------------------------------------------------------

    def _prepare(self, connection: sqlite3.Connection) -> None:
        [application] = connection.execute("PRAGMA application_id").fetchone()
        [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (tables or application) and application != APPLICATION_ID:
            raise StoreAway(f"{self._path} is a file of something else")
        [mode] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreAway(f"{self._path} is on a file system that SQLite cannot share (WAL); use a local disk")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
        connection.execute("COMMIT")
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            raise StoreAway(f"{self._path} was written by another version of kilngate (format {version})")
        [verdict] = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StoreAway(f"{self._path} is damaged: {verdict}")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection, if its file is still the one that others find under the name.

        Raises:
            StoreAway: it is not open, was replaced, or SQLite says so.
        """
        with self._faults():
            if self._connection is not None and self._found() != self._identity:
                self._connection.close()
                self._connection = None
                self._closed_by = f"{self._path} was replaced by another file"
            if self._connection is None:
                raise StoreAway(self._closed_by)
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection in a transaction, which is undone if anything is raised."""
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreAway(f"{self._path}: {error}") from error

    def _found(self) -> tuple[int, int]:
        there = os.stat(self._path)
        return there.st_dev, there.st_ino


def _condition(target: Target) -> tuple[str, Mapping[str, str]]:
    wanted = {"tenant": target.tenant, "subject": target.subject}
    if target.serial is not None:
        wanted = {"serial": _hex(target.serial)}
    given = {name: value for name, value in wanted.items() if value is not None}
    return "".join(f" AND {name} = :{name}" for name in given), given


def _hex(serial: int) -> str:
    """SQLite has integers of 64 bits only."""
    return f"{serial:x}"


def _row(issued: Issued) -> tuple[object, ...]:
    return (
        _hex(issued.serial), issued.authority, issued.tenant, issued.kind, issued.subject, issued.role, issued.method,
        issued.rule, issued.issued_at_ns, issued.not_after_ns,
    )  # fmt: skip


def _issued(row: tuple[str, ...]) -> Issued:
    serial, *rest = row
    return Issued(int(serial, 16), *rest)  # type: ignore[arg-type]
