"""Keeps exact grants in step with the buckets that the engine renames and removes.

No commit spans the registry and the engine. So an intent is kept first, then the engine makes its step, then
the intent is settled by what became of it. While it stands, exact grants on its buckets open nothing, nobody
else may rename, remove or create them, and a process that dies leaves it to the next start. In doubt grants
end: an administrator can give them again, nobody can take back what was read.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import replace
from enum import StrEnum

from reductauth.actor import Actor
from reductauth.authority import check_administrator
from reductauth.clock import Clock
from reductauth.errors import BucketBusyError
from reductauth.permissions import bucket_name
from reductauth.store import BucketIntent, IntentKind, TokenStore, Transaction

__all__ = ["BucketGrants", "BucketNames"]

BucketNames = Callable[[], Awaitable[Collection[str]]]
"""Asks the engine which buckets there are."""

_logger = logging.getLogger("reductauth.buckets")


class _Outcome(StrEnum):
    NOTHING = "nothing"
    RENAMED = "renamed"
    REMOVED = "removed"


class BucketGrants:
    """Renames and removes buckets as far as grants go."""

    def __init__(self, store: TokenStore, clock: Clock, bucket_names: BucketNames | None) -> None:
        self._store = store
        self._clock = clock
        self._bucket_names = bucket_names

    async def check_settled(self, bucket: str) -> None:
        """Raise `BucketBusyError` while an intent on this name stands."""

        def check(transaction: Transaction) -> None:
            _check_free(transaction, {bucket})

        await self._store.change(check)

    @contextlib.asynccontextmanager
    async def changing(
        self, actor: Actor, kind: IntentKind, bucket: str, new_bucket: str | None = None
    ) -> AsyncIterator[None]:
        """State the intent, let the engine make its step inside the block, settle."""
        names = (
            {bucket_name(bucket)} if new_bucket is None else {bucket_name(bucket), bucket_name(new_bucket)}
        )

        def state(transaction: Transaction) -> BucketIntent:
            now_us = self._clock()
            check_administrator(transaction, actor, now_us)
            _check_free(transaction, names)
            return transaction.add_bucket_intent(kind, bucket, new_bucket, now_us)

        done = _Outcome.REMOVED if new_bucket is None else _Outcome.RENAMED
        if not await self._is_possible(bucket, new_bucket):
            # The engine will refuse, and an intent that outlives a crash would read as if it had not.
            yield
            actor = Actor.environment()
            await self._settle(await self._store.change(state), done)
            return
        intent = await self._store.change(state)
        try:
            yield
        except Exception:
            await self._settle(intent, await self._outcome(intent, unknown=_Outcome.NOTHING))
            raise
        await self._settle(intent, done)

    async def settle(self) -> None:
        """Settle what a process that died has left."""
        for intent in await self._store.change(lambda transaction: transaction.bucket_intents()):
            outcome = await self._outcome(intent, unknown=_Outcome.REMOVED)
            _logger.warning(
                "bucket change settled kind=%s bucket=%s outcome=%s", intent.kind, intent.bucket, outcome
            )
            await self._settle(intent, outcome)

    async def _is_possible(self, bucket: str, new_bucket: str | None) -> bool:
        if self._bucket_names is None:
            return True
        names = await self._bucket_names()
        return bucket in names and new_bucket not in names

    async def _outcome(self, intent: BucketIntent, unknown: _Outcome) -> _Outcome:
        """What became of a step that was possible when its intent was stated."""
        if self._bucket_names is None:
            return unknown
        names = await self._bucket_names()
        if intent.bucket in names:
            return _Outcome.NOTHING
        return _Outcome.RENAMED if intent.new_bucket in names else _Outcome.REMOVED

    async def _settle(self, intent: BucketIntent, outcome: _Outcome) -> None:
        actor = Actor.environment()

        def work(transaction: Transaction) -> None:
            # Whoever knows the outcome applies it, also where another process's start has settled the intent.
            transaction.remove_bucket_intent(intent.intent_id)
            if outcome is _Outcome.NOTHING:
                return
            now_us = self._clock()
            for token in transaction.tokens_naming_bucket(intent.bucket):
                permissions = (
                    token.permissions.with_bucket_renamed(intent.bucket, intent.new_bucket)
                    if outcome is _Outcome.RENAMED and intent.new_bucket is not None
                    else token.permissions.without_bucket(intent.bucket)
                )
                changed = replace(token, permissions=permissions, updated_at_us=now_us)
                transaction.replace(changed)
                transaction.audit(now_us, actor, f"bucket {outcome}", changed)

        await self._store.change(work)


def _check_free(transaction: Transaction, buckets: Collection[str]) -> None:
    for intent in transaction.bucket_intents():
        for name in (intent.bucket, intent.new_bucket):
            if name is not None and name in buckets:
                raise BucketBusyError(name)
