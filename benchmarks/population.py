"""A registry with many tokens, in a folder of its own."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reductauth.changes import new_token
from reductauth.draft import TokenDraft
from reductauth.permissions import Permissions
from reductauth.sqlite import SqliteStore
from reductauth.store import Transaction
from reductauth.value import mint

__all__ = ["Population", "populated"]

_BATCH = 10_000


@dataclass(frozen=True)
class Population:
    """The store, and for each token its value and the bucket that it may read."""

    store: SqliteStore
    grants: list[tuple[str, str]]


@contextlib.asynccontextmanager
async def populated(count: int) -> AsyncIterator[Population]:
    """Make a registry of `count` tokens, each of which may read one bucket."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore.open(Path(folder) / "auth")
        try:
            grants: list[tuple[str, str]] = []
            for start in range(0, count, _BATCH):
                made = range(start, min(count, start + _BATCH))
                await store.change(partial(_add, store=store, numbers=made, grants=grants))
            yield Population(store, grants)
        finally:
            await store.close()


def _add(transaction: Transaction, store: SqliteStore, numbers: range, grants: list[tuple[str, str]]) -> None:
    for number in numbers:
        bucket = f"bucket-{number % 100}"
        draft = TokenDraft(permissions=Permissions.of(read=[bucket]))
        token = new_token(f"token-{number}", draft, 1, "benchmark")
        value = mint(token.name)
        transaction.add(token)
        transaction.add_secret(token.token_id, store.key.digest(value), 1)
        grants.append((value, bucket))
