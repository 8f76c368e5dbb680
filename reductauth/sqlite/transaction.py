"""What a change may do to the registry. It knows by itself what readers may not trust any more."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any

import orjson

from reductauth.actor import Actor
from reductauth.audit import AuditAction, Detail, addition_of, detail_text
from reductauth.errors import TokenExistsError, TokensTakenError
from reductauth.plain import PlainToken
from reductauth.record import PlainDigest, PlainRecord
from reductauth.sqlite.change_reads import ChangeReads
from reductauth.sqlite.counters import UsageCounters
from reductauth.sqlite.facts import read_fact, write_fact
from reductauth.sqlite.intents import BucketIntents
from reductauth.sqlite.keys import RegistryKeys
from reductauth.sqlite.known import Known
from reductauth.sqlite.reader import KEY_OF_ID
from reductauth.sqlite.seal import OWN_COLUMNS, values_text
from reductauth.sqlite.token_seals import TokenSeals
from reductauth.sqlite.trail import NOTHING, Subject
from reductauth.store import BucketIntent, IntentKind, UsageDelta
from reductauth.token import Secret, Token

__all__ = ["SqliteTransaction", "forget_waiting"]

_SEEDED = "seeded"
_NAME_TAKEN = "tokens.name"  # what SQLite's error names

_NEXT_KEY = """
SELECT 1 + max(
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'tokens'), 0),
    coalesce((SELECT max(key) FROM tokens), 0)
)
"""

_OWN: Callable[[PlainToken], tuple[Any, ...]] = itemgetter(*map(PlainToken._fields.index, OWN_COLUMNS))
_COLUMNS = (*PlainToken._fields, "key", "last_access_us", "audit_sequence", "seal")
_ADD_TOKEN = f"INSERT INTO tokens ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_REPLACE_TOKEN = (
    f"UPDATE tokens SET {', '.join(f'{name} = :{name}' for name in PlainToken._fields if name != 'id')}"
    " WHERE id = :id"
)
_ADD_DIGEST = (
    "INSERT INTO secrets (token_key, digest, key_id, created_at_us, expires_at_us) VALUES (?, ?, ?, ?, ?)"
)

_ADD_FREE_TOKEN, _ADD_FREE_DIGEST = (
    statement.replace("INSERT", "INSERT OR IGNORE", 1) for statement in (_ADD_TOKEN, _ADD_DIGEST)
)


class SqliteTransaction(ChangeReads):
    """One change within the writer's transaction; see `reductauth.store.Transaction`."""

    def __init__(self, connection: sqlite3.Connection, keys: RegistryKeys, owner: int, known: Known) -> None:
        super().__init__(connection, keys.sealer)
        self._owner = owner
        self._holders = known.holders
        self._trail = known.trail
        self._changes_before = connection.total_changes
        self._key_id = keys.key_id
        self._seals = TokenSeals(connection, keys.sealer)
        self.changed: set[str] | None = set()
        """The ids of tokens about which something changed; None: perhaps all. Creations and usage do not count."""
        self._removed: dict[str, int | None] = {}
        self.actions: list[str] = []
        """What was done to tokens."""

    def seal(self) -> None:
        """Seal the tokens that were changed so far."""
        self._seals.renew()

    def _execute(self, where: str, parameters: tuple[Any, ...]) -> sqlite3.Cursor:
        self.seal()
        return super()._execute(where, parameters)

    def _note(self, token_id: str) -> None:
        """Take down, before something changes about a token, that it does."""
        if not self._seals.look(token_id):
            self.changed = None  # it may be known by another id
        elif self.changed is not None:
            self.changed.add(token_id)

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

    def add(
        self, at_us: int, actor: Actor, action: AuditAction, token: Token, digests: Sequence[bytes]
    ) -> None:
        """Add a token whose id and values are free, and write it down."""
        values = [(digest, self._key_id, at_us, None) for digest in digests]
        plain = PlainToken.of(token)
        row = self._row(None, plain, None, values, self._trail.next_sequence())
        try:
            key = self._connection.execute(_ADD_TOKEN, row).lastrowid
        except sqlite3.IntegrityError as error:
            if _NAME_TAKEN in str(error):
                raise TokenExistsError(token.name) from None
            raise
        for value in values:
            self._connection.execute(_ADD_DIGEST, (key, *value))
        self._trail.write(at_us, actor, action, Subject(key, plain.id, plain.name), addition_of(plain))
        self._seals.vouch(token.token_id)
        self.actions.append(action)

    def add_records(
        self, at_us: int, actor: Actor, action: AuditAction, records: Sequence[PlainRecord]
    ) -> None:
        """Add tokens, if names, ids and values are free, and write each of them down."""
        first_sequence = self._trail.next_sequence()
        (first_key,) = self._connection.execute(_NEXT_KEY).fetchone()
        rows: list[tuple[Any, ...]] = []
        values: list[tuple[Any, ...]] = []
        for number, (token, last_access_us, digests) in enumerate(records):
            key = first_key + number
            rows.append(self._row(key, token, last_access_us, digests, first_sequence + number))
            values.extend((key, *digest) for digest in digests)
        # Cheaper than to ask whether they are free, or to undo it by a savepoint.
        if not (self._are_added(_ADD_FREE_TOKEN, rows) and self._are_added(_ADD_FREE_DIGEST, values)):
            self._connection.execute("DELETE FROM tokens WHERE key >= ?", (first_key,))
            raise TokensTakenError
        told = [
            (Subject(first_key + number, token.id, token.name), detail_text(addition_of(token)))
            for number, (token, *_) in enumerate(records)
        ]
        self._trail.write_all(at_us, actor, action, told)
        self.actions.extend(action for _ in records)

    def _are_added(self, insertion: str, rows: Sequence[tuple[Any, ...]]) -> bool:
        return self._connection.executemany(insertion, rows).rowcount == len(rows)

    def _row(
        self,
        key: int | None,
        token: PlainToken,
        last_access_us: int | None,
        digests: Sequence[PlainDigest],
        sequence: int,
    ) -> tuple[Any, ...]:
        """Make a new token's row. It is sealed before it is there: so it is written once."""
        seal = self._sealer.seal((*_OWN(token), sequence, values_text(digests)))
        return *token, key, last_access_us, sequence, seal

    def replace(self, token: Token) -> None:
        """Write a token over the one with its id."""
        self._note(token.token_id)
        if token.fault is None:
            self._seals.vouch(token.token_id)
        self._seals.touch(token.token_id)
        self._connection.execute(_REPLACE_TOKEN, PlainToken.of(token)._asdict())

    def remove(self, token_id: str) -> None:
        """Forget a token, its values and its counters."""
        self._note(token_id)
        self._removed[token_id] = self._key_of(token_id)
        self._connection.execute("DELETE FROM tokens WHERE id = ?", (token_id,))
        self._seals.forget(token_id)

    def add_secret(self, token_id: str, digest: bytes, created_at_us: int) -> None:
        """Give a token one more value, by its digest."""
        self._seals.touch(token_id)
        self._connection.execute(
            f"INSERT INTO secrets (token_key, digest, key_id, created_at_us) VALUES ({KEY_OF_ID}, ?, ?, ?)",
            (token_id, digest, self._key_id, created_at_us),
        )

    def retire_secrets(self, token_id: str, expires_at_us: int) -> None:
        """Let the values of a token that had no end work until then; those that had one end at once."""
        self._note(token_id)
        self._seals.touch(token_id)
        of_token = f"token_key = {KEY_OF_ID}"
        self._connection.execute(
            f"DELETE FROM secrets WHERE {of_token} AND expires_at_us IS NOT NULL", (token_id,)
        )
        self._connection.execute(
            f"UPDATE secrets SET expires_at_us = ? WHERE {of_token}", (expires_at_us, token_id)
        )

    def remove_secrets(self, token_id: str) -> None:
        """End all values of a token."""
        self._note(token_id)
        self._seals.touch(token_id)
        self._connection.execute(f"DELETE FROM secrets WHERE token_key = {KEY_OF_ID}", (token_id,))

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
            self._trail.write(at_us, actor, action, NOTHING, detail)
            return
        self.actions.append(action)
        self._seals.touch(token.token_id)
        subject = Subject(self._key_of(token.token_id), token.token_id, token.name)
        sequence = self._trail.write(at_us, actor, action, subject, detail)
        if self._seals.is_genuine(token.token_id):
            self._connection.execute(
                "UPDATE tokens SET audit_sequence = ? WHERE id = ?", (sequence, token.token_id)
            )

    def forget_audit(self, before_us: int, limit: int) -> tuple[int, list[Token]]:
        """Remove the oldest entries, and name the tokens that have no later one."""
        self.seal()
        ids = orjson.dumps(list({token_id for _, token_id in self._trail.old(before_us, limit) if token_id}))
        tokens = self._many("tokens.id IN (SELECT value FROM json_each(?))", ids.decode())
        genuine = [token for token in tokens if token.fault is None]
        for token in genuine:
            self._seals.vouch(token.token_id)
        removed = self._trail.forget(before_us, limit)
        last = f"SELECT 1 FROM audit WHERE token_key = {KEY_OF_ID} LIMIT 1"
        return removed, [
            token for token in genuine if self._connection.execute(last, (token.token_id,)).fetchone() is None
        ]

    def _key_of(self, token_id: str) -> int | None:
        """Give the number by which the audit knows a token: that of its row, or of the row that it had until now."""
        row = self._connection.execute("SELECT key FROM tokens WHERE id = ?", (token_id,)).fetchone()
        return self._removed.get(token_id) if row is None else int(row[0])

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
            self._note(token.token_id)
            self._seals.touch(token.token_id)
            self._connection.execute(
                f"DELETE FROM secrets WHERE expires_at_us <= ? AND token_key = {KEY_OF_ID}",
                (now_us, token.token_id),
            )
        return tokens

    def add_bucket_intent(
        self, kind: IntentKind, bucket: str, new_bucket: str | None, at_us: int
    ) -> BucketIntent:
        """State an intent."""
        self.changed = None
        return self._intents().add(kind, bucket, new_bucket, at_us)

    def remove_bucket_intent(self, intent_id: int) -> bool:
        """Settle an intent; False if somebody else did."""
        self.changed = None
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
