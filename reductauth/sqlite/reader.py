"""Reads: one indexed lookup for a presented value, and everything that takes longer."""

from __future__ import annotations

import sqlite3
from typing import Any

from reductauth.sqlite.rows import SECRET_COLUMNS, TOKEN_COLUMNS, secret_of, token_of
from reductauth.store import Found
from reductauth.token import Token

__all__ = ["SqliteSnapshot", "find", "suspended_buckets"]

_FOUND_COLUMNS = ", ".join(
    [f"tokens.{name}" for name in TOKEN_COLUMNS.split(", ")]
    + [f"secrets.{name}" for name in SECRET_COLUMNS.split(", ")]
)
_FIND = f"SELECT {_FOUND_COLUMNS} FROM secrets JOIN tokens ON tokens.key = secrets.token_key WHERE digest = ?"
_TOKEN_WIDTH = TOKEN_COLUMNS.count(",") + 1


def find(connection: sqlite3.Connection, digest: bytes) -> Found | None:
    """Find a token by the digest of one of its values."""
    row = connection.execute(_FIND, (digest,)).fetchone()
    if row is None:
        return None
    return Found(token_of(row[:_TOKEN_WIDTH]), secret_of(row[_TOKEN_WIDTH:]))


def suspended_buckets(connection: sqlite3.Connection) -> frozenset[str]:
    """Name the buckets of the intents that stand."""
    rows = connection.execute("SELECT bucket, new_bucket FROM bucket_intents").fetchall()
    return frozenset(name for row in rows for name in row if name is not None)


class SqliteSnapshot:
    """Reads in whatever transaction the connection is in."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def token_named(self, name: str) -> Token | None:
        """The token with this name."""
        return self._one("name = ?", name)

    def tokens(self) -> list[Token]:
        """All tokens, by name."""
        return self._many("1 ORDER BY name")

    def _one(self, where: str, *parameters: Any) -> Token | None:
        row = self._execute(where, parameters).fetchone()
        return None if row is None else token_of(row)

    def _many(self, where: str, *parameters: Any) -> list[Token]:
        return [token_of(row) for row in self._execute(where, parameters)]

    def _execute(self, where: str, parameters: tuple[Any, ...]) -> sqlite3.Cursor:
        return self._connection.execute(f"SELECT {TOKEN_COLUMNS} FROM tokens WHERE {where}", parameters)
