"""One query that is being read, a batch at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from storage_demo.engine.errors import ConditionError, ReferenceNotFoundError
from storage_demo.engine.opening import damaged
from storage_demo.engine.queries import entry_of_id, stored_record

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from storage_demo.engine.batch import BatchRule, RecordBatch
    from storage_demo.engine.errors import EngineError
    from storage_demo.engine.opening import RecordOpener
    from storage_demo.engine.queries import StoredRecord
    from storage_demo.engine.scan import RecordKey, Scan


class Query:
    """The state of a query between its reads. Every read consumes what it hands out."""

    def __init__(self, scan: Scan, bucket: str) -> None:
        self.scan = scan
        self._bucket = bucket
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

        Returns whether the batch is complete; if not, there is more to look through. Raises what `Scan.slice`
        raises, again with every read, and `ContentDamagedError`, after which the query goes on.
        """
        with self._turn:
            if self._failure is not None and not batch.records:
                raise self._failure
            try:
                is_complete = self._fill(connection, batch, rule, opener)
            except (ConditionError, ReferenceNotFoundError) as error:
                self._failure = error
                if not batch.records:
                    raise
                return True
            return is_complete

    def _fill(
        self, connection: sqlite3.Connection, batch: RecordBatch, rule: BatchRule, opener: RecordOpener | None
    ) -> bool:
        for key in self._keys(connection):
            stored = self._look_up(connection, key)
            if stored is None:
                continue
            if not rule.fits(stored.record):
                self._held = key
                return True
            if opener is not None:
                reader = opener.open(stored)
                if reader is None:
                    return self._wait_for_missing(key, stored, batch)
                batch.readers.append(reader)
            rule.add(stored.record)
            batch.records.append(stored.record)
            if rule.is_full:
                return True
        batch.is_last = self.scan.is_at_end
        return batch.is_last

    def _keys(self, connection: sqlite3.Connection) -> Iterator[RecordKey]:
        held, self._held = self._held, None
        if held is not None:
            yield held
        yield from self.scan.slice(connection)

    def _wait_for_missing(self, key: RecordKey, stored: StoredRecord, batch: RecordBatch) -> bool:
        """Look again in the next snapshot: a file that is gone was removed with its record, or lost."""
        is_lost = key == self._missing
        if is_lost and not batch.records:
            self._missing = None
            raise damaged(stored)
        self._held = self._missing = key
        return is_lost

    def _look_up(self, connection: sqlite3.Connection, key: RecordKey) -> StoredRecord | None:
        entry = entry_of_id(connection, key.entry_id)
        return None if entry is None else stored_record(connection, self._bucket, entry, key.timestamp_us)
