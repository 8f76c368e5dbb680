"""What may happen to the index. Each function runs in one transaction; its caller commits or undoes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_demo.engine import blocks
from storage_demo.engine.errors import BucketExistsError, BucketNotFoundError, RecordExistsError
from storage_demo.engine.names import entry_parents, is_meta_entry
from storage_demo.engine.queries import (
    bucket_names,
    bucket_of_id,
    find_bucket,
    find_changeable_bucket,
    has_record,
    provisioned_buckets,
)
from storage_demo.engine.quota import make_room
from storage_demo.engine.records import stored_size_bytes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from storage_demo.engine.records import Record
    from storage_demo.engine.settings import BucketSettings, SettingsChange

CHANGE, RENAME, REMOVE = "change settings of", "rename", "remove"
"""What is done to a bucket, as its refusal says it."""


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A complete upload: the bucket by id, and the content in ``content`` or in the file ``file_name``."""

    bucket_id: int
    record: Record
    file_name: str | None
    content: bytes | None


def create_bucket(connection: sqlite3.Connection, name: str, settings: BucketSettings) -> None:
    """Add an empty bucket; *name* is valid. Raises `BucketExistsError`."""
    _check_free(connection, name)
    connection.execute(
        """
        INSERT INTO buckets (name, quota_type, quota_size, max_block_size, max_block_records)
        VALUES (?, ?, ?, ?, ?)
        """,
        (
            name,
            settings.quota_type,
            settings.quota_size,
            settings.max_block_size,
            settings.max_block_records,
        ),
    )


def change_settings(connection: sqlite3.Connection, name: str, change: SettingsChange) -> None:
    """Merge *change* into the settings; stored records stay.

    Raises `BucketNotFoundError`, `ProvisionedBucketError`, `InvalidError`.
    """
    bucket = find_changeable_bucket(connection, name, CHANGE)
    _set_settings(connection, bucket.id, change.merge(bucket.settings))


def rename_bucket(connection: sqlite3.Connection, old: str, new: str) -> None:
    """Give the bucket another valid name.

    Raises `BucketNotFoundError`, `ProvisionedBucketError`, `BucketExistsError`.
    """
    bucket = find_changeable_bucket(connection, old, RENAME)
    _check_free(connection, new)
    connection.execute("UPDATE buckets SET name = ? WHERE id = ?", (new, bucket.id))


def remove_bucket(connection: sqlite3.Connection, name: str) -> list[str]:
    """Remove the bucket with all its records. Raises `BucketNotFoundError`, `ProvisionedBucketError`.

    Returns the content files of its records, to be unlinked after the commit.
    """
    bucket = find_changeable_bucket(connection, name, REMOVE)
    files = connection.execute(
        "SELECT file_name FROM records WHERE bucket_id = ? AND file_name IS NOT NULL", (bucket.id,)
    ).fetchall()
    connection.execute("DELETE FROM buckets WHERE id = ?", (bucket.id,))
    return [file_name for (file_name,) in files]


def provision_buckets(connection: sqlite3.Connection, declared: Mapping[str, BucketSettings]) -> list[str]:
    """Make the declared buckets, valid names, what they are declared to be, and only them provisioned.

    Nothing is removed: a bucket that is declared no longer keeps its records and settings.
    Returns what was done, a line for each bucket that differed.
    """
    told = []
    for name in provisioned_buckets(connection):
        if name not in declared:
            connection.execute("UPDATE buckets SET is_provisioned = 0 WHERE name = ?", (name,))
            told.append(f"bucket released name={name}: no longer declared")
    names = bucket_names(connection)
    for name, settings in declared.items():
        if name not in names:
            create_bucket(connection, name, settings)
        bucket = find_bucket(connection, name)
        if not bucket.is_provisioned or bucket.settings != settings:
            _set_settings(connection, bucket.id, settings)
            connection.execute("UPDATE buckets SET is_provisioned = 1 WHERE id = ?", (bucket.id,))
            told.append(f"bucket provisioned name={name}")
    return told


def insert_record(connection: sqlite3.Connection, new: NewRecord) -> list[str]:
    """Store a complete upload, with its entry and the parents of that as needed.

    Everything is checked again, for another process may have been faster than this upload.
    Returns the content files of records evicted for it, to be unlinked after the commit.
    Raises `BucketNotFoundError`, `RecordExistsError`, `QuotaError`.
    """
    record = new.record
    bucket = bucket_of_id(connection, new.bucket_id)
    if bucket is None:
        raise BucketNotFoundError(record.bucket)
    if has_record(connection, bucket.id, record.entry, record.timestamp_us):
        raise RecordExistsError(record.timestamp_us)
    evicted_files = make_room(connection, bucket, record.length_bytes)
    for parent in entry_parents(record.entry):
        _ensure_entry(connection, bucket.id, parent)
    entry_id = _ensure_entry(connection, bucket.id, record.entry)
    block = blocks.place(connection, entry_id, record.timestamp_us, record.length_bytes, bucket.settings)
    size_bytes = stored_size_bytes(record, block.begin_bytes)
    connection.execute(
        """
        INSERT INTO records (bucket_id, entry_id, block_id, timestamp_us, length_bytes, size_bytes,
            content_type, labels, file_name, content)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            bucket.id,
            entry_id,
            block.id,
            record.timestamp_us,
            record.length_bytes,
            size_bytes,
            record.content_type,
            json.dumps(record.labels),
            new.file_name,
            new.content,
        ),
    )
    blocks.add(connection, block.id, record.length_bytes, size_bytes)
    connection.execute("UPDATE buckets SET size_bytes = size_bytes + ? WHERE id = ?", (size_bytes, bucket.id))
    return evicted_files


def _set_settings(connection: sqlite3.Connection, bucket_id: int, settings: BucketSettings) -> None:
    connection.execute(
        """
        UPDATE buckets SET quota_type = ?, quota_size = ?, max_block_size = ?, max_block_records = ?
        WHERE id = ?
        """,
        (
            settings.quota_type,
            settings.quota_size,
            settings.max_block_size,
            settings.max_block_records,
            bucket_id,
        ),
    )


def _check_free(connection: sqlite3.Connection, bucket: str) -> None:
    found = connection.execute("SELECT 1 FROM buckets WHERE name = ?", (bucket,)).fetchone()
    if found is not None:
        raise BucketExistsError(bucket)


def _ensure_entry(connection: sqlite3.Connection, bucket_id: int, name: str) -> int:
    connection.execute(
        "INSERT INTO entries (bucket_id, name, is_meta) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (bucket_id, name, is_meta_entry(name)),
    )
    row = connection.execute("SELECT id FROM entries WHERE bucket_id = ? AND name = ?", (bucket_id, name))
    entry_id: int = row.fetchone()[0]
    return entry_id
