"""What tokens and their values were used for: the counters of days and months, and the last accesses."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from reductauth.periods import month_of
from reductauth.store import UsageDelta

__all__ = ["UsageCounters"]

_OR_SUM_UP = """ON CONFLICT (token_key, period) DO UPDATE SET
    read = read + excluded.read, write = write + excluded.write,
    admin = admin + excluded.admin, denied = denied + excluded.denied
"""

_ADD_USAGE = f"""
INSERT INTO usage (token_key, period, read, write, admin, denied)
SELECT key, ?, ?, ?, ?, ? FROM tokens WHERE id = ?
{_OR_SUM_UP}
"""

_ADD_USES = """
UPDATE secrets SET
    uses = uses + ?1,
    last_access_us = CASE WHEN ?2 > coalesce(last_access_us, -1) THEN ?2 ELSE last_access_us END,
    last_access_ip = CASE WHEN ?2 > coalesce(last_access_us, -1) THEN ?3 ELSE last_access_ip END
WHERE id = ?4
"""

_MOVE_LAST_ACCESS = """
UPDATE tokens SET last_access_us = ?1, last_access_ip = ?2
WHERE id = ?3 AND (last_access_us IS NULL OR last_access_us < ?1)
"""

_FOLDED = f"""
INSERT INTO usage (token_key, period, read, write, admin, denied) VALUES (?, ?, ?, ?, ?, ?)
{_OR_SUM_UP}
"""


class UsageCounters:
    """Moves them forward, in the transaction of a flush."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, deltas: Iterable[UsageDelta]) -> None:
        """Add to them; tokens and values that are gone are passed over."""
        counters, uses, accesses = [], [], []
        for delta in deltas:
            counts = (delta.read, delta.write, delta.admin, delta.denied)
            access = (delta.last_access_us, delta.last_access_ip)
            counters.append((delta.day, *counts, delta.token_id))
            uses.append((sum(counts), *access, delta.secret_id))
            if delta.last_access_us is not None:
                accesses.append((*access, delta.token_id))
        self._connection.executemany(_ADD_USAGE, counters)
        self._connection.executemany(_ADD_USES, uses)
        self._connection.executemany(_MOVE_LAST_ACCESS, accesses)

    def fold(self, before_day: str, limit: int) -> int:
        """Fold counters of days before `before_day` into their months, at most `limit`; return how many."""
        days = self._connection.execute(
            "SELECT token_key, period, read, write, admin, denied FROM usage"
            " WHERE length(period) = 10 AND period < ? ORDER BY period LIMIT ?",
            (before_day, limit),
        ).fetchall()
        self._connection.executemany(_FOLDED, [(key, month_of(day), *counts) for key, day, *counts in days])
        self._connection.executemany(
            "DELETE FROM usage WHERE token_key = ? AND period = ?", [d[:2] for d in days]
        )
        return len(days)
