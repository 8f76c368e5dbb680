"""What a change may do to the registry. It knows by itself whether what readers keep must be dropped.

Rule of this file: a token is sealed anew only if its seal was good before the change touched it, or if the change
wrote all of it; what somebody else wrote into its record does not become genuine on the way.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any

import orjson

from reductauth.actor import Actor
from reductauth.audit import AuditAction, Detail, change_of
from reductauth.errors import TokenExistsError
from reductauth.sqlite.counters import UsageCounters
from reductauth.sqlite.facts import read_fact, write_fact
from reductauth.sqlite.intents import BucketIntents
from reductauth.sqlite.keys import RegistryKeys
from reductauth.sqlite.known import Known
from reductauth.sqlite.reader import KEY_OF_ID, SqliteSnapshot
from reductauth.sqlite.rows import values_of
from reductauth.sqlite.seal import OWN_COLUMNS, SEALED_COLUMNS, values_text
from reductauth.store import BucketIntent, IntentKind, TokenRecord, UsageDelta
from reductauth.token import Secret, Token

__all__ = ["SqliteTransaction", "forget_waiting"]

_SEEDED = "seeded"
_NAME_TAKEN = "tokens.name"  # what SQLite's error names
_SEALED = f"SELECT {SEALED_COLUMNS} FROM tokens WHERE tokens.id = ?"

_NEXT_KEY = """
SELECT 1 + max(
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'tokens'), 0),
    coalesce((SELECT max(key) FROM tokens), 0)
)
"""

# What SQL can see of `Token.is_usable_administrator`; the seal it can't.
_ADMINISTRATORS = """
full_access = 1 AND active = 1 AND revoked_at_us IS NULL
    AND tokens.expires_at_us IS NULL AND ttl_seconds IS NULL
    AND ip_allowlist = '[]' AND (valid_from_us IS NULL OR valid_from_us <= ?)
    AND EXISTS (SELECT 1 FROM secrets WHERE token_key = tokens.key AND secrets.expires_at_us IS NULL)
"""

_ADD_VALUE = "INSERT INTO secrets (token_key, digest, key_id, created_at_us) VALUES (?, ?, ?, ?)"

# The same as `Token.is_expired`, for tokens that were revoked too.
_ENDED = """
is_provisioned = 0 AND (
    revoked_at_us <= ? OR tokens.expires_at_us <= ?
    OR (? - max(tokens.created_at_us, coalesce(tokens.last_access_us, 0))) / 1000000 > ttl_seconds
) LIMIT ?
"""


class SqliteTransaction(SqliteSnapshot):
    """One change within the writer's transaction; see `reductauth.store.Transaction`."""

    def __init__(self, connection: sqlite3.Connection, keys: RegistryKeys, owner: int, known: Known) -> None:
        super().__init__(connection, keys.sealer)
        self._owner = owner
        self._holders = known.holders
        self._trail = known.trail
        self._changes_before = connection.total_changes
        self._key_id = keys.key_id
        self._genuine: set[str] = set()
        self._unsealed: set[str] = set()
        self.invalidates = False
        """Whether something about an existing token changed. Creations and usage do not count."""
        self.actions: list[str] = []
        """What was done to tokens."""

    def seal(self) -> None:
        """Seal the tokens that were changed so far."""
        for token_id in self._unsealed:
            row = self._connection.execute(_SEALED, (token_id,)).fetchone()
            if row is not None:
                seal = self._sealer.seal(row)
                self._connection.execute("UPDATE tokens SET seal = ? WHERE id = ?", (seal, token_id))
        self._unsealed.clear()

    def _touch(self, token_id: str) -> None:
        """Ask before a token is changed: it is sealed anew if it is genuine."""
        if token_id not in self._genuine:
            row = self._execute("tokens.id = ?", (token_id,)).fetchone()
            if row is None or self._sealer.fault(row) is not None:
                return
            self._genuine.add(token_id)
        self._unsealed.add(token_id)

    def _execute(self, where: str, parameters: tuple[Any, ...]) -> sqlite3.Cursor:
        self.seal()
        return super()._execute(where, parameters)

    @property
    def _has_written(self) -> bool:
        return self._connection.total_changes != self._changes_before

    def token_by_id(self, token_id: str) -> Token | None:
        """The token with this id."""
        read = super().token_by_id
        return read(token_id) if self._has_written else self._holders.token(token_id, read)

    def secrets(self, token_id: str) -> list[Secret]:
        """The values of a token, oldest first."""
        read = super().secrets
        return read(token_id) if self._has_written else self._holders.secrets(token_id, read)

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

    def add(
        self, at_us: int, actor: Actor, action: AuditAction, token: Token, digests: Sequence[bytes]
    ) -> None:
        """Add a token whose id and values are free, and write it down."""
        # It is sealed before it is there: so it is written once.
        sequence = self._trail.next_sequence()
        values = values_of(token)
        ends = values_text((digest, self._key_id, None) for digest in digests)
        seal = self._sealer.seal((*[values[name] for name in OWN_COLUMNS], sequence, ends))
        try:
            added = self._connection.execute(_insertion(tuple(values)), (*values.values(), sequence, seal))
        except sqlite3.IntegrityError as error:
            if _NAME_TAKEN in str(error):
                raise TokenExistsError(token.name) from None
            raise
        for digest in digests:
            self._connection.execute(_ADD_VALUE, (added.lastrowid, digest, self._key_id, at_us))
        self._trail.write(at_us, actor, action, token.token_id, token.name, change_of(None, token))
        self._genuine.add(token.token_id)
        self.actions.append(action)

    def add_records(
        self, at_us: int, actor: Actor, action: AuditAction, records: Sequence[TokenRecord]
    ) -> None:
        """Add tokens whose names, ids and values are free, and write each of them down."""
        told = [(one.token.token_id, one.token.name, change_of(None, one.token)) for one in records]
        first_sequence = self._trail.write_all(at_us, actor, action, told)
        (first_key,) = self._connection.execute(_NEXT_KEY).fetchone()
        rows: list[tuple[Any, ...]] = []
        secrets: list[tuple[Any, ...]] = []
        columns: Iterable[str] = ()
        for number, record in enumerate(records):
            key, sequence = first_key + number, first_sequence + number
            values = values_of(record.token)
            columns = values.keys()
            sealed = [values[name] for name in OWN_COLUMNS]
            ends = [(one.digest, self._key_id, one.expires_at_us) for one in record.digests]
            seal = self._sealer.seal((*sealed, sequence, values_text(ends)))
            rows.append((*values.values(), key, record.token.last_access_us, sequence, seal))
            secrets.extend(
                (key, one.digest, self._key_id, one.created_at_us, one.expires_at_us)
                for one in record.digests
            )
        columns = (*columns, "key", "last_access_us", "audit_sequence", "seal")
        marks = ", ".join("?" * len(columns))
        self._connection.executemany(f"INSERT INTO tokens ({', '.join(columns)}) VALUES ({marks})", rows)
        # As in `add`.
        self._connection.execute(
            "DELETE FROM secrets WHERE token_key BETWEEN ? AND ?", (first_key, first_key + len(rows) - 1)
        )
        self._connection.executemany(
            "INSERT INTO secrets (token_key, digest, key_id, created_at_us, expires_at_us)"
            " VALUES (?, ?, ?, ?, ?)",
            secrets,
        )
        self.actions.extend(action for _ in records)

    def replace(self, token: Token) -> None:
        """Write a token over the one with its id."""
        values = values_of(token)
        if token.fault is None:
            self._genuine.add(token.token_id)
        self._touch(token.token_id)
        self._connection.execute(_replacement(tuple(values)), values)
        self.invalidates = True

    def remove(self, token_id: str) -> None:
        """Forget a token, its values and its counters."""
        self._connection.execute("DELETE FROM tokens WHERE id = ?", (token_id,))
        self._genuine.discard(token_id)
        self._unsealed.discard(token_id)
        self.invalidates = True

    def add_secret(self, token_id: str, digest: bytes, created_at_us: int) -> None:
        """Give a token one more value, by its digest."""
        self._touch(token_id)
        self._connection.execute(
            f"INSERT INTO secrets (token_key, digest, key_id, created_at_us) VALUES ({KEY_OF_ID}, ?, ?, ?)",
            (token_id, digest, self._key_id, created_at_us),
        )

    def retire_secrets(self, token_id: str, expires_at_us: int) -> None:
        """Let the values of a token that had no end work until then; those that had one end at once."""
        self._touch(token_id)
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
        self._touch(token_id)
        self._connection.execute(f"DELETE FROM secrets WHERE token_key = {KEY_OF_ID}", (token_id,))
        self.invalidates = True

    def audit(
        self,
        at_us: int,
        actor: Actor,
        action: AuditAction,
        token: Token | None = None,
        detail: Detail | None = None,
    ) -> None:
        """Write down who did what, and to which token."""
        if token is None:
            self._trail.write(at_us, actor, action, None, None, detail)
            return
        self.actions.append(action)
        self._touch(token.token_id)
        sequence = self._trail.write(at_us, actor, action, token.token_id, token.name, detail)
        if token.token_id in self._genuine:
            self._connection.execute(
                "UPDATE tokens SET audit_sequence = ? WHERE id = ?", (sequence, token.token_id)
            )

    def forget_audit(self, before_us: int, limit: int) -> tuple[int, list[Token]]:
        """Remove the oldest entries, and name the tokens that have no later one."""
        self.seal()
        ids = orjson.dumps(list({token_id for _, token_id in self._trail.old(before_us, limit) if token_id}))
        tokens = self._many("tokens.id IN (SELECT value FROM json_each(?))", ids.decode())
        genuine = [token for token in tokens if token.fault is None]
        self._genuine.update(token.token_id for token in genuine)
        removed = self._trail.forget(before_us, limit)
        last = "SELECT 1 FROM audit WHERE token_id = ? LIMIT 1"
        return removed, [
            token for token in genuine if self._connection.execute(last, (token.token_id,)).fetchone() is None
        ]

    def add_usage(self, deltas: Iterable[UsageDelta]) -> None:
        """Add counters and move last accesses forward."""
        UsageCounters(self._connection).add(deltas)

    def fold_usage(self, before_day: str, limit: int) -> int:
        """Fold counters of old days into their months."""
        return UsageCounters(self._connection).fold(before_day, limit)

    def remove_ended_secrets(self, now_us: int, limit: int) -> list[Token]:
        """Forget values whose period of grace is over."""
        # The plus keeps SQLite from walking all values, token by token: few have an end.
        tokens = self._many(
            "tokens.key IN (SELECT DISTINCT +token_key FROM secrets WHERE expires_at_us <= ? LIMIT ?)",
            now_us,
            limit,
        )
        for token in tokens:
            self._touch(token.token_id)
            self._connection.execute(
                f"DELETE FROM secrets WHERE expires_at_us <= ? AND token_key = {KEY_OF_ID}",
                (now_us, token.token_id),
            )
            self.invalidates = True
        return tokens

    def ended_tokens(self, by_us: int, limit: int) -> list[Token]:
        """Tokens that had ended by a time."""
        return self._many(_ENDED, by_us, by_us, by_us, limit)

    def add_bucket_intent(
        self, kind: IntentKind, bucket: str, new_bucket: str | None, at_us: int
    ) -> BucketIntent:
        """State an intent."""
        self.invalidates = True
        return self._intents().add(kind, bucket, new_bucket, at_us)

    def remove_bucket_intent(self, intent_id: int) -> bool:
        """Settle an intent; False if somebody else did."""
        self.invalidates = True
        return self._intents().remove(intent_id)

    def _intents(self) -> BucketIntents:
        return BucketIntents(self._connection, self._sealer, self._owner)

    def is_seeded(self) -> bool:
        """Whether the registry was ever given its first token."""
        return read_fact(self._connection, _SEEDED, int) == 1

    def mark_seeded(self) -> None:
        """Remember that it was, for good."""
        write_fact(self._connection, _SEEDED, 1)


def forget_waiting(connection: sqlite3.Connection) -> None:
    """Remove values that wait for a token with the number that the next one gets: somebody else put them there."""
    connection.execute(f"DELETE FROM secrets WHERE token_key >= ({_NEXT_KEY})")


@lru_cache
def _insertion(columns: tuple[str, ...]) -> str:
    all_columns = (*columns, "audit_sequence", "seal")
    marks = ", ".join("?" * len(all_columns))
    return f"INSERT INTO tokens ({', '.join(all_columns)}) VALUES ({marks})"


@lru_cache
def _replacement(columns: tuple[str, ...]) -> str:
    assignments = ", ".join(f"{name} = :{name}" for name in columns if name != "id")
    return f"UPDATE tokens SET {assignments} WHERE id = :id"
