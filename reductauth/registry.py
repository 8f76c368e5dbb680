"""All the tokens, and every change to them.

Rules of this file: every change has an actor, who is looked up again inside the transaction; every change
that takes something away leaves a usable full-access token; nothing is told before it is kept.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from reductauth.actor import Actor
from reductauth.admission import Attempt
from reductauth.audit import AuditEntry, AuditQuery
from reductauth.authority import check_administrator, check_holder
from reductauth.buckets import BucketGrants, BucketNames
from reductauth.changes import TokenChange
from reductauth.clock import Clock
from reductauth.details import PeriodUsage, TokenDetails
from reductauth.draft import TokenDraft
from reductauth.edit import TokenEdit
from reductauth.errors import InvalidTokenError, TokenNotFoundError
from reductauth.explanation import Demand, Explanation, explain
from reductauth.key import RegistryKey
from reductauth.listing import TokenListing
from reductauth.periods import Span
from reductauth.query import Page
from reductauth.store import IntentKind, Snapshot, TokenStore, Transaction
from reductauth.token import Secret, Token
from reductauth.value import check_name, mint

__all__ = ["MAX_GRACE_SECONDS", "Minted", "TokenRegistry"]

MAX_GRACE_SECONDS = 30 * 86_400
"""How long an old value may work beside its successor: 30 days."""

_logger = logging.getLogger("reductauth.registry")


@dataclass(frozen=True, slots=True)
class Minted:
    """A new value: the only time that it can be read. `repr` does not show it.

    `previous_expires_at_us` is set where a rotation left the value before it a grace period.
    """

    value: str = field(repr=False)
    created_at_us: int
    previous_expires_at_us: int | None = None


class TokenRegistry:
    """Creates, edits, rotates, revokes, deletes and lists tokens, and keeps grants in step with the engine's buckets.

    `max_lifetime_seconds` caps how far ahead the expiry of what is created and edited here may lie.

    Methods that change something raise `PermissionDeniedError` or `InvalidTokenError` when the actor may not
    (any more), and `StoreUnavailableError` when the change could not be kept; then nothing of it remains.
    """

    def __init__(
        self,
        store: TokenStore,
        key: RegistryKey,
        clock: Clock,
        bucket_names: BucketNames | None = None,
        max_lifetime_seconds: int | None = None,
    ) -> None:
        self._store = store
        self._key = key
        self._clock = clock
        self._max_lifetime_seconds = max_lifetime_seconds
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

    async def audited(self, query: AuditQuery) -> Page[AuditEntry]:
        """What a query asks for of the books."""
        return await self._store.read(lambda snapshot: snapshot.audited(query))

    def _details(self, snapshot: Snapshot, token: Token | None) -> TokenDetails | None:
        return None if token is None else snapshot.details([token], self._clock())[0]

    async def explain(
        self, name: str, demand: Demand, address: str | None = None, at_us: int | None = None
    ) -> Explanation:
        """What a request with this token would get, from an address (None: unknown), now or at another time.

        Of its values the one that lives longest is tried. Raises as `token` does.
        """
        check_name(name)

        def work(snapshot: Snapshot) -> Explanation:
            token = snapshot.token_named(name)
            if token is None:
                raise TokenNotFoundError(name)
            now_us = self._clock() if at_us is None else at_us
            (details,) = snapshot.details([token], now_us)
            secret = max(details.secrets, key=_lifetime, default=None)
            suspended = [bucket for intent in snapshot.bucket_intents() for bucket in intent.suspended]
            return explain(Attempt(token.without_buckets(suspended), secret, address, now_us), demand)

        return await self._store.read(work)

    def check_enabled(self) -> None:
        """Do nothing: tokens can be made (see `reductauth.disabled`)."""

    async def create(self, actor: Actor, name: str, draft: TokenDraft) -> Minted:
        """Create a token. Raises `InvalidInputError`, `TokenExistsError`."""
        value = mint(check_name(name))
        digest = self._key.digest(value)

        def work(transaction: Transaction) -> Token:
            change = self._administration(transaction, actor)
            return change.create(name, draft, digest, self._max_lifetime_seconds)

        token = await self._store.change(work)
        _logger.info("token created name=%s by=%s", name, actor.name)
        return Minted(value, token.created_at_us)

    async def edit(self, actor: Actor, name: str, edit: TokenEdit) -> TokenDetails:
        """Change what the edit names, and return the token as it is then.

        Raises `InvalidInputError`, `TokenNotFoundError`, `ProvisionedTokenError`, `RevokedTokenError`,
        `LastAdministratorError`.
        """
        check_name(name)

        def work(transaction: Transaction) -> tuple[TokenDetails, bool]:
            change = self._administration(transaction, actor)
            token = change.token(name)
            edited = change.edit(token, edit, self._max_lifetime_seconds)
            return change.details(edited), edited is not token

        details, is_changed = await self._store.change(work)
        if is_changed:
            _logger.info("token edited name=%s by=%s", name, actor.name)
        return details

    async def rotate(self, actor: Actor, name: str, grace_seconds: int = 0) -> Minted:
        """Give a token a new value, and begin its idle time anew.

        The present value works on for `grace_seconds`, up to `MAX_GRACE_SECONDS`; every other one dies at once.
        Raises `InvalidInputError` for an expired token, `TokenNotFoundError`, `ProvisionedTokenError`,
        `RevokedTokenError`.
        """
        value = mint(check_name(name))
        digest = self._key.digest(value)

        def work(transaction: Transaction) -> tuple[Token, int | None]:
            change = self._administration(transaction, actor)
            return change.rotate(change.token(name), digest, grace_seconds)

        return await self._rotated(actor, value, work)

    async def rotate_own(self, actor: Actor, grace_seconds: int = 0) -> Minted:
        """Give the actor's own token a new value. See `rotate`."""
        value = mint(actor.name)
        digest = self._key.digest(value)

        def work(transaction: Transaction) -> tuple[Token, int | None]:
            now_us = self._clock()
            token = check_holder(transaction, actor, now_us)
            return TokenChange(transaction, actor, now_us).rotate(token, digest, grace_seconds)

        return await self._rotated(actor, value, work)

    async def revoke(self, actor: Actor, name: str) -> TokenDetails:
        """End a token for good and keep its record, which is returned; a second time changes nothing.

        Raises `TokenNotFoundError`, `ProvisionedTokenError`, `LastAdministratorError`.
        """
        check_name(name)

        def work(transaction: Transaction) -> tuple[TokenDetails, bool]:
            change = self._administration(transaction, actor)
            token = change.token(name)
            revoked = change.revoke(token)
            return change.details(revoked), revoked is not token

        details, is_changed = await self._store.change(work)
        if is_changed:
            _logger.info("token revoked name=%s by=%s", name, actor.name)
        return details

    async def revoke_own(self, actor: Actor) -> None:
        """End the actor's own token for good. See `revoke`."""

        def work(transaction: Transaction) -> None:
            now_us = self._clock()
            token = check_holder(transaction, actor, now_us)
            TokenChange(transaction, actor, now_us).revoke(token)

        await self._store.change(work)
        _logger.info("token revoked name=%s by=%s", actor.name, actor.name)

    async def delete(self, actor: Actor, name: str) -> None:
        """Forget a token. Raises `TokenNotFoundError`, `ProvisionedTokenError`, `LastAdministratorError`."""
        check_name(name)

        def work(transaction: Transaction) -> None:
            change = self._administration(transaction, actor)
            change.delete(change.token(name))

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

    def _administration(self, transaction: Transaction, actor: Actor) -> TokenChange:
        """Begin a change that only full access may make: the actor is checked again."""
        now_us = self._clock()
        check_administrator(transaction, actor, now_us)
        return TokenChange(transaction, actor, now_us)

    async def _rotated(
        self, actor: Actor, value: str, work: Callable[[Transaction], tuple[Token, int | None]]
    ) -> Minted:
        token, previous_expires_at_us = await self._store.change(work)
        _logger.info("token rotated name=%s by=%s", token.name, actor.name)
        return Minted(value, token.created_at_us, previous_expires_at_us)


def _lifetime(secret: Secret) -> float:
    return math.inf if secret.expires_at_us is None else secret.expires_at_us
