"""How records leave the index: with their share of all the sums that are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_demo.engine import blocks

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

VICTIM_COLUMNS = "r.id, r.bucket_id, r.block_id, r.length_bytes, r.size_bytes, r.file_name"
"""What a `Victim` is made of, in its order, of a row ``r`` of the records."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A record that goes."""

    id: int
    bucket_id: int
    block_id: int
    length_bytes: int
    size_bytes: int
    file_name: str | None


def erase(connection: sqlite3.Connection, victims: Iterable[Victim]) -> list[str]:
    """Remove records, inside a transaction of the caller.

    Returns their content files, to be unlinked after the commit.
    """
    files = []
    for victim in victims:
        connection.execute("DELETE FROM records WHERE id = ?", (victim.id,))
        blocks.subtract(connection, victim.block_id, victim.length_bytes, victim.size_bytes)
        add_to_bucket(connection, victim.bucket_id, -victim.size_bytes)
        if victim.file_name is not None:
            files.append(victim.file_name)
    return files


def add_to_bucket(connection: sqlite3.Connection, bucket_id: int, size_bytes: int) -> None:
    """Let the bucket grow, or with a negative number shrink."""
    connection.execute("UPDATE buckets SET size_bytes = size_bytes + ? WHERE id = ?", (size_bytes, bucket_id))
