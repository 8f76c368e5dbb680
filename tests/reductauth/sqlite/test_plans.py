"""What must cost the same however many tokens there are walks no table, as SQLite plans it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from reductauth.actor import Actor, Identity
from reductauth.draft import TokenDraft
from reductauth.edit import TokenEdit
from reductauth.housekeeping import Housekeeper
from reductauth.permissions import Permissions
from reductauth.registry import TokenRegistry
from reductauth.sqlite import SqliteStore
from tests.reductauth.store_contract import ADMINISTRATOR, NOW_US, used

ENVIRONMENT = Actor.environment()
OF_FEW = ("tokens_administrators", "tokens_provisioned")
"""Indexes that hold some tokens only, and may be walked."""


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Give an empty store."""
    opened = SqliteStore.open(tmp_path / "auth")
    yield opened
    await opened.close()


class Work:
    """A registry with an administrator and a token `a`."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.registry = TokenRegistry(store, store.key, lambda: NOW_US)
        self.housekeeper = Housekeeper(store, lambda: NOW_US, 400, None)

    async def begin(self) -> None:
        minted = await self.registry.create(ENVIRONMENT, "administrator", TokenDraft(ADMINISTRATOR))
        self.digest = self.store.key.digest(minted.value)
        found = await self.store.find(self.digest)
        assert found is not None
        self.actor = Actor.of(Identity(found.token, found.secret.secret_id))
        await self.registry.create(self.actor, "a", TokenDraft(Permissions.of(read=["b"])))

    async def use(self) -> None:
        assert self.actor.token_id is not None
        assert self.actor.secret_id is not None
        use = used(self.actor.token_id, self.actor.secret_id, read=1, last_access_us=NOW_US)
        await self.store.change(lambda transaction: transaction.add_usage([use]))


WORK: dict[str, Callable[[Work], Awaitable[Any]]] = {
    "create": lambda work: work.registry.create(work.actor, "b", TokenDraft()),
    "edit": lambda work: work.registry.edit(work.actor, "a", TokenEdit(description="new")),
    "rotate": lambda work: work.registry.rotate(work.actor, "a", 60),
    "revoke": lambda work: work.registry.revoke(work.actor, "a"),
    "delete": lambda work: work.registry.delete(work.actor, "a"),
    "show": lambda work: work.registry.details("a"),
    "look up": lambda work: work.store.find(work.digest),
    "look up by id": lambda work: work.store.find_by_id("nobody"),
    "count uses": Work.use,
    "tidy": lambda work: work.housekeeper.tidy(),
}


class Recorded:
    """A connection of which all statements are explained, as they are bound: texts alone may be planned otherwise."""

    def __init__(self, connection: sqlite3.Connection, plans: dict[str, list[str]]) -> None:
        self._connection = connection
        self._plans = plans

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, parameters: Any = ()) -> sqlite3.Cursor:
        """Explain, and execute."""
        if statement.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            rows = self._connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            self._plans[statement] = [row[3] for row in rows]
        return self._connection.execute(statement, parameters)

    def executemany(self, statement: str, parameters: Iterable[Any]) -> None:
        """Execute one by one."""
        for one in parameters:
            self.execute(statement, one)


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
async def test_no_table_is_walked(store: SqliteStore, work: Callable[[Work], Awaitable[Any]]) -> None:
    """Of every statement each table is searched by an index."""
    given = Work(store)
    await given.begin()
    plans: dict[str, list[str]] = {}
    for owner, name in ((store, "_lookups"), (store, "_reads"), (store._writer, "_connection")):
        setattr(owner, name, Recorded(getattr(owner, name), plans))
    await work(given)
    assert plans
    walks = {
        statement: line
        for statement, plan in plans.items()
        for line in plan
        if line.startswith("SCAN ") and not is_small(line)
    }
    assert walks == {}


def is_small(line: str) -> bool:
    """Whether what is walked does not grow with the tokens: an index of few, or what a statement was given."""
    return (
        line.endswith(OF_FEW)
        or "VIRTUAL TABLE" in line
        or line in {"SCAN CONSTANT ROW", "SCAN bucket_intents"}
    )
