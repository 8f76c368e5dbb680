"""One pass over the records that a selection is about, in order of time and name of the entry.

It is made in slices, each inside a transaction of its caller, so that no snapshot of the index is held while a
client is waited for. What lies between two slices is kept in memory: how far each entry was looked through, and
the state of its condition. Records that are written behind that point meanwhile are not seen any more, for each
entry by itself: a late one of another entry is.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from storage_demo.engine.attachments import is_removed
from storage_demo.engine.conditions import Verdict
from storage_demo.engine.errors import (
    BucketNotFoundError,
    ConditionError,
    InvalidError,
    ReferenceNotFoundError,
)
from storage_demo.engine.integers import MAX_INTEGER
from storage_demo.engine.queries import (
    EntryRow,
    bucket_of_id,
    count_entries,
    entry_of_id,
    find_entry,
    latest_of_bucket_us,
    latest_us,
    list_entries,
    stored_record,
)

if TYPE_CHECKING:
    import sqlite3

    from storage_demo.engine.conditions import Evaluation
    from storage_demo.engine.queries import StoredRecord
    from storage_demo.engine.selection import Selection

MAX_EXAMINED = 2_000
"""Records that one slice looks at, at most: a few milliseconds, if their condition is simple."""

MAX_SLICE_SECONDS = 0.02
"""After which a slice ends as well: a condition may be so large that one record takes milliseconds.

Other lookups wait behind the slices of those who were faster.
"""

BYTES_PER_ENTRY = 300
"""What a pass remembers of one entry between two slices, about."""

_MAX_ROWS_PER_READ = 128


@dataclass(frozen=True, slots=True)
class RecordKey:
    """Where a record is: it may be gone, or another one, when it is looked up again."""

    entry_id: int
    entry: str
    timestamp_us: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    key: RecordKey
    order: tuple[int, str]
    is_meta: bool
    labels: str


class Scan:
    """How far one pass has come. One thread at a time may use it."""

    def __init__(
        self,
        bucket: str,
        bucket_id: int,
        selection: Selection,
        *,
        entry_id: int | None,
        entry_count: int,
        last_us: int,
    ) -> None:
        """Use `begin_scan`. *entry_id* is that of the one entry, if it is about one."""
        self.bucket_id = bucket_id
        self.entry_id = entry_id
        self.weight_bytes = entry_count * BYTES_PER_ENTRY
        """About what it takes in memory, by the entries that there were at its beginning."""
        self.is_continuous = selection.is_continuous
        self.is_at_end = False
        """Whether the last slice met the end: for a continuous pass, the end of what there is by now."""
        self.bucket = bucket
        """What the bucket is called now."""
        self._selection = selection
        self._last_us = last_us
        self._start_us = selection.start_us or 0
        self._examined_us: dict[int, int] = {}
        self._evaluations: dict[int, Evaluation] = {}
        self._ended: set[int] = set()
        self._is_selected: dict[tuple[int, str], bool] = {}

    def slice(self, connection: sqlite3.Connection) -> Iterator[RecordKey]:
        """Yield the next records that fit, having looked at `MAX_EXAMINED`, or for `MAX_SLICE_SECONDS`, at most.

        Whoever stops early goes on behind the last one that it took. Raises `BucketNotFoundError` if the bucket
        was removed, and with `Selection.is_strict` `ConditionError` and `ReferenceNotFoundError`.
        """
        bucket = bucket_of_id(connection, self.bucket_id)
        if bucket is None:
            raise BucketNotFoundError(self.bucket)
        self.bucket = bucket.name
        self.is_at_end = False
        entries = self._entries(connection)
        if entries is None:
            return
        streams = [self._stream(connection, entry) for entry in entries]
        candidates = heapq.merge(*streams, key=attrgetter("order"))
        over_at_seconds: float | None = None
        for examined, candidate in enumerate(candidates, 1):
            if over_at_seconds is None:  # without the time that many entries take to be begun
                over_at_seconds = time.monotonic() + MAX_SLICE_SECONDS
            key = candidate.key
            if key.entry_id not in self._ended:
                self._examined_us[key.entry_id] = key.timestamp_us
                if self._fits(candidate):
                    yield key
            if examined == MAX_EXAMINED or time.monotonic() > over_at_seconds:
                return
        self.is_at_end = True

    def _entries(self, connection: sqlite3.Connection) -> list[EntryRow] | None:
        """Return the entries that are meant, or None while there are more of them to compare with the patterns."""
        if self.entry_id is not None:
            entry = entry_of_id(connection, self.entry_id)
            return [] if entry is None else [entry]
        listed = list_entries(connection, self.bucket_id)
        # By name too: an entry may be renamed between two slices.
        new = [entry for entry in listed if (entry.id, entry.name) not in self._is_selected]
        over_at_seconds = time.monotonic() + MAX_SLICE_SECONDS
        for compared, entry in enumerate(new, 1):
            self._is_selected[entry.id, entry.name] = self._selection.patterns.select(entry.name)
            if time.monotonic() > over_at_seconds and compared < len(new):
                return None
        self._forget_all_but(listed)
        return [entry for entry in listed if self._is_selected[entry.id, entry.name]]

    def _forget_all_but(self, listed: list[EntryRow]) -> None:
        """Let go what is known of entries that were removed, and of names that are not theirs any more."""
        if len(self._is_selected) == len(listed):
            return
        self._is_selected = {
            (entry.id, entry.name): self._is_selected[entry.id, entry.name] for entry in listed
        }
        ids = {entry.id for entry in listed}
        for remembered in (self._examined_us, self._evaluations):
            for entry_id in remembered.keys() - ids:
                del remembered[entry_id]
        self._ended &= ids

    def _stream(self, connection: sqlite3.Connection, entry: EntryRow) -> Iterator[_Candidate]:
        """Yield what is ahead in one entry, read a few at a time: a slice often needs but one of each."""
        after_us = self._examined_us.get(entry.id, self._start_us - 1)
        count = 1
        while entry.id not in self._ended:
            rows = connection.execute(
                """
                SELECT timestamp_us, labels FROM records
                WHERE entry_id = ? AND timestamp_us > ? AND timestamp_us <= ? ORDER BY timestamp_us LIMIT ?
                """,
                (entry.id, after_us, self._last_us, count),
            ).fetchall()
            for timestamp_us, labels in rows:
                key = RecordKey(entry.id, entry.name, timestamp_us)
                yield _Candidate(key, (timestamp_us, entry.name), entry.is_meta, labels)
            if len(rows) < count:
                return
            after_us = rows[-1][0]
            count = min(2 * count, _MAX_ROWS_PER_READ)

    def _fits(self, candidate: _Candidate) -> bool:
        condition = self._selection.condition
        if condition is None and not candidate.is_meta:
            return True
        labels = dict(json.loads(candidate.labels))
        if candidate.is_meta and is_removed(labels):
            return False
        if condition is None:
            return True
        entry_id = candidate.key.entry_id
        evaluation = self._evaluations.get(entry_id)
        if evaluation is None:
            evaluation = self._evaluations[entry_id] = condition.begin()
        try:
            verdict = evaluation.judge(labels, candidate.key.timestamp_us)
        except (ConditionError, ReferenceNotFoundError):
            if self._selection.is_strict:
                raise
            return False
        if verdict is Verdict.END:
            self._ended.add(entry_id)
        return verdict is Verdict.MATCH


def record_of_key(connection: sqlite3.Connection, bucket: str, key: RecordKey) -> StoredRecord | None:
    """Look a record up again that a slice found, None if it is gone."""
    entry = entry_of_id(connection, key.entry_id)
    return None if entry is None else stored_record(connection, bucket, entry, key.timestamp_us)


def begin_scan(connection: sqlite3.Connection, bucket_id: int, bucket: str, selection: Selection) -> Scan:
    """Begin a pass over a bucket, inside a transaction of the caller.

    Raises `EntryNotFoundError`, and `InvalidError` if one entry is asked for from a time on that is after the end.
    """
    if selection.entry is None:
        last_us = _last_us(selection, lambda: latest_of_bucket_us(connection, bucket_id))
        count = count_entries(connection, bucket_id)
        return Scan(bucket, bucket_id, selection, entry_id=None, entry_count=count, last_us=last_us)
    entry_id = find_entry(connection, bucket_id, bucket, selection.entry).id
    last_us = _last_us(selection, lambda: latest_us(connection, entry_id))
    if not selection.is_continuous and (selection.start_us or 0) > last_us + 1:
        raise InvalidError("Start time must be before stop time")
    return Scan(bucket, bucket_id, selection, entry_id=entry_id, entry_count=1, last_us=last_us)


def _last_us(selection: Selection, latest_us: Callable[[], int | None]) -> int:
    """The last time that is asked for; the stop behind it may be more than SQLite can hold."""
    if selection.is_continuous:
        return MAX_INTEGER
    if selection.stop_us is not None:
        return selection.stop_us - 1
    return latest_us() or 0
