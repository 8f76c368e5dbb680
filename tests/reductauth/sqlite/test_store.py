"""The store on SQLite does what every store must."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from reductauth.sqlite import SqliteStore
from reductauth.store import TokenStore
from tests.reductauth.store_contract import StoreContract


def folder_of(store: SqliteStore) -> Path:
    """Name the folder of a store."""
    _, _, database = store._lookups.execute("PRAGMA database_list").fetchone()
    return Path(database).parent


class TestSqliteStore(StoreContract):
    """`StoreContract`, on a folder that two stores share."""

    conflict = sqlite3.IntegrityError

    @pytest_asyncio.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:  # type: ignore[override]
        """Give an empty store."""
        opened = SqliteStore.open(tmp_path / "auth")
        yield opened
        await opened.close()

    @pytest_asyncio.fixture
    async def beside(self, store: SqliteStore) -> AsyncIterator[SqliteStore]:  # type: ignore[override]
        """Give another store on the same folder."""
        opened = self.another(store)
        yield opened
        await opened.close()

    def another(self, store: TokenStore) -> SqliteStore:
        """Open one more on the same folder."""
        assert isinstance(store, SqliteStore)
        return SqliteStore.open(folder_of(store))

    async def usage_of(self, store: TokenStore, name: str) -> dict[str, tuple[int, int, int, int]]:
        """Read the counters."""
        assert isinstance(store, SqliteStore)
        rows = store._lookups.execute(
            "SELECT period, read, write, admin, denied FROM usage JOIN tokens ON key = token_key WHERE name = ?",
            (name,),
        )
        return {period: (read, write, admin, denied) for period, read, write, admin, denied in rows}
