"""Reads: one indexed lookup for a presented value, and everything that takes longer."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson

from reductauth.audit import AuditEntry, AuditQuery
from reductauth.details import PeriodUsage, TokenDetails
from reductauth.periods import Span
from reductauth.query import Page, TokenQuery
from reductauth.record import TokenRecord
from reductauth.sqlite.books import AuditSelection
from reductauth.sqlite.details import details_of, records_of, usage_in
from reductauth.sqlite.rows import SECRET_COLUMNS, TOKEN_COLUMNS, secret_of, token_of
from reductauth.sqlite.seal import ALTERED, Sealer
from reductauth.sqlite.selection import Selection
from reductauth.store import BucketIntent, Found, FoundById, IntentKind
from reductauth.token import Secret, Token

__all__ = [
    "FIND",
    "KEY_OF_ID",
    "SECRET_WIDTH",
    "SqliteSnapshot",
    "TokenTotal",
    "find",
    "find_by_id",
    "suspended_buckets",
]

KEY_OF_ID = "(SELECT key FROM tokens WHERE id = ?)"
_FOUND_COLUMNS = ", ".join([*(f"secrets.{name}" for name in SECRET_COLUMNS.split(", ")), TOKEN_COLUMNS])
FIND = f"SELECT {_FOUND_COLUMNS} FROM secrets JOIN tokens ON tokens.key = secrets.token_key WHERE digest = ?"
_FIND_BY_ID = (
    f"SELECT {_FOUND_COLUMNS} FROM tokens LEFT JOIN secrets ON secrets.token_key = tokens.key"
    " WHERE tokens.id = ? ORDER BY secrets.id DESC LIMIT 1"
)
_PICKED = f"""
SELECT {TOKEN_COLUMNS} FROM tokens JOIN json_each(?) AS picked ON tokens.key = picked.value ORDER BY picked.key
"""
# Numbers leave no gap, and only the oldest entries are ever removed: nothing has to be counted.
_AUDIT_TOTAL = """
SELECT coalesce((SELECT max(sequence) FROM audit) - (SELECT min(sequence) FROM audit) + 1, 0)
"""
SECRET_WIDTH = SECRET_COLUMNS.count(",") + 1
_NAME = 1


def find(connection: sqlite3.Connection, sealer: Sealer, digest: bytes) -> Found | None:
    """Find a token by the digest of one of its values."""
    row = connection.execute(FIND, (digest,)).fetchone()
    if row is None:
        return None
    return Found(token_of(row[SECRET_WIDTH:], sealer), secret_of(row[:SECRET_WIDTH]))


def find_by_id(connection: sqlite3.Connection, sealer: Sealer, token_id: str) -> FoundById | None:
    """Find a token, and the newest of its values, by its id. As `find` does."""
    row = connection.execute(_FIND_BY_ID, (token_id,)).fetchone()
    if row is None:
        return None
    newest = None if row[0] is None else secret_of(row[:SECRET_WIDTH])
    return FoundById(token_of(row[SECRET_WIDTH:], sealer), newest)


def suspended_buckets(connection: sqlite3.Connection) -> frozenset[str]:
    """Name the buckets of the intents that stand."""
    rows = connection.execute("SELECT bucket, new_bucket FROM bucket_intents").fetchall()
    return frozenset(name for row in rows for name in row if name is not None)


class TokenTotal:
    """How many tokens there are. SQLite walks all of them to count, so what it found is kept until another commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take a connection that changes nothing itself."""
        self._connection = connection
        self._data_version = -1
        self._total = 0

    def count(self) -> int:
        """Count those in the state that the connection reads."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._data_version:
            self._total = _count(self._connection)
            self._data_version = version
        return self._total


def _count(connection: sqlite3.Connection) -> int:
    (total,) = connection.execute("SELECT count(*) FROM tokens").fetchone()
    return int(total)


class SqliteSnapshot:
    """Reads in whatever transaction the connection is in."""

    def __init__(
        self, connection: sqlite3.Connection, sealer: Sealer, total: TokenTotal | None = None
    ) -> None:
        """Take what keeps the `total` where the connection changes nothing itself."""
        self._connection = connection
        self._sealer = sealer
        self._total = total

    def token_named(self, name: str) -> Token | None:
        """The token with this name."""
        return self._one("tokens.name = ?", name)

    def tokens(self) -> list[Token]:
        """All tokens, by name."""
        return self._many("1 ORDER BY name")

    def tokens_after(self, name: str, limit: int) -> tuple[list[Token], str | None]:
        """The next tokens by name, and where to go on after."""
        rows = self._execute("name > ? ORDER BY name LIMIT ?", (name, limit)).fetchall()
        return self._tokens(rows), rows[-1][_NAME] if len(rows) == limit else None

    def tokens_named(self, names: Collection[str]) -> list[Token]:
        """The tokens that have one of these names."""
        return self._many("name IN (SELECT value FROM json_each(?))", orjson.dumps(list(names)).decode())

    def records(self, tokens: Sequence[Token]) -> list[TokenRecord]:
        """Each of the tokens with the digests of its values."""
        return records_of(self._connection, tokens)

    def select(self, query: TokenQuery, now_us: int) -> Page[Token]:
        """What a query asks for."""
        selection = Selection(query, now_us)
        total = _count(self._connection) if self._total is None else self._total.count()
        found = selection.count(self._connection) if selection.has_conditions else total
        keys = orjson.dumps(selection.keys(self._connection, found)).decode()
        rows = self._connection.execute(_PICKED, (keys,))
        return Page(self._tokens(rows), found, total)

    def token_by_id(self, token_id: str) -> Token | None:
        """The token with this id."""
        return self._one("id = ?", token_id)

    def secrets(self, token_id: str) -> list[Secret]:
        """The values of a token, oldest first."""
        rows = self._connection.execute(
            f"SELECT {SECRET_COLUMNS} FROM secrets WHERE token_key = {KEY_OF_ID} ORDER BY id", (token_id,)
        )
        return [secret_of(row) for row in rows]

    def details(self, tokens: Sequence[Token], now_us: int) -> list[TokenDetails]:
        """Each of the tokens with its live values and what it was used for."""
        return details_of(self._connection, tokens, now_us)

    def usage(self, token_id: str, span: Span) -> list[PeriodUsage]:
        """The periods in which a token was used, oldest first."""
        return usage_in(self._connection, token_id, span)

    def bucket_intents(self) -> list[BucketIntent]:
        """The intents that stand, oldest first."""
        rows = self._connection.execute(
            "SELECT id, kind, bucket, new_bucket, owner, seal FROM bucket_intents ORDER BY id"
        )
        return [
            BucketIntent(
                *(row[0], IntentKind(row[1]), row[2], row[3], row[4]),
                fault=None if self._sealer.fits(row) else ALTERED,
            )
            for row in rows
        ]

    def audited(self, query: AuditQuery) -> Page[AuditEntry]:
        """What a query asks for of the books."""
        selection = AuditSelection(query)
        (total,) = self._connection.execute(_AUDIT_TOTAL).fetchone()
        found = selection.count(self._connection) if selection.has_conditions else total
        return Page(selection.entries(self._connection), found, total)

    def _one(self, where: str, *parameters: Any) -> Token | None:
        row = self._execute(where, parameters).fetchone()
        return None if row is None else token_of(row, self._sealer)

    def _many(self, where: str, *parameters: Any) -> list[Token]:
        return self._tokens(self._execute(where, parameters))

    def _tokens(self, rows: Iterable[tuple[Any, ...]]) -> list[Token]:
        return [token_of(row, self._sealer) for row in rows]

    def _execute(self, where: str, parameters: tuple[Any, ...]) -> sqlite3.Cursor:
        return self._connection.execute(f"SELECT {TOKEN_COLUMNS} FROM tokens WHERE {where}", parameters)
