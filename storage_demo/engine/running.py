"""The queries of this process that wait for their next read."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from storage_demo.engine.batch import RecordBatch
from storage_demo.engine.errors import (
    EntryNotFoundError,
    InvalidError,
    QueryNotFoundError,
    RecordNotSelectedError,
    StorageBusyError,
)
from storage_demo.engine.patterns import EntryPatterns
from storage_demo.engine.queries import find_bucket, find_entry
from storage_demo.engine.query import Query
from storage_demo.engine.scan import begin_scan, record_of_key

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from storage_demo.engine.batch import BatchRule
    from storage_demo.engine.database import Database
    from storage_demo.engine.opening import RecordOpener
    from storage_demo.engine.queries import StoredRecord
    from storage_demo.engine.reader import RecordReader
    from storage_demo.engine.scan import Scan
    from storage_demo.engine.selection import Selection
    from storage_demo.engine.workers import Workers

MAX_WEIGHT_BYTES = 64 * 1024 * 1024
"""What the waiting queries of one owner may weigh together; beyond that the one that was not read for longest goes."""

_LEAST_WEIGHT_BYTES = 4 * 1024
_BATCH_SECONDS = 5.0
_SWEEP_SECONDS = 1.0


@dataclass(slots=True)
class _Waiting:
    query: Query
    ttl_seconds: int
    weight_bytes: int

    def is_over(self, now_seconds: float) -> bool:
        query = self.query
        return not query.read_count and now_seconds - query.read_at_seconds >= self.ttl_seconds


class _Owned:
    """The queries of one owner, in the order of their last reads, and what they weigh together."""

    def __init__(self) -> None:
        self._queries: dict[int, _Waiting] = {}
        self._weight_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._queries)

    def put(self, query_id: int, waiting: _Waiting) -> None:
        """Put it last; those that were not read for longest go if all weigh too much."""
        self._queries[query_id] = waiting
        self._weight_bytes += waiting.weight_bytes
        while self._weight_bytes > MAX_WEIGHT_BYTES and len(self._queries) > 1:
            self.take(next(iter(self._queries)))

    def take(self, query_id: int) -> _Waiting | None:
        """Take it out, if it is there."""
        waiting = self._queries.pop(query_id, None)
        if waiting is not None:
            self._weight_bytes -= waiting.weight_bytes
        return waiting

    def sweep(self, now_seconds: float) -> None:
        """Take out those that are over."""
        for query_id in [number for number, one in self._queries.items() if one.is_over(now_seconds)]:
            self.take(query_id)


class RunningQueries:
    """Begins queries and reads them, each for its owner only: a text that means nothing here."""

    def __init__(
        self,
        database: Database,
        opener: RecordOpener,
        lookups: Workers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._opener = opener
        self._lookups = lookups
        self._clock = clock
        self._ids = itertools.count(1)
        self._owned: dict[str, _Owned] = {}
        self._swept_at_seconds = clock()

    def claim_id(self) -> int:
        """Return the next number of a query. Numbers begin at 1, rise, and are never given twice."""
        return next(self._ids)

    async def begin(
        self, bucket: str, selection: Selection, *, owner: str, ttl_seconds: int, weight_bytes: int = 0
    ) -> int:
        """Begin a query and return its number; it ends when it is not read for *ttl_seconds*.

        *weight_bytes* is about what its selection takes in memory.
        Raises `BucketNotFoundError`, `EntryNotFoundError`, `InvalidError`.
        """

        def look(connection: sqlite3.Connection) -> Query:
            bucket_id = find_bucket(connection, bucket).id
            return Query(begin_scan(connection, bucket_id, bucket, selection))

        query = await self._lookups.run(partial(self._database.read, look))
        query.read_at_seconds = now_seconds = self._clock()
        self._sweep(now_seconds)
        query_id = self.claim_id()
        weight_bytes = max(weight_bytes + query.scan.weight_bytes, _LEAST_WEIGHT_BYTES)
        self._owned.setdefault(owner, _Owned()).put(query_id, _Waiting(query, ttl_seconds, weight_bytes))
        return query_id

    async def find(self, query_id: int, bucket: str, entry: str | None, *, owner: str) -> Query:
        """Return a query that was begun in this bucket: about this one entry, or with None about several.

        Raises `BucketNotFoundError`, `EntryNotFoundError`, `QueryNotFoundError`.
        """

        def look(connection: sqlite3.Connection) -> tuple[int, int | None]:
            bucket_id = find_bucket(connection, bucket).id
            return bucket_id, None if entry is None else find_entry(connection, bucket_id, bucket, entry).id

        place = await self._lookups.run(partial(self._database.read, look))
        query = self._refreshed(query_id, owner)
        if query is None or (query.scan.bucket_id, query.scan.entry_id) != place:
            raise QueryNotFoundError(query_id)
        return query

    async def read(self, query: Query, rule: BatchRule, *, with_contents: bool = True) -> RecordBatch:
        """Return the next batch, closed by *rule*, by the end, or after 5 seconds of looking.

        Raises `BucketNotFoundError`, `ConditionError`, `ReferenceNotFoundError`, `ContentDamagedError`.
        """
        batch = RecordBatch()
        opener = self._opener if with_contents else None
        deadline_seconds = self._clock() + _BATCH_SECONDS

        def fill(connection: sqlite3.Connection) -> bool:
            return query.fill(connection, batch, rule, opener)

        # Looking for the next record may take longer than the query may be left alone.
        query.read_count += 1
        try:
            while not await self._lookups.run(partial(self._database.read, fill)):
                if self._clock() > deadline_seconds:
                    break
        except BaseException:
            batch.close()
            raise
        finally:
            query.read_count -= 1
            query.read_at_seconds = self._clock()
        return batch

    async def pick(self, bucket: str, selection: Selection, entry: str, timestamp_us: int) -> RecordReader:
        """Open one record, if it is among those that *selection* finds.

        Raises `BucketNotFoundError`, `RecordNotSelectedError`, `ContentDamagedError`, for a strict condition
        `ConditionError` and `ReferenceNotFoundError`, and `StorageBusyError` after 5 seconds of looking.
        """
        not_selected = RecordNotSelectedError(entry, timestamp_us)
        if not selection.patterns.select(entry):
            raise not_selected
        # What a condition counts, it counts for each entry by itself: the others need not be looked at.
        alone = replace(
            selection.around(timestamp_us), entry=entry, patterns=EntryPatterns(), is_continuous=False
        )
        deadline_seconds = self._clock() + _BATCH_SECONDS

        def begin(connection: sqlite3.Connection) -> Scan:
            return begin_scan(connection, find_bucket(connection, bucket).id, bucket, alone)

        def look(connection: sqlite3.Connection) -> StoredRecord | None:
            keys = (key for key in scan.slice(connection) if key.timestamp_us == timestamp_us)
            # Read in the snapshot in which it was judged.
            return next((record_of_key(connection, bucket, key) for key in keys), None)

        try:
            scan = await self._lookups.run(partial(self._database.read, begin))
        except (EntryNotFoundError, InvalidError):  # there is no such entry, or nothing of it is asked for
            raise not_selected from None
        while (stored := await self._lookups.run(partial(self._database.read, look))) is None:
            if scan.is_at_end:
                raise not_selected
            if self._clock() > deadline_seconds:
                raise StorageBusyError
        reader = await self._lookups.run(partial(self._opener.open, stored))
        if reader is None:  # removed meanwhile
            raise not_selected
        return reader

    def _refreshed(self, query_id: int, owner: str) -> Query | None:
        owned = self._owned.get(owner)
        waiting = None if owned is None else owned.take(query_id)
        now_seconds = self._clock()
        if owned is None or waiting is None or waiting.is_over(now_seconds):
            return None
        waiting.query.read_at_seconds = now_seconds
        owned.put(query_id, waiting)
        return waiting.query

    def _sweep(self, now_seconds: float) -> None:
        if now_seconds - self._swept_at_seconds < _SWEEP_SECONDS:
            return
        self._swept_at_seconds = now_seconds
        for owner, owned in list(self._owned.items()):
            owned.sweep(now_seconds)
            if not owned:
                del self._owned[owner]
