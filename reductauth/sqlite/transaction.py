"""What a change may do to the registry. It knows by itself whether what readers keep must be dropped."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from reductauth.actor import Actor
from reductauth.periods import month_of
from reductauth.sqlite.reader import KEY_OF_ID, SqliteSnapshot
from reductauth.sqlite.rows import values_of
from reductauth.store import BucketIntent, IntentKind, UsageDelta
from reductauth.token import Token

__all__ = ["SqliteTransaction"]

_ADMINISTRATOR = """
SELECT 1 FROM tokens
WHERE full_access = 1 AND active = 1 AND revoked_at_us IS NULL
    AND expires_at_us IS NULL AND ttl_seconds IS NULL
    AND ip_allowlist = '[]' AND (valid_from_us IS NULL OR valid_from_us <= ?)
    AND EXISTS (SELECT 1 FROM secrets WHERE token_key = tokens.key AND expires_at_us IS NULL)
LIMIT 1
"""

_ADD_USAGE = """
INSERT INTO usage (token_key, period, read, write, admin, denied)
SELECT key, ?, ?, ?, ?, ? FROM tokens WHERE id = ?
ON CONFLICT (token_key, period) DO UPDATE SET
    read = read + excluded.read, write = write + excluded.write,
    admin = admin + excluded.admin, denied = denied + excluded.denied
"""


_FOLDED = """
INSERT INTO usage (token_key, period, read, write, admin, denied) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (token_key, period) DO UPDATE SET
    read = read + excluded.read, write = write + excluded.write,
    admin = admin + excluded.admin, denied = denied + excluded.denied
"""

# The same as `Token.is_expired`, for tokens that were revoked too.
_ENDED = """
is_provisioned = 0 AND (
    revoked_at_us <= ? OR expires_at_us <= ?
    OR (? - max(created_at_us, coalesce(last_access_us, 0))) / 1000000 > ttl_seconds
) LIMIT ?
"""


class SqliteTransaction(SqliteSnapshot):
    """One change within the writer's transaction; see `reductauth.store.Transaction`."""

    def __init__(self, connection: sqlite3.Connection, key_id: str, owner: int) -> None:
        super().__init__(connection)
        self._owner = owner
        self._key_id = key_id
        self.invalidates = False
        """Whether something about an existing token changed. Creations and usage do not count."""
        self.actions: list[str] = []
        """What was written down."""

    def token_by_digest(self, digest: bytes) -> Token | None:
        """The token that has this value, live or in its grace period."""
        return self._one("key = (SELECT token_key FROM secrets WHERE digest = ?)", digest)

    def provisioned_tokens(self) -> list[Token]:
        """The tokens that the deployment declares, by name."""
        return self._many("is_provisioned = 1 ORDER BY name")

    def tokens_naming_bucket(self, bucket: str) -> list[Token]:
        """The tokens with an exact entry for the bucket."""
        return self._many(
            "json_valid(read_patterns) AND json_valid(write_patterns)"
            " AND (EXISTS (SELECT 1 FROM json_each(read_patterns) WHERE value = ?)"
            " OR EXISTS (SELECT 1 FROM json_each(write_patterns) WHERE value = ?))",
            bucket,
            bucket,
        )

    def has_usable_administrator(self, now_us: int) -> bool:
        """Whether any token is one."""
        return self._connection.execute(_ADMINISTRATOR, (now_us,)).fetchone() is not None

    def add(self, token: Token) -> None:
        """Add a token whose name and id are free."""
        values = values_of(token)
        columns, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        self._connection.execute(f"INSERT INTO tokens ({columns}) VALUES ({marks})", values)

    def replace(self, token: Token) -> None:
        """Write a token over the one with its id."""
        values = values_of(token)
        assignments = ", ".join(f"{name} = :{name}" for name in values if name != "id")
        self._connection.execute(f"UPDATE tokens SET {assignments} WHERE id = :id", values)
        self.invalidates = True

    def remove(self, token_id: str) -> None:
        """Forget a token, its values and its counters."""
        self._connection.execute("DELETE FROM tokens WHERE id = ?", (token_id,))
        self.invalidates = True

    def add_secret(self, token_id: str, digest: bytes, created_at_us: int) -> None:
        """Give a token one more value, by its digest."""
        self._connection.execute(
            f"INSERT INTO secrets (token_key, digest, key_id, created_at_us) VALUES ({KEY_OF_ID}, ?, ?, ?)",
            (token_id, digest, self._key_id, created_at_us),
        )

    def retire_secrets(self, token_id: str, expires_at_us: int) -> None:
        """Let the values of a token that had no end work until then; those that had one end at once."""
        of_token = f"token_key = {KEY_OF_ID}"
        self._connection.execute(
            f"DELETE FROM secrets WHERE {of_token} AND expires_at_us IS NOT NULL", (token_id,)
        )
        self._connection.execute(
            f"UPDATE secrets SET expires_at_us = ? WHERE {of_token}", (expires_at_us, token_id)
        )
        self.invalidates = True

    def remove_secrets(self, token_id: str) -> None:
        """End all values of a token."""
        self._connection.execute(f"DELETE FROM secrets WHERE token_key = {KEY_OF_ID}", (token_id,))
        self.invalidates = True

    def audit(self, at_us: int, actor: Actor, action: str, token: Token) -> None:
        """Write down who changed which token."""
        self._connection.execute(
            "INSERT INTO audit (at_us, actor, actor_id, address, action, token_id, token_name)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (at_us, actor.name, actor.token_id, actor.address, action, token.token_id, token.name),
        )
        self.actions.append(action)

    def add_usage(self, deltas: Iterable[UsageDelta]) -> None:
        """Add counters and move last accesses forward."""
        for delta in deltas:
            counters = (delta.read, delta.write, delta.admin, delta.denied)
            self._connection.execute(_ADD_USAGE, (delta.day, *counters, delta.token_id))
            self._connection.execute(
                "UPDATE secrets SET uses = uses + ? WHERE id = ?", (sum(counters), delta.secret_id)
            )
            if delta.last_access_us is None:
                continue
            access = (delta.last_access_us, delta.last_access_ip)
            self._connection.execute(
                "UPDATE tokens SET last_access_us = ?, last_access_ip = ?"
                " WHERE id = ? AND (last_access_us IS NULL OR last_access_us < ?)",
                (*access, delta.token_id, delta.last_access_us),
            )
            self._connection.execute(
                "UPDATE secrets SET last_access_us = ?, last_access_ip = ?"
                " WHERE id = ? AND (last_access_us IS NULL OR last_access_us < ?)",
                (*access, delta.secret_id, delta.last_access_us),
            )

    def fold_usage(self, before_day: str, limit: int) -> int:
        """Fold counters of old days into their months."""
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

    def remove_ended_secrets(self, now_us: int, limit: int) -> int:
        """Forget values whose period of grace is over."""
        removed = self._connection.execute(
            "DELETE FROM secrets WHERE id IN (SELECT id FROM secrets WHERE expires_at_us <= ? LIMIT ?)",
            (now_us, limit),
        ).rowcount
        self.invalidates |= removed > 0
        return removed

    def ended_tokens(self, by_us: int, limit: int) -> list[Token]:
        """Tokens that had ended by a time."""
        return self._many(_ENDED, by_us, by_us, by_us, limit)

    def add_bucket_intent(
        self, kind: IntentKind, bucket: str, new_bucket: str | None, at_us: int
    ) -> BucketIntent:
        """State an intent."""
        cursor = self._connection.execute(
            "INSERT INTO bucket_intents (kind, bucket, new_bucket, owner, started_at_us)"
            " VALUES (?, ?, ?, ?, ?) RETURNING id",
            (kind, bucket, new_bucket, self._owner, at_us),
        )
        (intent_id,) = cursor.fetchone()
        self.invalidates = True
        return BucketIntent(intent_id, kind, bucket, new_bucket, self._owner)

    def remove_bucket_intent(self, intent_id: int) -> bool:
        """Settle an intent; False if somebody else did."""
        self.invalidates = True
        return self._connection.execute("DELETE FROM bucket_intents WHERE id = ?", (intent_id,)).rowcount == 1

    def is_seeded(self) -> bool:
        """Whether the registry was ever given its first token."""
        (seeded,) = self._connection.execute("SELECT value FROM meta WHERE name = 'seeded'").fetchone()
        return bool(seeded == 1)

    def mark_seeded(self) -> None:
        """Remember that it was, for good."""
        self._connection.execute("UPDATE meta SET value = 1 WHERE name = 'seeded'")
