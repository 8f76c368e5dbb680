"""Whether a record fits into its bucket, and what has to go for it.

A record counts with the length of its content against the stored size of the bucket. Records of system
entries are never evicted. Each function runs inside a transaction of its caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_demo.engine import blocks
from storage_demo.engine.errors import FifoQuotaError, HardQuotaError
from storage_demo.engine.settings import QuotaType

if TYPE_CHECKING:
    import sqlite3

    from storage_demo.engine.queries import BucketRow


def check_quota(bucket: BucketRow, length_bytes: int) -> None:
    """Refuse a record that cannot be taken, as far as that is known without evicting anything.

    Raises `HardQuotaError`, `FifoQuotaError`.
    """
    match bucket.settings.quota_type:
        case QuotaType.HARD if bucket.size_bytes + length_bytes > bucket.settings.quota_size:
            raise HardQuotaError(bucket.name)
        case QuotaType.FIFO if length_bytes > bucket.settings.quota_size:
            raise FifoQuotaError(bucket.name)
        case _:
            pass


def make_room(connection: sqlite3.Connection, bucket: BucketRow, length_bytes: int) -> list[str]:
    """Evict the oldest records, if the quota says so, until *length_bytes* more fit.

    Returns the content files of the evicted records, to be unlinked after the commit.
    Raises `HardQuotaError`, `FifoQuotaError`; the caller's transaction must then be undone.
    """
    check_quota(bucket, length_bytes)
    if bucket.settings.quota_type is not QuotaType.FIFO:
        return []
    excess_bytes = bucket.size_bytes + length_bytes - bucket.settings.quota_size
    victims = _oldest_records(connection, bucket, excess_bytes)
    files = []
    for record_id, block_id, record_bytes, size_bytes, file_name in victims:
        connection.execute("DELETE FROM records WHERE id = ?", (record_id,))
        blocks.subtract(connection, block_id, record_bytes, size_bytes)
        connection.execute(
            "UPDATE buckets SET size_bytes = size_bytes - ? WHERE id = ?", (size_bytes, bucket.id)
        )
        if file_name is not None:
            files.append(file_name)
    return files


def _oldest_records(
    connection: sqlite3.Connection, bucket: BucketRow, excess_bytes: int
) -> list[tuple[int, int, int, int, str | None]]:
    """Return id, block, length, size and file of the fewest oldest records that take *excess_bytes*."""
    victims: list[tuple[int, int, int, int, str | None]] = []
    if excess_bytes <= 0:
        return victims
    # CROSS JOIN keeps SQLite from sorting the whole bucket: it walks records_by_age and stops with us.
    oldest = connection.execute(
        """
        SELECT r.id, r.block_id, r.length_bytes, r.size_bytes, r.file_name
        FROM records r CROSS JOIN entries e ON e.id = r.entry_id
        WHERE r.bucket_id = ? AND NOT e.is_meta
        ORDER BY r.timestamp_us, r.id
        """,
        (bucket.id,),
    )
    for victim in oldest:
        victims.append(victim)
        excess_bytes -= victim[3]
        if excess_bytes <= 0:
            oldest.close()
            return victims
    raise FifoQuotaError(bucket.name)
