"""The registry's folder as one `TokenStore`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import quote

from reductauth.errors import ConfigurationError, StoreUnavailableError
from reductauth.key import RegistryKey
from reductauth.sqlite import generation_log, reader, schema
from reductauth.sqlite.files import FolderLock, RegistryFolder
from reductauth.sqlite.generation import Generation
from reductauth.sqlite.keys import RegistryKeys
from reductauth.sqlite.reader import SqliteSnapshot, TokenTotal
from reductauth.sqlite.transaction import SqliteTransaction
from reductauth.sqlite.writer import Writer
from reductauth.store import BucketIntent, Found, FoundById, Snapshot, StoreCounts, Transaction

__all__ = ["LOADING", "SERVING", "SqliteStore", "Tuning"]

T = TypeVar("T")

_BUSY_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Tuning:
    """How much of the registry is held in memory for changes.

    `log_pages` is the length of its log from which on a change folds it into the registry; 0 leaves that to `fold_log`.
    """

    cache_bytes: int
    log_pages: int


SERVING = Tuning(cache_bytes=2_048_000, log_pages=1_000)
"""For changes of a few tokens each: what SQLite does by itself."""
LOADING = Tuning(cache_bytes=256 * 1024 * 1024, log_pages=0)
"""For changes of thousands of tokens. Each changes pages all over the registry, most of them again and again."""


class SqliteStore:
    """A `TokenStore` in a folder on a local disk, which several processes may share.

    `key` is the registry's key, found in the folder or given.
    """

    def __init__(
        self, folder: RegistryFolder, lock: FolderLock, key: RegistryKey, tuning: Tuning = SERVING
    ) -> None:
        """Open what is there; the caller holds the lock. Use `open`."""
        self.key = key
        self._lock = lock
        self._lookups = _connect(folder.database)
        _check(self._lookups, key, folder)
        self._kept = _fact(self._lookups, "generation", int, folder)
        self._generation = Generation(folder.generation_file, self._kept)
        self.generation = self._generation.read
        """See `TokenStore.generation`."""
        self._reads = _connect(folder.database)
        self._total = TokenTotal(self._reads)
        writing = _connect(folder.database)
        writing.execute(f"PRAGMA cache_size = -{tuning.cache_bytes // 1024}")
        writing.execute(f"PRAGMA wal_autocheckpoint = {tuning.log_pages}")
        keys = RegistryKeys.of(key)
        self._sealer = keys.sealer
        self._owner = lock.claim()
        self._writer = Writer(writing, folder, lock, self._generation, keys, self._owner)
        self._read_thread = ThreadPoolExecutor(1, "reductauth-reader")
        self._suspended: frozenset[str] = frozenset()
        self._suspended_generation = -1
        self._is_closed = False
        # One for each thread: adding is no single step.
        self._failed_lookups = self._failed_reads = 0

    @classmethod
    def open(cls, path: Path, given_key: RegistryKey | None = None, tuning: Tuning = SERVING) -> Self:
        """Open the registry in the folder `path`, made if there never was one. Blocks.

        Raises `ConfigurationError` with what an operator has to do when it is not safe to open.
        """
        folder = RegistryFolder(path)
        try:
            folder.prepare()
            lock = FolderLock(folder.lock_file)
            try:
                with lock.held():
                    store = cls(folder, lock, folder.first_start(given_key), tuning)
                store._recover()
                return store
            except BaseException:
                lock.close()
                raise
        except StoreUnavailableError:
            raise ConfigurationError(
                [
                    f"{folder.lock_file}: another process has held the token registry for seconds; is one stuck?"
                ]
            ) from None
        except sqlite3.Error as error:
            raise ConfigurationError(
                [f"{folder.database}: can't be opened as a token registry ({error})"]
            ) from None
        except OSError as error:
            raise ConfigurationError(
                [f"{path}: can't keep a token registry here ({error.strerror})"]
            ) from None

    def _recover(self) -> None:
        """Bring counter and row together, after a crash for instance: in the order of every change."""
        if self._generation.read() != self._kept:
            try:
                self._writer.submit(_invalidate).result()
            except StoreUnavailableError as error:
                self._close()
                raise ConfigurationError(
                    [f"the token registry can't be brought up to date: {error}"]
                ) from None

    async def find(self, digest: bytes) -> Found | None:
        """See `TokenStore.find`. One indexed read, in place: it never suspends."""
        try:
            self._note_suspended()
            found = reader.find(self._lookups, self._sealer, digest)
        except (sqlite3.Error, ValueError) as error:  # ValueError: the store was closed
            self._failed_lookups += 1
            raise StoreUnavailableError from error
        if found is None or not self._suspended:
            return found
        return replace(found, token=found.token.without_buckets(self._suspended))

    async def find_by_id(self, token_id: str) -> FoundById | None:
        """See `TokenStore.find_by_id`. As `find` does."""
        try:
            self._note_suspended()
            found = reader.find_by_id(self._lookups, self._sealer, token_id)
        except (sqlite3.Error, ValueError) as error:
            self._failed_lookups += 1
            raise StoreUnavailableError from error
        if found is None or not self._suspended:
            return found
        return replace(found, token=found.token.without_buckets(self._suspended))

    async def changed_between(self, earlier: int, later: int) -> frozenset[str] | None:
        """See `TokenStore.changed_between`. As `find` does."""
        try:
            return generation_log.changed_between(self._lookups, earlier, later)
        except (sqlite3.Error, ValueError) as error:
            self._failed_lookups += 1
            raise StoreUnavailableError from error

    def _note_suspended(self) -> None:
        generation = self._generation.read()
        if generation != self._suspended_generation or generation % 2:
            self._suspended = reader.suspended_buckets(self._lookups)
            self._suspended_generation = generation

    async def read(self, work: Callable[[Snapshot], T]) -> T:
        """See `TokenStore.read`. Runs on a thread and a connection of its own."""
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise StoreUnavailableError
        return await loop.run_in_executor(self._read_thread, self._read, work)

    def _read(self, work: Callable[[Snapshot], T]) -> T:
        try:
            self._reads.execute("BEGIN")
            try:
                return work(SqliteSnapshot(self._reads, self._sealer, self._total))
            finally:
                self._reads.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._failed_reads += 1
            raise StoreUnavailableError from error

    async def change(self, work: Callable[[Transaction], T]) -> T:
        """See `TokenStore.change`. A caller that is cancelled does not undo its change."""
        return await self._writer.change(work)

    async def fold_log(self) -> None:
        """Write what the log holds into the registry itself, off the event loop. Changes can be made meanwhile."""
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise StoreUnavailableError
        await loop.run_in_executor(self._read_thread, self._fold_log)

    def _fold_log(self) -> None:
        try:
            self._reads.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            raise StoreUnavailableError from error

    def is_writable(self) -> bool:
        """See `TokenStore.is_writable`."""
        return self._writer.is_keeping

    def counts(self) -> StoreCounts:
        """See `TokenStore.counts`."""
        errors = self._failed_lookups + self._failed_reads + self._writer.failures
        return StoreCounts(dict(self._writer.kept), errors)

    def is_anothers(self, intent: BucketIntent) -> bool:
        """See `TokenStore.is_anothers`."""
        return intent.owner != self._owner and self._lock.is_claimed(intent.owner)

    async def close(self) -> None:
        """See `TokenStore.close`."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._writer.close()
        self._read_thread.shutdown()
        self._reads.close()
        self._lookups.close()
        self._generation.close()
        self._lock.close()


def _invalidate(transaction: SqliteTransaction) -> None:
    transaction.changed = None


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=_BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")  # nothing of a registry in files elsewhere
    return connection


def _fact(connection: sqlite3.Connection, name: str, kind: type[T], folder: RegistryFolder) -> T:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    if row is None or not isinstance(row[0], kind):
        raise ConfigurationError(
            [f"{folder.database}: is damaged ({name} is missing); restore it from a backup"]
        )
    return row[0]


def _check_parts(connection: sqlite3.Connection, folder: RegistryFolder) -> None:
    parts = schema.foreign_parts(connection)
    if parts:
        raise ConfigurationError(
            [
                f"{folder.database}: {', '.join(parts)}: no part of a registry, and could change what is written; "
                "find out who put it there, and restore the registry from a backup"
            ]
        )


def _check(connection: sqlite3.Connection, key: RegistryKey, folder: RegistryFolder) -> None:
    """Raise `ConfigurationError` unless this is a whole registry of this release, made with this key."""
    schema.check_version(connection, str(folder.database))
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise ConfigurationError(
            [f"{folder.database}: can't be switched to WAL (it is {mode}); is the disk local?"]
        )
    _check_parts(connection, folder)
    _fact(connection, "seeded", int, folder)
    if not key.matches(_fact(connection, "key_check", bytes, folder)):
        raise ConfigurationError(
            [
                f"{folder.database}: was made with another key than {key.key_id}; restore the auth.key that "
                "belongs to it, or set RS_AUTH_KEY to the right key"
            ]
        )
