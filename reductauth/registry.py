"""All the tokens, and every change to them.

Rules of this file: every change has an actor, who is looked up again inside the transaction; every change
that takes something away leaves a usable full-access token; nothing is told before it is kept.
"""

from __future__ import annotations

import logging
import uuid
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from reductauth.actor import Actor
from reductauth.authority import check_administrator
from reductauth.buckets import BucketGrants, BucketNames
from reductauth.clock import Clock
from reductauth.details import PeriodUsage, TokenDetails
from reductauth.draft import TokenDraft
from reductauth.errors import (
    InvalidInputError,
    InvalidTokenError,
    LastAdministratorError,
    ProvisionedTokenError,
    RevokedTokenError,
    TokenExistsError,
    TokenNotFoundError,
)
from reductauth.key import RegistryKey
from reductauth.listing import TokenListing
from reductauth.periods import Span
from reductauth.store import IntentKind, Snapshot, TokenStore, Transaction
from reductauth.token import Token
from reductauth.value import check_name, mint

__all__ = ["Minted", "TokenRegistry", "new_token"]

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
        self._buckets = BucketGrants(store, clock, bucket_names)
        self.listing = TokenListing(store, clock)
        """Tokens, many at a time."""

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

    async def token_by_id(self, token_id: str) -> Token:
        """The token with this id. Raises `InvalidTokenError` if it is gone: its holder is nobody any more."""
        found = await self._store.read(lambda snapshot: snapshot.token_by_id(token_id))
        if found is None:
            raise InvalidTokenError
        return found

    async def details(self, name: str) -> TokenDetails:
        """The token with this name, its live values and its usage. Raises as `token` does."""
        check_name(name)
        found = await self._store.read(lambda snapshot: self._details(snapshot, snapshot.token_named(name)))
        if found is None:
            raise TokenNotFoundError(name)
        return found

    async def details_by_id(self, token_id: str) -> TokenDetails:
        """The token with this id, its live values and its usage. Raises as `token_by_id` does."""
        found = await self._store.read(
            lambda snapshot: self._details(snapshot, snapshot.token_by_id(token_id))
        )
        if found is None:
            raise InvalidTokenError
        return found

    async def usage(self, name: str, span: Span) -> tuple[Token, list[PeriodUsage]]:
        """What the token with this name was used for, by period, oldest first. Raises as `token` does."""
        check_name(name)

        def work(snapshot: Snapshot) -> tuple[Token, list[PeriodUsage]]:
            token = snapshot.token_named(name)
            if token is None:
                raise TokenNotFoundError(name)
            return token, snapshot.usage(token.token_id, span)

        return await self._store.read(work)

    def _details(self, snapshot: Snapshot, token: Token | None) -> TokenDetails | None:
        return None if token is None else snapshot.details([token], self._clock())[0]

    def check_enabled(self) -> None:
        """Do nothing: tokens can be made (see `reductauth.disabled`)."""

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

    def renaming_bucket(
        self, actor: Actor, bucket: str, new_bucket: str
    ) -> AbstractAsyncContextManager[None]:
        """Rename a bucket in the engine inside this block; exact grants on it follow when the block is left.

        If the block raises, grants are as before. See `reductauth.buckets` for what a crash in between does.
        Raises `InvalidInputError` for a name that no grant can have, `BucketBusyError`.
        """
        return self._buckets.changing(actor, IntentKind.RENAME, bucket, new_bucket)

    def removing_bucket(self, actor: Actor, bucket: str) -> AbstractAsyncContextManager[None]:
        """Remove a bucket in the engine inside this block; exact grants on it end when the block is left.

        Raises `InvalidInputError` for a name that no grant can have, `BucketBusyError`.
        """
        return self._buckets.changing(actor, IntentKind.REMOVE, bucket)

    async def check_bucket_settled(self, bucket: str) -> None:
        """Ask before a bucket is created: raise `BucketBusyError` while one of this name is renamed or removed."""
        await self._buckets.check_settled(bucket)

    async def settle_bucket_intents(self) -> None:
        """Finish, at the start, what a process that died had begun with a bucket."""
        await self._buckets.settle()

    def _authorize(self, transaction: Transaction, actor: Actor) -> int:
        """Check the actor again, inside the transaction; return now."""
        now_us = self._clock()
        check_administrator(transaction, actor, now_us)
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
