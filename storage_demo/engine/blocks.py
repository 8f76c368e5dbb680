"""Which block a record belongs to.

Blocks are only accounts here, contents are not kept in them; they exist because sizes and block counts
that clients see depend on them. Each function runs inside a transaction of its caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from storage_demo.engine.settings import BucketSettings


@dataclass(frozen=True, slots=True)
class Block:
    """The block for one record, and the bytes of content in it before that record."""

    id: int
    begin_bytes: int


def place(
    connection: sqlite3.Connection,
    entry_id: int,
    timestamp_us: int,
    length_bytes: int,
    settings: BucketSettings,
) -> Block:
    """Return the block for a new record, created if needed.

    It is the latest block that begins at or before the record. A new one begins when that block would
    exceed the limits of *settings*, or when the record is older than every block.
    """
    row = connection.execute(
        """
        SELECT id, content_bytes, record_count FROM blocks
        WHERE entry_id = ? AND first_us <= ?
        ORDER BY first_us DESC, id DESC LIMIT 1
        """,
        (entry_id, timestamp_us),
    ).fetchone()
    if row is not None:
        block_id, content_bytes, record_count = row
        has_room = content_bytes + length_bytes <= settings.max_block_size
        if has_room and record_count + 1 <= settings.max_block_records:
            return Block(block_id, content_bytes)
    (new_id,) = connection.execute(
        "INSERT INTO blocks (entry_id, first_us) VALUES (?, ?) RETURNING id", (entry_id, timestamp_us)
    ).fetchone()
    return Block(new_id, 0)


def add(connection: sqlite3.Connection, block_id: int, length_bytes: int, size_bytes: int) -> None:
    """Account for a record that was put into the block."""
    connection.execute(
        """
        UPDATE blocks SET content_bytes = content_bytes + ?, size_bytes = size_bytes + ?,
            record_count = record_count + 1
        WHERE id = ?
        """,
        (length_bytes, size_bytes, block_id),
    )


def grow(connection: sqlite3.Connection, block_id: int, size_bytes: int) -> None:
    """Account for a record of the block whose description became longer, or with a negative number shorter."""
    connection.execute("UPDATE blocks SET size_bytes = size_bytes + ? WHERE id = ?", (size_bytes, block_id))


def subtract(connection: sqlite3.Connection, block_id: int, length_bytes: int, size_bytes: int) -> None:
    """Account for a record that was taken out of the block; an empty block goes."""
    connection.execute(
        """
        UPDATE blocks SET content_bytes = content_bytes - ?, size_bytes = size_bytes - ?,
            record_count = record_count - 1
        WHERE id = ?
        """,
        (length_bytes, size_bytes, block_id),
    )
    connection.execute("DELETE FROM blocks WHERE id = ? AND record_count = 0", (block_id,))
