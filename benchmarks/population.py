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
from reductauth.clock import Clock, system_clock
from reductauth.draft import TokenDraft
from reductauth.key import RegistryKey
from reductauth.permissions import Permissions
from reductauth.record import PlainRecord, SecretDigest, TokenRecord
from reductauth.sqlite import LOADING, SqliteStore
from reductauth.store import Transaction
from reductauth.value import mint

__all__ = ["Grants", "Population", "clock_after_expiry", "populate", "populated"]

Grants = list[tuple[str, str]]
"""For each token its value and the bucket that it may read."""

_BATCH = 250_000
"""Tokens in a commit: digests are random, so even a small one writes nearly all pages of their index."""
_LIFETIME_US = 365 * 86_400 * 1_000_000


@dataclass(frozen=True)
class Population:
    """The registry's folder, its store, and for each token its value and the bucket that it may read."""

    folder: Path
    store: SqliteStore
    grants: Grants


@contextlib.asynccontextmanager
async def populated(count: int) -> AsyncIterator[Population]:
    """Make a registry of `count` tokens, each of which may read one bucket for a year, and open it."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "auth"
        grants = await populate(folder, count)
        store = SqliteStore.open(folder)
        try:
            yield Population(folder, store, grants)
        finally:
            await store.close()


async def populate(auth_folder: Path, count: int) -> Grants:
    """Make a registry as `populated` does, in a folder that an application may then open."""
    grants: Grants = []
    store = SqliteStore.open(auth_folder, tuning=LOADING)
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


def clock_after_expiry() -> Clock:
    """Make a clock by which every token of a registry that `populate` made has expired."""
    now = system_clock()
    return lambda: now() + _LIFETIME_US


def _add(transaction: Transaction, key: RegistryKey, numbers: range, grants: Grants) -> None:
    expires_at_us = system_clock()() + _LIFETIME_US
    records = []
    for number in numbers:
        bucket = f"bucket-{number % 100}"
        draft = TokenDraft(permissions=Permissions.of(read=[bucket]), expires_at_us=expires_at_us)
        token = new_token(f"token-{number}", draft, 1, "benchmark")
        value = mint(token.name)
        digest = SecretDigest(key.key_id, key.digest(value), 1)
        records.append(PlainRecord.of(TokenRecord(token, (digest,))))
        grants.append((value, bucket))
    transaction.add_records(1, Actor.environment(), AuditAction.IMPORT, records)
