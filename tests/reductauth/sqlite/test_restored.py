"""A registry that was put back to an earlier state, and somebody who kept what came after it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from reductauth.actor import Actor
from reductauth.clock import system_clock
from reductauth.draft import TokenDraft
from reductauth.permissions import Permissions
from reductauth.registry import TokenRegistry
from reductauth.sqlite import SqliteStore
from reductauth.sqlite.backup import back_up, restore
from reductauth.sqlite.files import RegistryFolder
from reductauth.sqlite.verification import registry_faults


async def test_a_record_of_a_past_that_a_restore_undid(tmp_path: Path) -> None:
    """A token that was made after the backup is no token after the restore, wherever its record is put."""
    clock = system_clock()
    folder, copy = RegistryFolder(tmp_path / "auth"), RegistryFolder(tmp_path / "copy")
    store = SqliteStore.open(folder.path)
    registry = TokenRegistry(store, store.key, clock)
    await registry.create(Actor.environment(), "root", TokenDraft(Permissions(full_access=True)))
    back_up(folder, copy.path, store.key, with_key=True)
    await registry.create(Actor.environment(), "before", TokenDraft())
    value = (await registry.create(Actor.environment(), "x", TokenDraft(Permissions(full_access=True)))).value
    await store.close()
    with closing(sqlite3.connect(folder.database)) as connection:
        record = connection.execute("SELECT * FROM tokens WHERE name = 'x'").fetchone()
        secret = connection.execute("SELECT * FROM secrets WHERE token_key = ?", record[:1]).fetchone()
    restore(copy, folder, None, clock(), replace=True)
    store = SqliteStore.open(folder.path)
    await TokenRegistry(store, store.key, clock).create(Actor.environment(), "y", TokenDraft())
    with closing(sqlite3.connect(folder.database)) as connection, connection:
        (key,) = connection.execute("DELETE FROM tokens WHERE name = 'y' RETURNING key").fetchone()
        for table, row in (("tokens", (key, *record[1:])), ("secrets", (secret[0] + 9, key, *secret[2:]))):
            connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    found = await store.find(store.key.digest(value))
    await store.close()
    assert found is not None
    assert found.token.fault is not None
    assert [fault.partition(":")[0] for fault in registry_faults(folder, store.key)] == ["token 'x'"]
