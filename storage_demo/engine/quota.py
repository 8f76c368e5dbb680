"""Whether a record fits into its bucket, and what has to go for it.

A record counts with the length of its content against the stored size of the bucket. Records of system
entries are never evicted. Each function runs inside a transaction of its caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_demo.engine.erasure import VICTIM_COLUMNS, Victim, erase
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
    return erase(connection, _oldest_records(connection, bucket, length_bytes))


def _oldest_records(connection: sqlite3.Connection, bucket: BucketRow, length_bytes: int) -> list[Victim]:
    """Return the fewest oldest records without which *length_bytes* more fit."""
    excess_bytes = bucket.size_bytes + length_bytes - bucket.settings.quota_size
    victims: list[Victim] = []
    if excess_bytes <= 0:
        return victims
    # CROSS JOIN keeps SQLite from sorting the whole bucket: it walks records_by_age and stops with us.
    oldest = connection.execute(
        f"""
        SELECT {VICTIM_COLUMNS}
        FROM records r CROSS JOIN entries e ON e.id = r.entry_id
        WHERE r.bucket_id = ? AND NOT e.is_meta
        ORDER BY r.timestamp_us, r.id
        """,
        (bucket.id,),
    )
    for row in oldest:
        victim = Victim(*row)
        victims.append(victim)
        excess_bytes -= victim.size_bytes
        if excess_bytes <= 0:
            oldest.close()
            return victims
    raise FifoQuotaError(bucket.name)
