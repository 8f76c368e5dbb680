"""A registry with many tokens, in a folder of its own."""

from __future__ import annotations

import contextlib
import gc
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reductauth.actor import Actor
from reductauth.audit import AuditAction
from reductauth.changes import new_token
from reductauth.draft import TokenDraft
from reductauth.key import RegistryKey
from reductauth.permissions import Permissions
from reductauth.sqlite import LOADING, SqliteStore
from reductauth.store import SecretDigest, TokenRecord, Transaction
from reductauth.value import mint

__all__ = ["Population", "populated"]

_BATCH = 250_000
"""Tokens in a commit: digests are random, so even a small one writes nearly all pages of their index."""


@dataclass(frozen=True)
class Population:
    """The store, and for each token its value and the bucket that it may read."""

    store: SqliteStore
    grants: list[tuple[str, str]]


@contextlib.asynccontextmanager
async def populated(count: int) -> AsyncIterator[Population]:
    """Make a registry of `count` tokens, each of which may read one bucket."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "auth"
        grants = await _built(path, count)
        store = SqliteStore.open(path)
        try:
            yield Population(store, grants)
        finally:
            await store.close()


async def _built(path: Path, count: int) -> list[tuple[str, str]]:
    grants: list[tuple[str, str]] = []
    store = SqliteStore.open(path, tuning=LOADING)
    gc.disable()  # it would look at each token again and again
    try:
        for start in range(0, count, _BATCH):
            made = range(start, min(count, start + _BATCH))
            await store.change(partial(_add, key=store.key, numbers=made, grants=grants))
            await store.fold_log()
    finally:
        gc.enable()
        await store.close()
    return grants


def _add(transaction: Transaction, key: RegistryKey, numbers: range, grants: list[tuple[str, str]]) -> None:
    records = []
    for number in numbers:
        bucket = f"bucket-{number % 100}"
        token = new_token(
            f"token-{number}", TokenDraft(permissions=Permissions.of(read=[bucket])), 1, "benchmark"
        )
        value = mint(token.name)
        records.append(TokenRecord(token, (SecretDigest(key.key_id, key.digest(value), 1),)))
        grants.append((value, bucket))
    transaction.add_records(1, Actor.environment(), AuditAction.IMPORT, records)
