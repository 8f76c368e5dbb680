"""All the tokens, and every change to them.

Rules of this file: every change has an actor, who is looked up again inside the transaction; every change
that takes something away leaves a usable full-access token; nothing is told before it is kept.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, replace

from reductauth.actor import Actor
from reductauth.clock import Clock
from reductauth.draft import TokenDraft
from reductauth.errors import (
    InvalidInputError,
    InvalidTokenError,
    LastAdministratorError,
    PermissionDeniedError,
    ProvisionedTokenError,
    RevokedTokenError,
    TokenExistsError,
    TokenNotFoundError,
)
from reductauth.key import RegistryKey
from reductauth.permissions import BucketPattern
from reductauth.policy import FullAccess
from reductauth.store import BucketIntent, IntentKind, TokenStore, Transaction
from reductauth.token import Token, TokenStatus
from reductauth.value import check_name, mint

__all__ = ["BucketNames", "Minted", "TokenRegistry"]

BucketNames = Callable[[], Awaitable[Collection[str]]]
"""Asks the engine which buckets there are."""

_logger = logging.getLogger("reductauth.registry")


@dataclass(frozen=True, slots=True)
class Minted:
    """A new value: the only time that it can be read. `repr` does not show it."""

    value: str
    created_at_us: int

    def __repr__(self) -> str:
        return f"Minted(created_at_us={self.created_at_us})"


class TokenRegistry:
    """Creates, rotates, deletes and lists tokens, and keeps grants in step with the engine's buckets.

    Methods that change something raise `PermissionDeniedError` or `InvalidTokenError` when the actor may not
    (any more), and `StoreUnavailableError` when the change could not be kept; then nothing of it remains.
    """

    def __init__(
        self, store: TokenStore, key: RegistryKey, clock: Clock, bucket_names: BucketNames | None = None
    ) -> None:
        self._store = store
        self._key = key
        self._clock = clock
        self._bucket_names = bucket_names

    async def tokens(self) -> list[Token]:
        """All tokens, by name."""
        return await self._store.read(lambda snapshot: snapshot.tokens())

    async def token(self, name: str) -> Token:
        """The token with this name. Raises `InvalidInputError`, `TokenNotFoundError`."""
        check_name(name)
        found = await self._store.read(lambda snapshot: snapshot.token_named(name))
        if found is None:
            raise TokenNotFoundError(name)
        return found

    async def create(self, actor: Actor, name: str, draft: TokenDraft) -> Minted:
        """Create a token. Raises `InvalidInputError`, `TokenExistsError`."""
        value = mint(check_name(name))
        digest = self._key.digest(value)

        def work(transaction: Transaction) -> Token:
            now_us = self._authorize(transaction, actor)
            draft.check(now_us)
            if transaction.token_named(name) is not None:
                raise TokenExistsError(name)
            token = new_token(name, draft, now_us, actor.name)
            transaction.add(token)
            transaction.add_secret(token.token_id, digest, now_us)
            transaction.audit(now_us, actor, "create", token)
            return token

        token = await self._store.change(work)
        _logger.info("token created name=%s by=%s", name, actor.name)
        return Minted(value, token.created_at_us)

    async def rotate(self, actor: Actor, name: str) -> Minted:
        """Give a token a new value; every older one dies at once, and its idle time begins anew.

        Raises `InvalidInputError` for an expired token, `TokenNotFoundError`, `ProvisionedTokenError`,
        `RevokedTokenError`.
        """
        value = mint(check_name(name))
        digest = self._key.digest(value)

        def work(transaction: Transaction) -> Token:
            now_us = self._authorize(transaction, actor)
            token = _changeable(transaction, name, "rotate")
            if token.revoked_at_us is not None:
                raise RevokedTokenError(name)
            if token.is_past_expiry(now_us):
                raise InvalidInputError(f"Can't rotate expired token '{name}'")
            rotated = replace(token, created_at_us=now_us, updated_at_us=now_us)
            transaction.replace(rotated)
            transaction.remove_secrets(token.token_id)
            transaction.add_secret(token.token_id, digest, now_us)
            transaction.audit(now_us, actor, "rotate", rotated)
            return rotated

        token = await self._store.change(work)
        _logger.info("token rotated name=%s by=%s", name, actor.name)
        return Minted(value, token.created_at_us)

    async def delete(self, actor: Actor, name: str) -> None:
        """Forget a token. Raises `TokenNotFoundError`, `ProvisionedTokenError`, `LastAdministratorError`."""
        check_name(name)

        def work(transaction: Transaction) -> None:
            now_us = self._authorize(transaction, actor)
            token = _changeable(transaction, name, "remove")
            transaction.remove(token.token_id)
            transaction.audit(now_us, actor, "delete", token)
            if not transaction.has_usable_administrator(now_us):
                raise LastAdministratorError("remove", name)

        await self._store.change(work)
        _logger.info("token deleted name=%s by=%s", name, actor.name)

    @contextlib.asynccontextmanager
    async def renaming_bucket(self, actor: Actor, bucket: str, new_bucket: str) -> AsyncIterator[None]:
        """Rename a bucket in the engine inside this block; exact grants on it follow when the block is left.

        No commit spans the registry and the engine. So the intent is kept first, and until it is settled exact
        grants on both names open nothing. A process that dies in between settles it at its next start.
        """
        _check_bucket(new_bucket)
        async with self._intending(actor, IntentKind.RENAME, bucket, new_bucket):
            yield

    @contextlib.asynccontextmanager
    async def removing_bucket(self, actor: Actor, bucket: str) -> AsyncIterator[None]:
        """Remove a bucket in the engine inside this block; exact grants on it end when the block is left."""
        async with self._intending(actor, IntentKind.REMOVE, bucket, None):
            yield

    async def settle_bucket_intents(self) -> None:
        """Finish what a process that died had begun. Asks the engine which buckets there are."""

        def standing(transaction: Transaction) -> list[BucketIntent]:
            return transaction.bucket_intents()

        for intent in await self._store.change(standing):
            await self._settle_by_asking(intent)

    @contextlib.asynccontextmanager
    async def _intending(
        self, actor: Actor, kind: IntentKind, bucket: str, new_bucket: str | None
    ) -> AsyncIterator[None]:
        def state(transaction: Transaction) -> BucketIntent:
            now_us = self._authorize(transaction, actor)
            return transaction.add_bucket_intent(kind, bucket, new_bucket, now_us)

        intent = await self._store.change(state)
        try:
            yield
        except Exception:
            await self._settle_by_asking(intent)
            raise
        await self._settle(intent, happened=True)

    async def _settle_by_asking(self, intent: BucketIntent) -> None:
        if self._bucket_names is None:
            await self._settle(intent, happened=False)
            return
        names = await self._bucket_names()
        if intent.bucket not in names:
            await self._settle(intent, happened=True)
        else:
            await self._settle(intent, happened=False)

    async def _settle(self, intent: BucketIntent, *, happened: bool) -> None:
        actor = Actor.environment()

        def work(transaction: Transaction) -> None:
            if not transaction.remove_bucket_intent(intent.intent_id) or not happened:
                return
            now_us = self._clock()
            for token in transaction.tokens_naming_bucket(intent.bucket):
                permissions = (
                    token.permissions.without_bucket(intent.bucket)
                    if intent.new_bucket is None
                    else token.permissions.with_bucket_renamed(intent.bucket, intent.new_bucket)
                )
                changed = replace(token, permissions=permissions, updated_at_us=now_us)
                transaction.replace(changed)
                transaction.audit(now_us, actor, f"{intent.kind} bucket", changed)

        await self._store.change(work)

    def _authorize(self, transaction: Transaction, actor: Actor) -> int:
        """Check, inside the transaction of its change, that the actor may still make it; return now."""
        now_us = self._clock()
        if actor.token_id is None:
            return now_us
        token = transaction.token_by_id(actor.token_id)
        if token is None or token.status_at(now_us) is not TokenStatus.ACTIVE:
            raise InvalidTokenError
        if not any(
            secret.secret_id == actor.secret_id and secret.is_live(now_us)
            for secret in transaction.secrets(token.token_id)
        ):
            raise InvalidTokenError
        decision = FullAccess().decide(token)
        if not decision:
            raise PermissionDeniedError(decision.reason)
        return now_us


def new_token(
    name: str, draft: TokenDraft, now_us: int, created_by: str, *, is_provisioned: bool = False
) -> Token:
    """Make the token that a draft asks for, with an id of its own."""
    return Token(
        token_id=str(uuid.uuid4()),
        name=name,
        permissions=draft.permissions,
        created_at_us=now_us,
        updated_at_us=now_us,
        created_by=created_by,
        description=draft.description,
        role=draft.role,
        is_provisioned=is_provisioned,
        active=draft.active,
        valid_from_us=draft.valid_from_us,
        expires_at_us=draft.expires_at_us,
        ttl_seconds=draft.ttl_seconds,
        allowlist=draft.allowlist,
    )


def _changeable(transaction: Transaction, name: str, verb: str) -> Token:
    token = transaction.token_named(name)
    if token is None:
        raise TokenNotFoundError(name)
    if token.is_provisioned:
        raise ProvisionedTokenError(verb, name)
    return token


def _check_bucket(name: str) -> None:
    if BucketPattern(name).prefix is not None:
        raise InvalidInputError(f"'{name}' is a pattern, not a bucket's name")
