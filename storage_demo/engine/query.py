"""One query that is being read, a batch at a time."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

from storage_demo.engine.errors import (
    ConditionError,
    ContentDamagedError,
    ReferenceNotFoundError,
    StorageError,
)
from storage_demo.engine.opening import damaged
from storage_demo.engine.scan import record_of_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage_demo.engine.batch import BatchRule, RecordBatch
    from storage_demo.engine.errors import EngineError
    from storage_demo.engine.opening import RecordOpener
    from storage_demo.engine.queries import StoredRecord
    from storage_demo.engine.scan import RecordKey, Scan


class Query:
    """The state of a query between its reads. Every read consumes what it hands out."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.read_count = 0
        """Reads that are under way."""
        self.read_at_seconds = 0.0
        """When it was read last, by the clock of who keeps it."""
        # A read whose caller was cancelled goes on in its thread, so reads take turns.
        self._turn = threading.Lock()
        self._held: RecordKey | None = None
        self._missing: RecordKey | None = None
        self._failure: EngineError | None = None

    def fill(
        self,
        connection: sqlite3.Connection,
        batch: RecordBatch,
        rule: BatchRule,
        opener: RecordOpener | None,
    ) -> bool:
        """Put the next records into *batch*, inside a transaction of the caller; without *opener* no contents.

        Returns whether the batch is complete; if not, there is more to look through. A batch that has records is
        completed by what fails behind them, which is raised by the next read: what `Scan.slice` raises, then with
        every read; `ContentDamagedError`, after which the query goes on behind the record; and other `StorageError`,
        after which it tries again.
        """
        with self._turn:
            if self._failure is not None and not batch.records:
                raise self._failure
            try:
                return self._fill(connection, batch, rule, opener)
            except (ConditionError, ReferenceNotFoundError) as error:
                self._failure = error
                if not batch.records:
                    raise
            except ContentDamagedError:
                if not batch.records:
                    self._held = self._missing = None
                    raise
            except (StorageError, sqlite3.Error):
                if not batch.records:
                    raise
            return True

    def _fill(
        self, connection: sqlite3.Connection, batch: RecordBatch, rule: BatchRule, opener: RecordOpener | None
    ) -> bool:
        for key in self._keys(connection):
            # Whatever fails, the next read begins with it: until it is in a batch, or known to be gone.
            self._held = key
            stored = record_of_key(connection, self.scan.bucket, key)
            if stored is None:
                self._held = None
                continue
            if not rule.fits(stored.record):
                return True
            if opener is not None:
                reader = opener.open(stored)
                if reader is None:
                    self._wait_for_missing(key, stored)
                    return False
                batch.readers.append(reader)
            rule.add(stored.record)
            batch.records.append(stored.record)
            self._held = None
            if rule.is_full:
                return True
        batch.is_last = self.scan.is_at_end
        return batch.is_last

    def _keys(self, connection: sqlite3.Connection) -> Iterator[RecordKey]:
        held, self._held = self._held, None
        if held is not None:
            yield held
        yield from self.scan.slice(connection)

    def _wait_for_missing(self, key: RecordKey, stored: StoredRecord) -> None:
        """Look again in the next snapshot: a file that is gone was removed with its record, or lost."""
        if key == self._missing:
            raise damaged(stored)
        self._missing = key
