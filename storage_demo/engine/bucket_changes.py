"""What may happen to buckets. Each function runs in one transaction; its caller commits or undoes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_demo.engine.errors import BucketExistsError
from storage_demo.engine.queries import (
    bucket_names,
    find_bucket,
    find_changeable_bucket,
    provisioned_buckets,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from storage_demo.engine.settings import BucketSettings, SettingsChange

CHANGE, RENAME, REMOVE = "change settings of", "rename", "remove"
"""What is done to a bucket, as its refusal says it."""


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
