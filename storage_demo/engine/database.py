"""The connections to the index: one thread that writes, and one connection per thread that reads.

Rules of this file: a transaction lives inside one call of one function and never waits for a caller, and
a change is reported only after its commit is on the disk.
"""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import sqlite3
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from storage_demo.engine.faults import storage_fault, storage_faults
from storage_demo.engine.folders import sync_folder
from storage_demo.engine.schema import migrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BUSY_TIMEOUT_S = 5.0
_MAX_CHANGES_PER_COMMIT = 64
_DRAFT_SUFFIX = ".new"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Change(Generic[Result]):
    """A change that waits for the writer thread, and where its outcome goes."""

    work: Callable[[sqlite3.Connection], Result]
    outcome: Future[Result]


class Database:
    """The index of buckets, entries and records. All methods block; call them off the event loop."""

    def __init__(self, path: Path) -> None:
        """Open the database at *path*, created and migrated as needed.

        Raises `StorageError`, and `SchemaTooNewError` of its branch.
        """
        self._path = path
        self._readers: list[sqlite3.Connection] = []
        self._of_thread = threading.local()
        with storage_faults():
            _create_private(path)
            self._writer = self._connect()
            try:
                self._writer.execute("PRAGMA journal_mode = WAL")
                self._writer.execute("PRAGMA synchronous = FULL")
                self._writer.execute("PRAGMA foreign_keys = ON")
                migrate(self._writer)
            except BaseException:
                self._writer.close()
                raise
        self._changes: queue.SimpleQueue[_Change[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_until_closed, name="engine-writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the waiting changes and close all connections; no other call may be under way."""
        self._changes.put(None)
        self._thread.join()
        for connection in (*self._readers, self._writer):
            connection.close()

    def read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return ``work(connection)``, run in this thread on one snapshot of the database.

        Raises what *work* raises, and `StorageError`.
        """
        with storage_faults():
            connection = self._reader_of_thread()
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.execute("ROLLBACK")

    def change(
        self, work: Callable[[sqlite3.Connection], Result], has_its_place: threading.Event | None = None
    ) -> Result:
        """Return ``work(connection)``, run in the writer thread, once it is committed and durable.

        Changes are made in the order of their calls; *has_its_place* is set when those that begin from now on come
        after this one. If *work* raises, nothing of it is kept. Raises what *work* raises, and `StorageError`.
        """
        change = _Change(work, Future[Result]())
        self._changes.put(change)
        if has_its_place is not None:
            has_its_place.set()
        return change.outcome.result()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )

    def _reader_of_thread(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._connect()
            self._readers.append(connection)
            connection.execute("PRAGMA query_only = ON")
            self._of_thread.connection = connection
        return connection

    def _write_until_closed(self) -> None:
        is_closing = False
        while not is_closing:
            batch = []
            change = self._changes.get()
            while change is not None:
                batch.append(change)
                if len(batch) == _MAX_CHANGES_PER_COMMIT or self._changes.empty():
                    break
                change = self._changes.get()
            is_closing = change is None
            if batch:
                self._commit(batch)

    def _commit(self, batch: list[_Change[Any]]) -> None:
        """Run the changes that wait together in one transaction, each in a savepoint of its own.

        They share the one expensive step, the sync of the commit; a refusal touches only its own change.
        """
        outcomes: list[tuple[Any, Exception | None]] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            outcomes.extend(self._run(change) for change in batch)
            self._writer.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait for an answer
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            outcomes = [(None, _as_fault(error))] * len(batch)
        for change, (result, failure) in zip(batch, outcomes, strict=True):
            if failure is None:
                change.outcome.set_result(result)
            else:
                change.outcome.set_exception(failure)

    def _run(self, change: _Change[Any]) -> tuple[Any, Exception | None]:
        self._writer.execute("SAVEPOINT one_change")
        result = None
        failure: Exception | None = None
        try:
            result = change.work(self._writer)
        except Exception as error:
            if not self._writer.in_transaction:
                # SQLite gave up the whole transaction (a full disk): the other changes are gone as well.
                raise
            failure = _as_fault(error)
            self._writer.execute("ROLLBACK TO one_change")
        self._writer.execute("RELEASE one_change")
        return result, failure


def _as_fault(error: Exception) -> Exception:
    return storage_fault(error) if isinstance(error, sqlite3.Error) else error


def sweep_drafts(path: Path) -> None:
    """Unlink what a kill during the creation of the database at *path* left; nobody else may be starting."""
    for draft in path.parent.glob(f"{path.name}.*{_DRAFT_SUFFIX}"):
        draft.unlink()


def _create_private(path: Path) -> None:
    """Create an empty file that only its owner may read, unless there is one."""
    if path.exists():
        return
    # Closing a descriptor of the live file would drop the locks SQLite holds on it elsewhere in this
    # process, so the file is made under another name and linked.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}{_DRAFT_SUFFIX}")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    sync_folder(path.parent)
