"""Authentication switched off: an explicit object that lets everybody in and refuses to issue tokens."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from reductauth.actor import Actor, Identity
from reductauth.audit import AuditEntry, AuditQuery
from reductauth.details import PeriodUsage, TokenDetails
from reductauth.draft import TokenDraft
from reductauth.edit import TokenEdit
from reductauth.errors import AuthenticationOffError
from reductauth.explanation import Demand, Explanation
from reductauth.listing import EmptyListing
from reductauth.periods import Span
from reductauth.permissions import Permissions
from reductauth.query import Page
from reductauth.registry import Minted
from reductauth.token import Token

__all__ = ["EVERYBODY", "DisabledRegistry"]

EVERYBODY = Identity(
    Token(
        token_id="00000000-0000-0000-0000-000000000000",  # noqa: S106 - an id, not a secret
        name="AUTHENTICATION-DISABLED",
        permissions=Permissions(full_access=True),
        created_at_us=0,
        updated_at_us=0,
    ),
    secret_id=0,
)
"""Who everybody is while authentication is off."""


class DisabledRegistry:
    """Stands where a `TokenRegistry` would: no tokens, and none can be made."""

    def __init__(self) -> None:
        self.listing = EmptyListing()

    async def tokens(self) -> list[Token]:
        """No tokens."""
        return []

    async def token(self, name: str) -> Token:
        """Raise `AuthenticationOffError`."""
        raise AuthenticationOffError

    async def token_by_id(self, token_id: str) -> Token:
        """Everybody's token."""
        return EVERYBODY.token

    async def details(self, name: str) -> TokenDetails:
        """Raise `AuthenticationOffError`."""
        raise AuthenticationOffError

    async def usage(self, name: str, span: Span) -> tuple[Token, list[PeriodUsage]]:
        """Raise `AuthenticationOffError`."""
        raise AuthenticationOffError

    async def details_by_id(self, token_id: str) -> TokenDetails:
        """Everybody's token, which has no values and of which nothing is counted."""
        return TokenDetails(EVERYBODY.token)

    async def audited(self, query: AuditQuery) -> Page[AuditEntry]:
        """Raise `AuthenticationOffError`."""
        raise AuthenticationOffError

    async def explain(
        self, name: str, demand: Demand, address: str | None = None, at_us: int | None = None
    ) -> Explanation:
        """Raise `AuthenticationOffError`."""
        raise AuthenticationOffError

    def check_enabled(self) -> None:
        """Raise `AuthenticationOffError`."""
        raise AuthenticationOffError

    async def create(self, actor: Actor, name: str, draft: TokenDraft) -> Minted:
        """Raise `AuthenticationOffError`."""
        raise AuthenticationOffError

    async def edit(self, actor: Actor, name: str, edit: TokenEdit) -> TokenDetails:
        """Raise `AuthenticationOffError`."""
        raise AuthenticationOffError

    async def rotate(self, actor: Actor, name: str, grace_seconds: int = 0) -> Minted:
        """Raise `AuthenticationOffError`."""
        raise AuthenticationOffError

    async def rotate_own(self, actor: Actor, grace_seconds: int = 0) -> Minted:
        """Raise `AuthenticationOffError`."""
        raise AuthenticationOffError

    async def revoke(self, actor: Actor, name: str) -> TokenDetails:
        """Raise `AuthenticationOffError`."""
        raise AuthenticationOffError

    async def revoke_own(self, actor: Actor) -> None:
        """Raise `AuthenticationOffError`."""
        raise AuthenticationOffError

    async def delete(self, actor: Actor, name: str) -> None:
        """Do nothing: what is not there can't be asked to leave."""

    @contextlib.asynccontextmanager
    async def renaming_bucket(self, actor: Actor, bucket: str, new_bucket: str) -> AsyncIterator[None]:
        """Let the engine rename; there are no grants to follow."""
        yield

    @contextlib.asynccontextmanager
    async def removing_bucket(self, actor: Actor, bucket: str) -> AsyncIterator[None]:
        """Let the engine remove; there are no grants to end."""
        yield

    async def check_bucket_settled(self, bucket: str) -> None:
        """Let the engine create."""
