"""What may happen to entries. Each function runs in one transaction; its caller commits or undoes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_demo.engine.attachments import check_removable_entry, check_renamable_entry
from storage_demo.engine.erasure import add_to_bucket
from storage_demo.engine.errors import EntryExistsError
from storage_demo.engine.names import check_entry_name, check_entry_size, entry_parents, is_meta_entry
from storage_demo.engine.queries import find_bucket, find_entry

if TYPE_CHECKING:
    import sqlite3

# An entry and what lies below it, by the index of names: "0" is the character behind "/".
_TREE = "bucket_id = ?1 AND (name = ?2 OR (name > ?2 || '/' AND name < ?2 || '0'))"


def ensure_entry(connection: sqlite3.Connection, bucket_id: int, name: str) -> int:
    """Return the id of the entry with this valid name, which is made as needed, with those above it."""
    for parent in entry_parents(name):
        _ensure(connection, bucket_id, parent)
    return _ensure(connection, bucket_id, name)


def remove_entry(connection: sqlite3.Connection, bucket: str, name: str) -> list[str]:
    """Remove the entry and all below it, with their records.

    Returns the content files of those, to be unlinked after the commit.
    Raises `InvalidError` for a system entry, `BucketNotFoundError`, `EntryNotFoundError`.
    """
    bucket_id = find_bucket(connection, bucket).id
    find_entry(connection, bucket_id, bucket, name)
    check_removable_entry(name)
    tree = (bucket_id, name)
    files = connection.execute(
        f"""
        SELECT file_name FROM records
        WHERE entry_id IN (SELECT id FROM entries WHERE {_TREE}) AND file_name IS NOT NULL
        """,
        tree,
    ).fetchall()
    (size_bytes,) = connection.execute(
        f"""
        SELECT COALESCE(SUM(size_bytes), 0) FROM blocks
        WHERE entry_id IN (SELECT id FROM entries WHERE {_TREE})
        """,
        tree,
    ).fetchone()
    connection.execute(f"DELETE FROM entries WHERE {_TREE}", tree)
    add_to_bucket(connection, bucket_id, -size_bytes)
    return [file_name for (file_name,) in files]


def rename_entry(connection: sqlite3.Connection, bucket: str, old: str, new: str) -> None:
    """Move the entry, with all below it, to another path, whose parents are made as needed.

    Raises `InvalidError`, `BucketNotFoundError`, `EntryNotFoundError`, and `EntryExistsError` also where the
    entry would lie below itself.
    """
    check_entry_name(new)
    check_renamable_entry(new)
    bucket_id = find_bucket(connection, bucket).id
    find_entry(connection, bucket_id, bucket, old)
    check_renamable_entry(old)
    taken = connection.execute(f"SELECT 1 FROM entries WHERE {_TREE} LIMIT 1", (bucket_id, new)).fetchone()
    if taken is not None or new.startswith(f"{old}/"):
        raise EntryExistsError(bucket, new)
    longest, deepest = connection.execute(
        f"""
        SELECT MAX(length(name)), MAX(length(name) - length(replace(name, '/', ''))) FROM entries WHERE {_TREE}
        """,
        (bucket_id, old),
    ).fetchone()
    check_entry_size(longest + len(new) - len(old), deepest + 1 + new.count("/") - old.count("/"))
    for parent in entry_parents(new):
        _ensure(connection, bucket_id, parent)
    connection.execute(
        f"UPDATE entries SET name = ?3 || substr(name, length(?2) + 1) WHERE {_TREE}", (bucket_id, old, new)
    )


def _ensure(connection: sqlite3.Connection, bucket_id: int, name: str) -> int:
    connection.execute(
        "INSERT INTO entries (bucket_id, name, is_meta) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (bucket_id, name, is_meta_entry(name)),
    )
    row = connection.execute("SELECT id FROM entries WHERE bucket_id = ? AND name = ?", (bucket_id, name))
    entry_id: int = row.fetchone()[0]
    return entry_id
