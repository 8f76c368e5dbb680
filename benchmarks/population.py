"""A registry with many tokens, in a folder of its own."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reductauth.changes import new_token
from reductauth.clock import Clock, system_clock
from reductauth.draft import TokenDraft
from reductauth.permissions import Permissions
from reductauth.sqlite import SqliteStore
from reductauth.sqlite.rows import values_of
from reductauth.sqlite.seal import SEALED_COLUMNS, Sealer
from reductauth.sqlite.transaction import SqliteTransaction
from reductauth.value import mint

__all__ = ["Grants", "Population", "clock_after_expiry", "populate", "populated"]

Grants = list[tuple[str, str]]
"""For each token its value and the bucket that it may read."""

_BATCH = 250_000
"""Tokens in a commit: digests are random, so even a small one writes nearly all pages of their index."""
_ALL_PAGES = "PRAGMA cache_size = -1000000"
_LIFETIME_US = 365 * 86_400 * 1_000_000


@dataclass(frozen=True)
class Population:
    """The open store, and what its tokens may do."""

    store: SqliteStore
    grants: Grants


@contextlib.asynccontextmanager
async def populated(count: int) -> AsyncIterator[Population]:
    """Make a registry of `count` tokens, each of which may read one bucket for a year, and open it."""
    with tempfile.TemporaryDirectory() as folder:
        auth_folder = Path(folder) / "auth"
        grants = await populate(auth_folder, count)
        store = SqliteStore.open(auth_folder)
        try:
            yield Population(store, grants)
        finally:
            await store.close()


async def populate(auth_folder: Path, count: int) -> Grants:
    """Make a registry as `populated` does, in a folder that an application may then open."""
    store = SqliteStore.open(auth_folder)
    try:
        grants: Grants = []
        for start in range(0, count, _BATCH):
            made = range(start, min(count, start + _BATCH))
            await store.change(partial(_add, store=store, numbers=made, grants=grants))
        return grants
    finally:
        await store.close()


def clock_after_expiry() -> Clock:
    """Make a clock by which every token of a registry that `populate` made has expired."""
    now = system_clock()
    return lambda: now() + _LIFETIME_US


def _add(transaction: SqliteTransaction, store: SqliteStore, numbers: range, grants: Grants) -> None:
    """Add as a change does, with a statement for many tokens in place of many for each."""
    expires_at_us = system_clock()() + _LIFETIME_US
    connection = transaction._connection  # noqa: SLF001 - changes of an engine are never this large
    connection.execute(_ALL_PAGES)
    (last,) = connection.execute("SELECT coalesce(max(key), 0) FROM tokens").fetchone()
    tokens, secrets = [], []
    for key, number in enumerate(numbers, last + 1):
        bucket = f"bucket-{number % 100}"
        draft = TokenDraft(permissions=Permissions.of(read=[bucket]), expires_at_us=expires_at_us)
        token = new_token(f"token-{number}", draft, 1, "benchmark")
        value = mint(token.name)
        tokens.append({"key": key, **values_of(token)})
        secrets.append((key, store.key.digest(value), store.key.key_id))
        grants.append((value, bucket))
    columns = tokens[0]
    marks = ", ".join(f":{name}" for name in columns)
    connection.executemany(f"INSERT INTO tokens ({', '.join(columns)}) VALUES ({marks})", tokens)
    connection.executemany(
        "INSERT INTO secrets (token_key, digest, key_id, created_at_us) VALUES (?, ?, ?, 1)", secrets
    )
    sealer = Sealer(store.key)
    rows = connection.execute(
        f"SELECT {SEALED_COLUMNS}, tokens.key FROM tokens WHERE tokens.key > ?", (last,)
    )
    seals = [(sealer.seal(row[:-1]), row[-1]) for row in rows]
    connection.executemany("UPDATE tokens SET seal = ? WHERE key = ?", seals)
