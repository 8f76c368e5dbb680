"""The tables, and how an older folder is brought to them.

`MIGRATIONS[n]` turns schema version n into n + 1; version 0 is an empty database. A released migration is
never edited: folders that already ran it would not get the edit. The version is SQLite's own
``user_version``.

Rules of the tables:

- Ids of buckets and entries are never reused (AUTOINCREMENT), so an upload that remembers the id of a
  removed bucket cannot land in its successor of the same name.
- A record has either ``content`` (inline) or ``file_name`` (in the content folder).
- A block keeps the sums of its records; an entry's counters are sums over its blocks. A block without
  records is deleted.
- ``attachment_key`` is the label ``key`` of a record in a system entry, where it is found by.
- ``buckets.size_bytes`` is the sum over the records of the bucket, kept so that a quota costs no scan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_demo.engine.errors import SchemaTooNewError

if TYPE_CHECKING:
    import sqlite3

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE buckets (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            quota_type TEXT NOT NULL,
            quota_size INTEGER NOT NULL,
            max_block_size INTEGER NOT NULL,
            max_block_records INTEGER NOT NULL,
            size_bytes INTEGER NOT NULL DEFAULT 0,
            is_provisioned INTEGER NOT NULL DEFAULT 0
        ) STRICT
        """,
        """
        CREATE TABLE entries (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            bucket_id INTEGER NOT NULL REFERENCES buckets (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            is_meta INTEGER NOT NULL,
            UNIQUE (bucket_id, name)
        ) STRICT
        """,
        """
        CREATE TABLE blocks (
            id INTEGER PRIMARY KEY,
            entry_id INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
            first_us INTEGER NOT NULL,
            content_bytes INTEGER NOT NULL DEFAULT 0,
            size_bytes INTEGER NOT NULL DEFAULT 0,
            record_count INTEGER NOT NULL DEFAULT 0
        ) STRICT
        """,
        "CREATE INDEX blocks_by_time ON blocks (entry_id, first_us)",
        # The content is the last column: reading the others does not touch its overflow pages.
        """
        CREATE TABLE records (
            id INTEGER PRIMARY KEY,
            bucket_id INTEGER NOT NULL,
            entry_id INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
            block_id INTEGER NOT NULL,
            timestamp_us INTEGER NOT NULL,
            length_bytes INTEGER NOT NULL,
            size_bytes INTEGER NOT NULL,
            content_type TEXT NOT NULL,
            labels TEXT NOT NULL,
            file_name TEXT,
            content BLOB,
            UNIQUE (entry_id, timestamp_us),
            CHECK ((file_name IS NULL) <> (content IS NULL))
        ) STRICT
        """,
        "CREATE INDEX records_by_age ON records (bucket_id, timestamp_us)",
        "CREATE UNIQUE INDEX records_by_file ON records (file_name) WHERE file_name IS NOT NULL",
    ),
    (
        "ALTER TABLE records ADD COLUMN attachment_key TEXT",
        # System entries were ordinary ones so far: what has no key is never replaced.
        """
        UPDATE records SET attachment_key = (
            SELECT value ->> 1 FROM json_each(records.labels) WHERE value ->> 0 = 'key'
        ) WHERE entry_id IN (SELECT id FROM entries WHERE is_meta)
        """,
        """
        CREATE INDEX records_by_attachment_key ON records (entry_id, attachment_key)
        WHERE attachment_key IS NOT NULL
        """,
    ),
)

VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to `VERSION` in one transaction of its own.

    Raises `SchemaTooNewError`, without a change, if it is beyond that.
    """
    # On a full disk even an empty change fails, and records could not be removed any more.
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _run_missing_migrations(connection)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _run_missing_migrations(connection: sqlite3.Connection) -> None:
    found = _version(connection)
    if found > VERSION:
        raise SchemaTooNewError(found, VERSION)
    for statements in MIGRATIONS[found:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
