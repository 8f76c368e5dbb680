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
from typing import TypeVar

from reductauth.actor import Actor
from reductauth.audit import AuditAction, Detail, change_of
from reductauth.authority import check_administrator
from reductauth.clock import Clock
from reductauth.errors import BucketBusyError
from reductauth.permissions import bucket_name
from reductauth.store import BucketIntent, IntentKind, Snapshot, TokenStore, Transaction

__all__ = ["BucketGrants", "BucketNames"]

BucketNames = Callable[[], Awaitable[Collection[str]]]
"""Asks the engine which buckets there are."""

T = TypeVar("T")
WorkT = TypeVar("WorkT")

_logger = logging.getLogger("reductauth.buckets")


_STATED = {
    IntentKind.RENAME: AuditAction.BUCKET_RENAMING,
    IntentKind.REMOVE: AuditAction.BUCKET_REMOVING,
}


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
        self._under_way: set[int] = set()

    async def check_settled(self, bucket: str) -> None:
        """Raise `BucketBusyError` while an intent on this name stands."""
        await self._undisturbed(self._store.read, lambda snapshot: _check_free(snapshot, {bucket}))

    @contextlib.asynccontextmanager
    async def changing(
        self, actor: Actor, kind: IntentKind, bucket: str, new_bucket: str | None = None
    ) -> AsyncIterator[None]:
        """State the intent, let the engine make its step inside the block, settle."""
        names = (
            {bucket_name(bucket)} if new_bucket is None else {bucket_name(bucket), bucket_name(new_bucket)}
        )
        done = _Outcome.REMOVED if new_bucket is None else _Outcome.RENAMED

        def ask(transaction: Transaction) -> None:
            check_administrator(transaction, actor, self._clock())
            _check_free(transaction, names)

        def state(transaction: Transaction) -> BucketIntent:
            ask(transaction)
            now_us = self._clock()
            transaction.audit(now_us, actor, _STATED[kind], detail=_buckets(bucket, new_bucket))
            return transaction.add_bucket_intent(kind, bucket, new_bucket, now_us)

        if not await self._is_possible(bucket, new_bucket):
            # The engine will refuse. An intent would be read, after a crash, as a change that did happen.
            await self._undisturbed(self._store.change, ask)
            yield
            await self._apply(actor, done, bucket, new_bucket)
            return
        intent = await self._undisturbed(self._store.change, state)
        self._under_way.add(intent.intent_id)
        try:
            yield
        except Exception:
            await self._settle(actor, intent, await self._outcome(intent, unknown=_Outcome.NOTHING))
            raise
        else:
            await self._settle(actor, intent, done)
        finally:
            self._under_way.discard(intent.intent_id)

    async def settle(self) -> None:
        """Settle what nobody is at work on: its process has died, its caller went away, or it could not be kept."""
        for intent in await self._store.change(lambda transaction: transaction.bucket_intents()):
            if intent.intent_id not in self._under_way and not self._store.is_anothers(intent):
                outcome = await self._outcome(intent, unknown=_Outcome.REMOVED)
                if intent.fault is not None:
                    _logger.error("bucket change refused bucket=%r reason=%s", intent.bucket, intent.fault)
                    outcome = _Outcome.NOTHING  # nobody of ours has stated it
                _logger.warning(
                    "bucket change settled kind=%s bucket=%s outcome=%s", intent.kind, intent.bucket, outcome
                )
                await self._settle(Actor.environment(), intent, outcome)

    async def _undisturbed(self, run: Callable[[WorkT], Awaitable[T]], work: WorkT) -> T:
        """Read or change; if an intent is in the way that nobody is at work on, settle that first."""
        try:
            return await run(work)
        except BucketBusyError:
            await self.settle()
            return await run(work)

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

    async def _settle(self, actor: Actor, intent: BucketIntent, outcome: _Outcome) -> None:
        await self._apply(actor, outcome, intent.bucket, intent.new_bucket, intent)

    async def _apply(
        self,
        actor: Actor,
        outcome: _Outcome,
        bucket: str,
        new_bucket: str | None,
        intent: BucketIntent | None = None,
    ) -> None:
        """Bring exact grants in line with what became of the bucket, and end the intent, in one change.

        A token that something else has changed is left as it is: it opens nothing.
        """

        def work(transaction: Transaction) -> None:
            now_us = self._clock()
            if intent is not None and transaction.remove_bucket_intent(intent.intent_id):
                settled = {**_buckets(bucket, new_bucket), "outcome": outcome}
                transaction.audit(now_us, actor, AuditAction.BUCKET_SETTLED, detail=settled)
            if outcome is _Outcome.NOTHING:
                return
            action = AuditAction(f"bucket_{outcome}")
            for token in transaction.tokens_naming_bucket(bucket):
                if token.fault is not None:
                    continue
                permissions = (
                    token.permissions.with_bucket_renamed(bucket, new_bucket)
                    if outcome is _Outcome.RENAMED and new_bucket is not None
                    else token.permissions.without_bucket(bucket)
                )
                changed = replace(token, permissions=permissions, updated_at_us=now_us)
                transaction.replace(changed)
                detail = change_of(token, changed) | _buckets(bucket, new_bucket)
                transaction.audit(now_us, actor, action, changed, detail)

        await self._store.change(work)


def _buckets(bucket: str, new_bucket: str | None) -> Detail:
    return {"bucket": bucket} if new_bucket is None else {"bucket": bucket, "new_bucket": new_bucket}


def _check_free(snapshot: Snapshot, buckets: Collection[str]) -> None:
    for intent in snapshot.bucket_intents():
        for name in (intent.bucket, intent.new_bucket):
            if name is not None and name in buckets:
                raise BucketBusyError(name)
