"""What each change does to a token, inside the transaction that keeps it.

Rules of this file: what may not be changed is said before what is wrong with the wish; a change that takes
something away leaves a usable full-access token; each one is written down.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from reductauth.actor import Actor
from reductauth.audit import AuditAction, Detail, change_of
from reductauth.details import TokenDetails
from reductauth.draft import TokenDraft, check_lifetime
from reductauth.edit import TokenEdit
from reductauth.errors import (
    FaultyTokenError,
    InvalidInputError,
    LastAdministratorError,
    ProvisionedTokenError,
    RevokedTokenError,
    TokenNotFoundError,
)
from reductauth.store import Transaction
from reductauth.times import rfc3339
from reductauth.token import Token

__all__ = ["TokenChange", "new_token"]

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenChange:
    """One actor's change at one moment. That the actor may make it was checked before, in the same transaction."""

    transaction: Transaction
    actor: Actor
    now_us: int

    def token(self, name: str) -> Token:
        """The token to be changed. Raises `TokenNotFoundError`."""
        token = self.transaction.token_named(name)
        if token is None:
            raise TokenNotFoundError(name)
        return token

    def create(self, name: str, draft: TokenDraft, digest: bytes, max_lifetime_seconds: int | None) -> Token:
        """Add a token with one value. Raises `InvalidInputError`, `TokenExistsError`."""
        draft.check(self.now_us)
        check_lifetime(draft, max_lifetime_seconds, self.now_us)
        token = new_token(name, draft, self.now_us, self.actor.name)
        self.transaction.add(self.now_us, self.actor, AuditAction.CREATE, token, [digest])
        return token

    def edit(self, token: Token, edit: TokenEdit, max_lifetime_seconds: int | None) -> Token:
        """Change what the edit names; one that changes nothing leaves no trace.

        Raises `ProvisionedTokenError`, `RevokedTokenError`, `FaultyTokenError`, `InvalidInputError`,
        `LastAdministratorError`.
        """
        _check_changeable(token, "change")
        _check_not_revoked(token)
        _check_genuine(token, "change")
        edited = edit.applied_to(token, self.now_us)
        if edited is token:
            return token
        if edited.expires_at_us != token.expires_at_us:
            check_lifetime(edited, max_lifetime_seconds, self.now_us)
        self.transaction.replace(edited)
        action = AuditAction.EDIT
        if edited.active != token.active:
            action = AuditAction.ACTIVATE if edited.active else AuditAction.DEACTIVATE
        self._audit(action, edited, change_of(token, edited))
        self._check_administrator_remains("deactivate" if edit.active is False else "change", token)
        return edited

    def rotate(self, token: Token, digest: bytes, grace_seconds: int) -> tuple[Token, int | None]:
        """Give a token one more value, and say until when the present one works beside it (None: no more).

        A value that is in its grace already ends at once. Raises `ProvisionedTokenError`, `RevokedTokenError`,
        `FaultyTokenError`, and `InvalidInputError` for an expired token.
        """
        _check_changeable(token, "rotate")
        _check_not_revoked(token)
        _check_genuine(token, "rotate")
        if token.is_past_expiry(self.now_us):
            raise InvalidInputError(f"Can't rotate expired token '{token.name}'")
        rotated = replace(token, created_at_us=self.now_us, updated_at_us=self.now_us)
        self.transaction.replace(rotated)
        previous_expires_at_us = None
        if grace_seconds:
            previous_expires_at_us = self.now_us + grace_seconds * _SECOND_US
            self.transaction.retire_secrets(token.token_id, previous_expires_at_us)
        else:
            self.transaction.remove_secrets(token.token_id)
        self.transaction.add_secret(token.token_id, digest, self.now_us)
        detail = change_of(token, rotated)
        if previous_expires_at_us is not None:
            detail["after"]["previous_expires_at"] = rfc3339(previous_expires_at_us)
        self._audit(AuditAction.ROTATE, rotated, detail)
        return rotated, previous_expires_at_us

    def revoke(self, token: Token) -> Token:
        """End a token and all its values for good, and keep its record; once it is revoked, do nothing.

        Raises `ProvisionedTokenError`, `LastAdministratorError`.
        """
        _check_changeable(token, "change")
        if token.revoked_at_us is not None and token.fault is None:
            return token
        # Whatever somebody has made of it authorizes nothing any more: the record is ours again.
        revoked = replace(token.revoked(self.now_us), fault=None)
        self.transaction.replace(revoked)
        self.transaction.remove_secrets(token.token_id)
        self._audit(AuditAction.REVOKE, revoked, change_of(token, revoked))
        self._check_administrator_remains("revoke", token)
        return revoked

    def delete(self, token: Token) -> None:
        """Forget a token. Raises `ProvisionedTokenError`, `LastAdministratorError`."""
        _check_changeable(token, "remove")
        self.transaction.remove(token.token_id)
        self._audit(AuditAction.DELETE, token, change_of(token, None))
        self._check_administrator_remains("remove", token)

    def details(self, token: Token) -> TokenDetails:
        """The token as the change leaves it, with its live values and its usage."""
        return self.transaction.details([token], self.now_us)[0]

    def _audit(self, action: AuditAction, token: Token, detail: Detail) -> None:
        self.transaction.audit(self.now_us, self.actor, action, token, detail)

    def _check_administrator_remains(self, verb: str, token: Token) -> None:
        if not self.transaction.has_usable_administrator(self.now_us):
            raise LastAdministratorError(verb, token.name)


def new_token(
    name: str, draft: TokenDraft, now_us: int, created_by: str, *, is_provisioned: bool = False
) -> Token:
    """Make the token that a draft asks for, with an id of its own."""
    return Token(
        token_id=_new_id(now_us),
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


def _new_id(now_us: int) -> str:
    """Make a UUID of version 7 (RFC 9562 §5.7): in the order of time, so new ones lie together in a large index."""
    time = f"{now_us // 1_000 % 2**48:012x}"
    random = secrets.token_hex(10)
    variant = "89ab"[int(random[3], 16) % 4]
    return f"{time[:8]}-{time[8:]}-7{random[:3]}-{variant}{random[4:7]}-{random[7:19]}"


def _check_changeable(token: Token, verb: str) -> None:
    if token.is_provisioned:
        raise ProvisionedTokenError(verb, token.name)


def _check_not_revoked(token: Token) -> None:
    if token.revoked_at_us is not None:
        raise RevokedTokenError(token.name)


def _check_genuine(token: Token, verb: str) -> None:
    if token.fault is not None:
        raise FaultyTokenError(verb, token.name, token.fault)
