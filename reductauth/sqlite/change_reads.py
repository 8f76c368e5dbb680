"""What only changes ask of the registry."""

from __future__ import annotations

from collections.abc import Collection

import orjson

from reductauth.sqlite.reader import SqliteSnapshot
from reductauth.token import Token

__all__ = ["ChangeReads"]

# What SQL can see of `Token.is_usable_administrator`; the seal it can't.
_ADMINISTRATORS = """
full_access = 1 AND active = 1 AND revoked_at_us IS NULL
    AND tokens.expires_at_us IS NULL AND ttl_seconds IS NULL
    AND ip_allowlist = '[]' AND (valid_from_us IS NULL OR valid_from_us <= ?)
    AND EXISTS (SELECT 1 FROM secrets WHERE token_key = tokens.key AND secrets.expires_at_us IS NULL)
"""

# The same as `Token.is_expired`, for tokens that were revoked too.
_ENDED = """
is_provisioned = 0 AND (
    revoked_at_us <= ? OR tokens.expires_at_us <= ?
    OR (? - max(tokens.created_at_us, coalesce(tokens.last_access_us, 0))) / 1000000 > ttl_seconds
) LIMIT ?
"""


class ChangeReads(SqliteSnapshot):
    """A snapshot in the writer's transaction; see `reductauth.store.Transaction`."""

    def token_by_digest(self, digest: bytes) -> Token | None:
        """The token that has this value, live or in its grace period."""
        return self._one("tokens.key = (SELECT token_key FROM secrets WHERE digest = ?)", digest)

    def names_by_id(self, ids: Collection[str]) -> dict[str, str]:
        """The name of the token that has an id, for those of the ids that one has."""
        rows = self._connection.execute(
            "SELECT id, name FROM tokens WHERE id IN (SELECT value FROM json_each(?))",
            (orjson.dumps(list(ids)).decode(),),
        )
        return dict(rows.fetchall())

    def names_by_digest(self, digests: Collection[bytes]) -> dict[bytes, str]:
        """The name of the token that has a value, for those of the values that one has."""
        marks = ", ".join("?" * len(digests))  # JSON has no bytes
        rows = self._connection.execute(
            "SELECT digest, name FROM secrets JOIN tokens ON tokens.key = token_key"
            f" WHERE digest IN ({marks})",
            tuple(digests),
        )
        return dict(rows.fetchall())

    def provisioned_tokens(self) -> list[Token]:
        """The tokens that the deployment declares, by name."""
        return self._many("is_provisioned = 1 ORDER BY name")

    def tokens_naming_bucket(self, bucket: str) -> list[Token]:
        """The tokens with an exact entry for the bucket."""
        # Every token is looked at: a look at its text first spares four fifths of the time.
        quoted = f'"{bucket}"'
        return self._many(
            "(instr(read_patterns, ?) OR instr(write_patterns, ?))"
            " AND json_valid(read_patterns) AND json_valid(write_patterns)"
            " AND (EXISTS (SELECT 1 FROM json_each(read_patterns) WHERE value = ?)"
            " OR EXISTS (SELECT 1 FROM json_each(write_patterns) WHERE value = ?))",
            *(quoted, quoted, bucket, bucket),
        )

    def has_usable_administrator(self, now_us: int) -> bool:
        """Whether any token is one."""
        rows = self._execute(_ADMINISTRATORS, (now_us,))
        return any(token.fault is None for token in self._tokens(rows))

    def ended_tokens(self, by_us: int, limit: int) -> list[Token]:
        """Tokens that had ended by a time."""
        return self._many(_ENDED, by_us, by_us, by_us, limit)
