"""Bucket intents as they are stated and settled; each is sealed, because grants move by what it says."""

from __future__ import annotations

import sqlite3

from reductauth.sqlite.seal import Sealer
from reductauth.store import BucketIntent, IntentKind

__all__ = ["BucketIntents"]


class BucketIntents:
    """Those of the process `owner`, in the transaction of a change."""

    def __init__(self, connection: sqlite3.Connection, sealer: Sealer, owner: int) -> None:
        self._connection = connection
        self._sealer = sealer
        self._owner = owner

    def add(self, kind: IntentKind, bucket: str, new_bucket: str | None, at_us: int) -> BucketIntent:
        """State one."""
        cursor = self._connection.execute(
            "INSERT INTO bucket_intents (kind, bucket, new_bucket, owner, started_at_us)"
            " VALUES (?, ?, ?, ?, ?) RETURNING id",
            (kind, bucket, new_bucket, self._owner, at_us),
        )
        (intent_id,) = cursor.fetchone()
        seal = self._sealer.seal((intent_id, kind, bucket, new_bucket, self._owner))
        self._connection.execute("UPDATE bucket_intents SET seal = ? WHERE id = ?", (seal, intent_id))
        return BucketIntent(intent_id, kind, bucket, new_bucket, self._owner)

    def remove(self, intent_id: int) -> bool:
        """Settle one, whoever stated it; False if somebody else did."""
        return self._connection.execute("DELETE FROM bucket_intents WHERE id = ?", (intent_id,)).rowcount == 1
