"""The thread that makes changes. Those that wait together share one commit.

Each runs in a savepoint of its own, so a refusal undoes only itself. When the transaction as a whole fails,
none of them happened, and all are told so. A caller hears of its change only after it is on disk and after
every process can notice it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from reductauth.audit import AuditAction
from reductauth.errors import StoreUnavailableError
from reductauth.sqlite import schema
from reductauth.sqlite.files import FolderLock, RegistryFolder
from reductauth.sqlite.generation import Generation
from reductauth.sqlite.generation_log import advance, skip
from reductauth.sqlite.keys import RegistryKeys
from reductauth.sqlite.known import Known
from reductauth.sqlite.live_files import LiveFiles
from reductauth.sqlite.transaction import SqliteTransaction, forget_waiting

__all__ = ["Writer"]

T = TypeVar("T")

_MAX_BATCH = 128
_ONE_CREATION = [AuditAction.CREATE]
_logger = logging.getLogger("reductauth.store")


@dataclass(slots=True)
class _Change:
    work: Callable[[SqliteTransaction], Any]
    future: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None = None
    """Where the future belongs, if to an event loop."""
    result: Any = None
    refusal: BaseException | None = None
    actions: list[str] = field(default_factory=list)
    changed: set[str] | None = field(default_factory=set)
    """See `SqliteTransaction.changed`."""

    def tell(self) -> None:
        if self.future.done():  # the caller was cancelled; its change is not undone
            return
        if self.refusal is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.refusal)


class Writer:
    """Owns the connection that writes."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        folder: RegistryFolder,
        lock: FolderLock,
        generation: Generation,
        keys: RegistryKeys,
        owner: int,
    ) -> None:
        self._connection = connection
        self._known = Known(connection, keys.trail)
        self._lock = lock
        self._generation = generation
        self._keys = keys
        self._owner = owner
        self._files = LiveFiles(folder.live_files())
        self._queue: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        self._failure: str | None = None
        self._door = threading.Lock()
        self._is_closed = False
        self._has_kept = True
        self.kept: Counter[str] = Counter()
        """Changes of tokens that were kept, by action."""
        self.failures = 0
        """Changes that could not be kept."""
        self._thread = threading.Thread(target=self._run, name="reductauth-writer", daemon=True)
        self._thread.start()

    @property
    def is_keeping(self) -> bool:
        """Whether the last change could be kept. A usage flush finds out when it can be again."""
        return self._has_kept and self._failure is None

    def submit(self, work: Callable[[SqliteTransaction], T]) -> Future[T]:
        """Queue a change. The future holds its result, what it raised, or `StoreUnavailableError`."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # a change is not undone because its caller went away
        self._put(_Change(work, future))
        return future

    async def change(self, work: Callable[[SqliteTransaction], T]) -> T:
        """Queue a change, and wait for what `submit` promises. A caller that is cancelled does not undo its change."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(_Change(work, future, loop))
        return await future

    def _put(self, change: _Change) -> None:
        with self._door:
            if not self._is_closed:
                self._queue.put(change)
                return
        change.refusal = StoreUnavailableError()
        change.tell()

    def close(self) -> None:
        """Finish what waits, then end the thread and close the connection. Blocks."""
        with self._door:
            if self._is_closed:
                return
            self._is_closed = True
            self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            ended = False
            with contextlib.suppress(queue.Empty):
                while len(batch) < _MAX_BATCH and not ended:
                    change = self._queue.get_nowait()
                    if change is None:
                        ended = True
                    else:
                        batch.append(change)
            self._make(batch)
            if ended:
                return

    def _make(self, batch: list[_Change]) -> None:
        try:
            self._commit(batch)
        except BaseException as error:  # noqa: BLE001 - the callers must hear, and the thread must live on
            _logger.error("changes not kept changes=%d error=%s", len(batch), error)  # noqa: TRY400 - one line
            self._has_kept = False
            self.failures += len(batch)
            for change in batch:
                change.refusal = StoreUnavailableError()
        else:
            self._has_kept = True
            for change in batch:
                if change.refusal is None:
                    for action in change.actions:
                        self.kept[action] += 1
        _tell(batch)

    def _commit(self, batch: list[_Change]) -> None:
        if self._failure is not None:
            raise StoreUnavailableError
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            if self._known.is_outdated():
                self._look_again()
            if len(batch) == 1:  # what it is refused is all that there is to undo
                self._attempt(*batch)
            else:
                for change in batch:
                    self._attempt_in_savepoint(change)
            self._known.trail.settle()
            self._check_in_place()
            if all(change.refusal is not None for change in batch):
                self._connection.execute("ROLLBACK")
                self._known.forget()
            else:
                changed = _changed(batch)
                if changed == set():
                    self._commit_unpublished()
                else:
                    self._commit_and_publish(changed)
        except BaseException:
            self._known.forget()
            self._roll_back()
            raise
        self._check_in_place()

    def _look_again(self) -> None:
        """Refuse to write where something else has put what writes along, such as a trigger."""
        parts = schema.foreign_parts(self._connection)
        if parts:
            _logger.critical("registry is not ours parts=%s; run reductauth verify", parts)
            raise StoreUnavailableError
        forget_waiting(self._connection)
        self._known.update()

    def _attempt_in_savepoint(self, change: _Change) -> None:
        """Attempt a change so that a refusal undoes no other."""
        self._connection.execute("SAVEPOINT change")
        end = self._known.trail.end
        self._attempt(change)
        if change.refusal is not None:
            self._connection.execute("ROLLBACK TO change")
            self._known.trail.end = end
        self._connection.execute("RELEASE change")

    def _attempt(self, change: _Change) -> None:
        """Run one change, and take down what it did, unless it is refused."""
        transaction = SqliteTransaction(self._connection, self._keys, self._owner, self._known)
        try:
            change.result = change.work(transaction)
            transaction.seal()
        except BaseException as refusal:
            if isinstance(refusal, sqlite3.Error) and not isinstance(refusal, sqlite3.IntegrityError):
                raise  # the disk's fault, which may have rolled everything back: the whole batch fails
            # A future can't carry StopIteration, and a coroutine that awaits it would be ended by it.
            change.refusal = RuntimeError(repr(refusal)) if isinstance(refusal, StopIteration) else refusal
            return
        if transaction.actions != _ONE_CREATION:
            self._known.holders.forget()
        change.actions = transaction.actions
        change.changed = transaction.changed

    def _commit_unpublished(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if not _is_harmless(error):
                self._stop(error)
            raise

    def _commit_and_publish(self, changed: set[str] | None) -> None:
        # Between BEGIN IMMEDIATE and here no other process can write, so the lock is free or about to be.
        with self._lock.held():
            before = self._generation.begin()
            try:
                even = advance(self._connection, self._generation.read() + 1, changed)
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                if before % 2 == 0 and _is_harmless(error):
                    self._roll_back()
                    self._generation.publish(before)
                else:
                    self._stop(error)
                raise
            self._generation.publish(even)

    def _stop(self, error: sqlite3.Error) -> None:
        """Keep nothing any more: the commit may or may not be on disk, and a disk that failed once is not trusted.

        What it wrote may lie whole in SQLite's log, only not synced, and the next start would take it for kept. So a
        change that means nothing is written over it.
        """
        self._fail(f"commit failed: {error}")
        self._roll_back()
        try:
            skip(self._connection)
        except sqlite3.Error as second:
            _logger.critical(
                "what was refused can't be taken back error=%s; it may be there after the restart", second
            )

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _check_in_place(self) -> None:
        """Refuse to keep, or to acknowledge, what goes to files that the next start will not find."""
        lost = self._files.lost()
        if lost is not None:
            self._fail(f"{lost} was removed, replaced or cut short while the server runs")
            raise StoreUnavailableError

    def _fail(self, reason: str) -> None:
        self._failure = reason
        self._generation.begin()  # odd: no reader keeps anything, each asks the store
        _logger.critical(
            "registry stopped reason=%s; no change is kept until the server is restarted", reason
        )


def _changed(batch: list[_Change]) -> set[str] | None:
    """Give the ids of the tokens that changed; None: perhaps all."""
    changed: set[str] = set()
    for change in batch:
        if change.changed is None:
            return None
        changed |= change.changed
    return changed


def _tell(batch: list[_Change]) -> None:
    """Let all callers hear. An event loop is woken once, not for each of its changes."""
    of_loops: dict[asyncio.AbstractEventLoop, list[_Change]] = {}
    for change in batch:
        if change.loop is None:
            change.tell()
        else:
            of_loops.setdefault(change.loop, []).append(change)
    for loop, changes in of_loops.items():
        with contextlib.suppress(RuntimeError):  # a loop that was closed has nobody who waits
            loop.call_soon_threadsafe(_tell_each, changes)


def _tell_each(changes: list[_Change]) -> None:
    for change in changes:
        change.tell()


def _is_harmless(error: sqlite3.Error) -> bool:
    """Whether SQLite is certain that nothing of the transaction reached the disk."""
    code = getattr(error, "sqlite_errorcode", None)  # errors of the Python module have none
    return code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL}
