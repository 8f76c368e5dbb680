"""Facts about the registry as a whole, by name: the table `meta`."""

from __future__ import annotations

import sqlite3
from typing import TypeVar

__all__ = ["read_fact", "write_fact"]

T = TypeVar("T", bound=str | bytes | int)


def read_fact(connection: sqlite3.Connection, name: str, kind: type[T]) -> T | None:
    """The fact of this name; None if it is missing, or of another kind."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return row[0] if row is not None and isinstance(row[0], kind) else None


def write_fact(connection: sqlite3.Connection, name: str, value: str | bytes | int) -> None:
    """Write a fact over the one of this name."""
    connection.execute("UPDATE meta SET value = ? WHERE name = ?", (value, name))
