"""What may happen to records. Each function runs in one transaction; its caller commits or undoes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from storage_demo.engine import blocks
from storage_demo.engine.attachments import attachment_key, check_removable_records
from storage_demo.engine.entry_changes import ensure_entry
from storage_demo.engine.erasure import VICTIM_COLUMNS, Victim, add_to_bucket, erase
from storage_demo.engine.errors import (
    BucketNotFoundError,
    EngineError,
    InvalidError,
    NotFoundError,
    QuotaError,
    RecordExistsError,
    RecordNotFoundError,
)
from storage_demo.engine.queries import bucket_of_id, find_bucket, find_entry
from storage_demo.engine.quota import check_quota, make_room
from storage_demo.engine.records import Record, labels_size_bytes, sorted_labels, stored_size_bytes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from storage_demo.engine.queries import BucketRow
    from storage_demo.engine.scan import RecordKey


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A complete upload: the bucket by id, and the content in ``content`` or in the file ``file_name``."""

    bucket_id: int
    record: Record
    file_name: str | None
    content: bytes | None


@dataclass(frozen=True, slots=True)
class LabelChange:
    """Labels to set on a record, and to take away where the value is None; the others stay."""

    entry: str
    timestamp_us: int
    changes: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of a removal: a refusal for each record that could not be removed, and files to unlink."""

    refusals: list[EngineError | None]
    files: list[str]


def insert_record(connection: sqlite3.Connection, new: NewRecord) -> list[str]:
    """Store a complete upload, with its entry and the parents of that as needed.

    Everything is checked again, for another process may have been faster than this upload.
    Returns the content files of records evicted or replaced by it, to be unlinked after the commit.
    Raises `BucketNotFoundError`, `RecordExistsError`, `QuotaError`.
    """
    record = new.record
    bucket = bucket_of_id(connection, new.bucket_id)
    if bucket is None:
        raise BucketNotFoundError(record.bucket)
    key = attachment_key(record.entry, dict(record.labels))
    check_free(connection, bucket.id, record)
    entry_id = ensure_entry(connection, bucket.id, record.entry)
    freed_files: list[str] = []
    if key is not None:
        replaced = _attached_as(connection, entry_id, key)
        freed_files += erase(connection, replaced)
        freed_bytes = sum(victim.size_bytes for victim in replaced)
        bucket = replace(bucket, size_bytes=bucket.size_bytes - freed_bytes)
    freed_files += make_room(connection, bucket, record.length_bytes)
    block = blocks.place(connection, entry_id, record.timestamp_us, record.length_bytes, bucket.settings)
    size_bytes = stored_size_bytes(record, block.begin_bytes)
    connection.execute(
        """
        INSERT INTO records (bucket_id, entry_id, block_id, timestamp_us, length_bytes, size_bytes,
            content_type, labels, attachment_key, file_name, content)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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
            key,
            new.file_name,
            new.content,
        ),
    )
    blocks.add(connection, block.id, record.length_bytes, size_bytes)
    add_to_bucket(connection, bucket.id, size_bytes)
    return freed_files


def check_free(connection: sqlite3.Connection, bucket_id: int, record: Record) -> None:
    """Raise `RecordExistsError` if the entry has a record at that time, other than one that is to be replaced."""
    row = connection.execute(
        """
        SELECT r.attachment_key FROM records r JOIN entries e ON e.id = r.entry_id
        WHERE e.bucket_id = ? AND e.name = ? AND r.timestamp_us = ?
        """,
        (bucket_id, record.entry, record.timestamp_us),
    ).fetchone()
    if row is not None and (row[0] is None or row[0] != attachment_key(record.entry, dict(record.labels))):
        raise RecordExistsError(record.timestamp_us)


def update_labels(
    connection: sqlite3.Connection, bucket: str, changes: Sequence[LabelChange]
) -> list[EngineError | None]:
    """Change the labels of stored records, each by itself.

    Returns for each of *changes* None, or why nothing was done: `EntryNotFoundError`, `RecordNotFoundError`,
    `InvalidError`, `QuotaError`. Raises `BucketNotFoundError`.
    """
    bucket_id = find_bucket(connection, bucket).id
    return [_refusal_of_update(connection, bucket_id, change) for change in changes]


def remove_records(connection: sqlite3.Connection, bucket: str, places: Sequence[tuple[str, int]]) -> Removed:
    """Remove the records at these entries and times, each by itself.

    The refusals are None, `EntryNotFoundError`, `RecordNotFoundError`, and `InvalidError` for those of system
    entries. Raises `BucketNotFoundError`.
    """
    bucket_id = find_bucket(connection, bucket).id
    removed = Removed([], [])
    for entry, timestamp_us in places:
        try:
            check_removable_records(entry)
            entry_id = find_entry(connection, bucket_id, bucket, entry).id
            victim = _victim_at(connection, entry_id, timestamp_us)
            if victim is None:
                raise RecordNotFoundError(bucket, entry, timestamp_us)
        except (NotFoundError, InvalidError) as refusal:
            removed.refusals.append(refusal)
        else:
            removed.refusals.append(None)
            removed.files.extend(erase(connection, [victim]))
    return removed


def remove_found(connection: sqlite3.Connection, keys: Iterable[RecordKey]) -> tuple[int, list[str]]:
    """Remove records that a query found, those that are still there.

    Returns how many they were, and their content files, to be unlinked after the commit.
    """
    found = (_victim_at(connection, key.entry_id, key.timestamp_us) for key in keys)
    victims = [victim for victim in found if victim is not None]
    return len(victims), erase(connection, victims)


def _refusal_of_update(
    connection: sqlite3.Connection, bucket_id: int, change: LabelChange
) -> EngineError | None:
    bucket = bucket_of_id(connection, bucket_id)  # as large as the change before this one left it
    try:
        if bucket is not None:
            _update(connection, bucket, change)
    except (NotFoundError, InvalidError, QuotaError) as refusal:
        return refusal
    return None


def _update(connection: sqlite3.Connection, bucket: BucketRow, change: LabelChange) -> None:
    entry = find_entry(connection, bucket.id, bucket.name, change.entry)
    row = connection.execute(
        """
        SELECT id, block_id, length_bytes, content_type, labels FROM records
        WHERE entry_id = ? AND timestamp_us = ?
        """,
        (entry.id, change.timestamp_us),
    ).fetchone()
    if row is None:
        raise RecordNotFoundError(bucket.name, entry.name, change.timestamp_us)
    record_id, block_id, length_bytes, content_type, stored = row
    stored_labels = json.loads(stored)
    merged = {**dict(stored_labels), **change.changes}
    labels = {name: value for name, value in merged.items() if value is not None}
    # The checks of a new record hold for a changed one.
    before = Record(bucket.name, entry.name, change.timestamp_us, length_bytes, content_type)
    after = replace(before, labels=sorted_labels(labels))
    key = attachment_key(entry.name, labels)
    if key is not None and any(victim.id != record_id for victim in _attached_as(connection, entry.id, key)):
        raise InvalidError(f"System entry '{entry.name}' has another record with the key '{key}'")
    grown_bytes = labels_size_bytes(after.labels) - labels_size_bytes(stored_labels)
    if grown_bytes > 0:
        check_quota(bucket, grown_bytes)
    connection.execute(
        "UPDATE records SET labels = ?, attachment_key = ?, size_bytes = size_bytes + ? WHERE id = ?",
        (json.dumps(after.labels), key, grown_bytes, record_id),
    )
    blocks.grow(connection, block_id, grown_bytes)
    add_to_bucket(connection, bucket.id, grown_bytes)


def _victim_at(connection: sqlite3.Connection, entry_id: int, timestamp_us: int) -> Victim | None:
    row = connection.execute(
        f"SELECT {VICTIM_COLUMNS} FROM records r WHERE r.entry_id = ? AND r.timestamp_us = ?",
        (entry_id, timestamp_us),
    ).fetchone()
    return None if row is None else Victim(*row)


def _attached_as(connection: sqlite3.Connection, entry_id: int, key: str) -> list[Victim]:
    rows = connection.execute(
        f"SELECT {VICTIM_COLUMNS} FROM records r WHERE r.entry_id = ? AND r.attachment_key = ?",
        (entry_id, key),
    )
    return [Victim(*row) for row in rows.fetchall()]
