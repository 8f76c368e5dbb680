"""What is asked of the index. Each function runs inside a transaction of its caller and changes nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_demo.engine.errors import (
    BucketNotFoundError,
    EntryNotFoundError,
    ProvisionedBucketError,
    RecordNotFoundError,
)
from storage_demo.engine.info import BucketDetail, BucketInfo, EntryInfo, UsageInfo
from storage_demo.engine.names import is_bucket_name, is_entry_name
from storage_demo.engine.records import Record
from storage_demo.engine.settings import BucketSettings, QuotaType

if TYPE_CHECKING:
    import sqlite3

_LISTED_ENTRIES = "FROM entries e WHERE e.bucket_id = b.id AND NOT e.is_meta"
_OLDEST = "(SELECT MIN(r.timestamp_us) FROM records r WHERE r.entry_id = e.id)"
_LATEST = "(SELECT MAX(r.timestamp_us) FROM records r WHERE r.entry_id = e.id)"
_BUCKET_INFO = f"""
    SELECT
        b.name,
        (SELECT COUNT(*) {_LISTED_ENTRIES}),
        b.size_bytes,
        (SELECT MIN({_OLDEST}) {_LISTED_ENTRIES}),
        (SELECT MAX({_LATEST}) {_LISTED_ENTRIES}),
        b.is_provisioned
    FROM buckets b
"""
_ENTRY_INFO = f"""
    SELECT
        e.name,
        (SELECT COALESCE(SUM(k.size_bytes), 0) FROM blocks k WHERE k.entry_id = e.id),
        (SELECT COALESCE(SUM(k.record_count), 0) FROM blocks k WHERE k.entry_id = e.id),
        (SELECT COUNT(*) FROM blocks k WHERE k.entry_id = e.id),
        COALESCE({_OLDEST}, 0),
        COALESCE({_LATEST}, 0)
    FROM entries e
    WHERE e.bucket_id = ? AND NOT e.is_meta
    ORDER BY e.name
"""
_ENTRY_ROW = "SELECT id, name, is_meta FROM entries"


@dataclass(frozen=True, slots=True)
class BucketRow:
    """One bucket as the other functions need it; ``id`` is never given to another bucket."""

    id: int
    name: str
    size_bytes: int
    is_provisioned: bool
    settings: BucketSettings


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry; ``id`` is never given to another one. ``is_meta`` tells a system entry."""

    id: int
    name: str
    is_meta: bool


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record and where its content is: inline in ``content``, or in the file ``file_name``."""

    record: Record
    file_name: str | None
    content: bytes | None


def find_bucket(connection: sqlite3.Connection, name: str) -> BucketRow:
    """Return the bucket called *name*. Raises `BucketNotFoundError`."""
    # A name that no bucket can have is not asked for: SQLite cannot take every Python string.
    row = _bucket_row(connection, "name = ?", name) if is_bucket_name(name) else None
    if row is None:
        raise BucketNotFoundError(name)
    return row


def find_changeable_bucket(connection: sqlite3.Connection, name: str, verb: str) -> BucketRow:
    """Return the bucket unless only the deployment may change it; *verb* says how.

    Raises `BucketNotFoundError`, `ProvisionedBucketError`.
    """
    bucket = find_bucket(connection, name)
    if bucket.is_provisioned:
        raise ProvisionedBucketError(verb, name)
    return bucket


def provisioned_buckets(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the buckets that the deployment declared when it was last started, sorted."""
    found = connection.execute("SELECT name FROM buckets WHERE is_provisioned = 1 ORDER BY name")
    return [name for (name,) in found]


def bucket_of_id(connection: sqlite3.Connection, bucket_id: int) -> BucketRow | None:
    """Return the bucket, whatever it is called now, or None if it was removed."""
    return _bucket_row(connection, "id = ?", bucket_id)


def has_file(connection: sqlite3.Connection, file_name: str) -> bool:
    """Tell whether a record has its content in this file."""
    found = connection.execute("SELECT 1 FROM records WHERE file_name = ?", (file_name,))
    return found.fetchone() is not None


def find_entry(connection: sqlite3.Connection, bucket_id: int, bucket: str, name: str) -> EntryRow:
    """Return the entry called *name* of a bucket. Raises `EntryNotFoundError`."""
    row = None
    if is_entry_name(name):
        row = connection.execute(
            f"{_ENTRY_ROW} WHERE bucket_id = ? AND name = ?", (bucket_id, name)
        ).fetchone()
    if row is None:
        raise EntryNotFoundError(bucket, name)
    return _entry_row(row)


def entry_of_id(connection: sqlite3.Connection, entry_id: int) -> EntryRow | None:
    """Return the entry, whatever it is called now, or None if it was removed."""
    row = connection.execute(f"{_ENTRY_ROW} WHERE id = ?", (entry_id,)).fetchone()
    return None if row is None else _entry_row(row)


def list_entries(connection: sqlite3.Connection, bucket_id: int) -> list[EntryRow]:
    """Return all entries of the bucket, system entries too, in no order."""
    return [_entry_row(row) for row in connection.execute(f"{_ENTRY_ROW} WHERE bucket_id = ?", (bucket_id,))]


def count_entries(connection: sqlite3.Connection, bucket_id: int) -> int:
    """Return how many entries the bucket has, system entries counted."""
    row = connection.execute("SELECT COUNT(*) FROM entries WHERE bucket_id = ?", (bucket_id,)).fetchone()
    count: int = row[0]
    return count


def latest_of_bucket_us(connection: sqlite3.Connection, bucket_id: int) -> int | None:
    """Return the time of the latest record of a bucket, None if it has none."""
    row = connection.execute("SELECT MAX(timestamp_us) FROM records WHERE bucket_id = ?", (bucket_id,))
    found: int | None = row.fetchone()[0]
    return found


def latest_us(connection: sqlite3.Connection, entry_id: int) -> int | None:
    """Return the time of the latest record of an entry, None if it has none."""
    row = connection.execute("SELECT MAX(timestamp_us) FROM records WHERE entry_id = ?", (entry_id,))
    found: int | None = row.fetchone()[0]
    return found


def find_record(
    connection: sqlite3.Connection, bucket: str, entry: str, timestamp_us: int | None
) -> StoredRecord:
    """Return the record at *timestamp_us*, or the latest one if that is None.

    Raises `BucketNotFoundError`, `EntryNotFoundError`, `RecordNotFoundError`.
    """
    found = find_entry(connection, find_bucket(connection, bucket).id, bucket, entry)
    at_us = latest_us(connection, found.id) if timestamp_us is None else timestamp_us
    stored = None if at_us is None else stored_record(connection, bucket, found, at_us)
    if stored is None:
        raise RecordNotFoundError(bucket, entry, timestamp_us)
    return stored


def stored_record(
    connection: sqlite3.Connection, bucket: str, entry: EntryRow, timestamp_us: int
) -> StoredRecord | None:
    """Return the record at *timestamp_us* with its content or the place of it, None if there is none."""
    row = connection.execute(
        """
        SELECT length_bytes, content_type, labels, file_name, content FROM records
        WHERE entry_id = ? AND timestamp_us = ?
        """,
        (entry.id, timestamp_us),
    ).fetchone()
    if row is None:
        return None
    length_bytes, content_type, labels, file_name, content = row
    pairs = tuple((name, value) for name, value in json.loads(labels))
    record = Record(bucket, entry.name, timestamp_us, length_bytes, content_type, pairs)
    return StoredRecord(record, file_name, content)


def bucket_names(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the names of all buckets."""
    return frozenset(name for (name,) in connection.execute("SELECT name FROM buckets"))


def list_buckets(connection: sqlite3.Connection) -> list[BucketInfo]:
    """Return all buckets sorted by name."""
    return [_bucket_info(row) for row in connection.execute(f"{_BUCKET_INFO} ORDER BY b.name")]


def describe_bucket(connection: sqlite3.Connection, name: str) -> BucketDetail:
    """Return the bucket with its settings and its listed entries. Raises `BucketNotFoundError`."""
    bucket = find_bucket(connection, name)
    info = connection.execute(f"{_BUCKET_INFO} WHERE b.id = ?", (bucket.id,)).fetchone()
    entries = connection.execute(_ENTRY_INFO, (bucket.id,))
    return BucketDetail(_bucket_info(info), bucket.settings, tuple(EntryInfo(*row) for row in entries))


def measure_usage(connection: sqlite3.Connection) -> UsageInfo:
    """Return the sums over all buckets."""
    row = connection.execute(
        f"""
        SELECT
            COUNT(*),
            COALESCE(SUM(size_bytes), 0),
            COALESCE(MIN(oldest_us), 0),
            COALESCE(MAX(latest_us), 0)
        FROM (
            SELECT
                b.size_bytes,
                (SELECT MIN({_OLDEST}) {_LISTED_ENTRIES}) AS oldest_us,
                (SELECT MAX({_LATEST}) {_LISTED_ENTRIES}) AS latest_us
            FROM buckets b
        )
        """
    ).fetchone()
    return UsageInfo(*row)


def _bucket_row(connection: sqlite3.Connection, condition: str, value: str | int) -> BucketRow | None:
    row = connection.execute(
        f"""
        SELECT id, name, size_bytes, is_provisioned, quota_type, quota_size, max_block_size, max_block_records
        FROM buckets WHERE {condition}
        """,
        (value,),
    ).fetchone()
    if row is None:
        return None
    bucket_id, name, size_bytes, is_provisioned, quota_type, *sizes = row
    settings = BucketSettings(QuotaType(quota_type), *sizes)
    return BucketRow(bucket_id, name, size_bytes, is_provisioned == 1, settings)


def _entry_row(row: tuple[int, str, int]) -> EntryRow:
    entry_id, name, is_meta = row
    return EntryRow(entry_id, name, is_meta == 1)


def _bucket_info(row: tuple[str, int, int, int | None, int | None, int]) -> BucketInfo:
    name, entry_count, size_bytes, oldest_us, latest_us, is_provisioned = row
    return BucketInfo(name, entry_count, size_bytes, oldest_us or 0, latest_us or 0, is_provisioned == 1)
