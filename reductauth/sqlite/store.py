"""The registry's folder as one `TokenStore`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import quote

from reductauth.errors import ConfigurationError, StoreUnavailableError
from reductauth.key import RegistryKey
from reductauth.sqlite import reader, schema
from reductauth.sqlite.files import FolderLock, RegistryFolder
from reductauth.sqlite.generation import Generation
from reductauth.sqlite.reader import SqliteSnapshot
from reductauth.sqlite.writer import Writer
from reductauth.store import Found, Snapshot, Transaction

__all__ = ["SqliteStore"]

T = TypeVar("T")

_BUSY_TIMEOUT_SECONDS = 5.0


class SqliteStore:
    """A `TokenStore` in a folder on a local disk, which several processes may share.

    `key` is the registry's key, found in the folder or given.
    """

    def __init__(self, folder: RegistryFolder, lock: FolderLock, key: RegistryKey) -> None:
        """Open what is there; the caller holds the lock. Use `open`."""
        self.key = key
        self._lock = lock
        self._lookups = _connect(folder.database)
        schema.check_version(self._lookups, str(folder.database))
        _check_key(self._lookups, key, folder)
        self._generation = _open_generation(folder, self._lookups)
        self.generation = self._generation.read
        """See `TokenStore.generation`."""
        self._writer = Writer(_connect(folder.database), folder, lock, self._generation, key.key_id)
        self._reads = _connect(folder.database)
        self._read_thread = ThreadPoolExecutor(1, "reductauth-reader")
        self._suspended: frozenset[str] = frozenset()
        self._suspended_generation = -1

    @classmethod
    def open(cls, path: Path, given_key: RegistryKey | None = None) -> Self:
        """Open the registry in the folder `path`, made if there never was one. Blocks.

        Raises `ConfigurationError` with what an operator has to do when it is not safe to open.
        """
        folder = RegistryFolder(path)
        try:
            folder.prepare()
            lock = FolderLock(folder.lock_file)
            try:
                with lock.held():
                    return cls(folder, lock, folder.first_start(given_key))
            except BaseException:
                lock.close()
                raise
        except sqlite3.Error as error:
            raise ConfigurationError(
                [f"{folder.database}: can't be opened as a token registry ({error})"]
            ) from None
        except OSError as error:
            raise ConfigurationError(
                [f"{path}: can't keep a token registry here ({error.strerror})"]
            ) from None

    async def find(self, digest: bytes) -> Found | None:
        """See `TokenStore.find`. One indexed read, in place: it never suspends."""
        try:
            generation = self._generation.read()
            if generation != self._suspended_generation or generation % 2:
                self._suspended = reader.suspended_buckets(self._lookups)
                self._suspended_generation = generation
            found = reader.find(self._lookups, digest)
        except sqlite3.Error as error:
            raise StoreUnavailableError from error
        if found is None or not self._suspended:
            return found
        permissions = found.token.permissions
        for bucket in self._suspended:
            permissions = permissions.without_bucket(bucket)
        return replace(found, token=replace(found.token, permissions=permissions))

    async def read(self, work: Callable[[Snapshot], T]) -> T:
        """See `TokenStore.read`. Runs on a thread and a connection of its own."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._read_thread, self._read, work)

    def _read(self, work: Callable[[Snapshot], T]) -> T:
        try:
            self._reads.execute("BEGIN")
            try:
                return work(SqliteSnapshot(self._reads))
            finally:
                self._reads.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreUnavailableError from error

    async def change(self, work: Callable[[Transaction], T]) -> T:
        """See `TokenStore.change`. A caller that is cancelled does not undo its change."""
        return await asyncio.wrap_future(self._writer.submit(work))

    def is_writable(self) -> bool:
        """See `TokenStore.is_writable`."""
        return self._writer.failure is None

    async def close(self) -> None:
        """See `TokenStore.close`."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        self._read_thread.shutdown()
        self._reads.close()
        self._lookups.close()
        self._generation.close()
        self._lock.close()


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
    return connection


def _check_key(connection: sqlite3.Connection, key: RegistryKey, folder: RegistryFolder) -> None:
    (check_value,) = connection.execute("SELECT value FROM meta WHERE name = 'key_check'").fetchone()
    if not key.matches(check_value):
        raise ConfigurationError(
            [
                f"{folder.database}: was made with another key than {key.key_id}; restore the auth.key that belongs "
                "to it, or set RS_AUTH_KEY to the right key"
            ]
        )


def _open_generation(folder: RegistryFolder, connection: sqlite3.Connection) -> Generation:
    """Map the counter and bring it and its row together, after a crash for instance."""
    (kept,) = connection.execute("SELECT value FROM meta WHERE name = 'generation'").fetchone()
    generation = Generation(folder.generation_file, kept)
    if generation.read() != kept:
        even = max(generation.read() + generation.read() % 2, kept) + 2
        generation.begin()
        connection.execute("UPDATE meta SET value = ? WHERE name = 'generation'", (even,))
        generation.publish(even)
    return generation
