"""Makes links, and finds out who comes with one.

Rule of this file: a link is worth what its token is worth when it is used. The store is asked each time, so what was
taken away from the token is refused from the answer on, in every process; and the checks are the ones for a value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from reductauth.actor import Identity
from reductauth.admission import Attempt, failed_check
from reductauth.disabled import EVERYBODY
from reductauth.errors import (
    ExpiredLinkError,
    InvalidTokenError,
    PermissionDeniedError,
    StaleValueError,
    TokenNotFoundError,
)
from reductauth.key import RegistryKey
from reductauth.link import Link, LinkSigner
from reductauth.permissions import Action, Permissions
from reductauth.policy import BucketAccess, Decision, Denied
from reductauth.store import FoundById, TokenStore
from reductauth.token import Secret

__all__ = ["LinkBearer", "Links", "OpenLinks", "TokenLinks"]


@dataclass(frozen=True, slots=True)
class LinkBearer:
    """Somebody who came with a good link. `identity` has the token that made it, as it is now."""

    link: Link
    identity: Identity

    def decide(self, action: Action) -> Decision:
        """Whether link and token let them do `action` to the link's bucket."""
        link = self.link
        if link.action != action:
            return Denied(f"Link doesn't have {action} access to bucket '{link.bucket}'")
        return BucketAccess(link.action, link.bucket).decide(self.identity.token)

    def narrowed(self) -> Identity:
        """The identity with what the link is for as the only permission, whatever else the token may do."""
        granted = [self.link.bucket]
        permissions = Permissions.kept(
            full_access=False,
            read=granted if self.link.action is Action.READ else (),
            write=granted if self.link.action is Action.WRITE else (),
        )
        return replace(self.identity, token=replace(self.identity.token, permissions=permissions))


class Links(Protocol):
    """What makes links and takes them."""

    async def make(
        self, identity: Identity, access: BucketAccess, expires_at_us: int, payload: bytes = b""
    ) -> str:
        """Make a link in the name of `identity`, good for `access` until `expires_at_us`, which may be past.

        Raises `PermissionDeniedError` if the token may not do that itself, `StaleValueError` if it was rotated and
        presented an older value, `InvalidTokenError` if it has ended, and `InvalidInputError` as `LinkSigner.sign`.
        """
        ...

    async def follow(self, text: str, address: str | None, now_us: int) -> LinkBearer:
        """Find out who comes from `address` with this link. The permission is not decided yet.

        Raises `InvalidLinkError`, `ExpiredLinkError`, `TokenNotFoundError`, and whatever refuses the token's value.
        """
        ...


class TokenLinks:
    """Links of a registry's tokens. See `Links`.

    A link dies with the value that it was made with: rotation kills it, with a period of grace or without. The idle
    time of a token that has a ttl is the one that is written down: a quarter of the ttl late, or 5 seconds.
    """

    def __init__(self, store: TokenStore, key: RegistryKey) -> None:
        self._store = store
        self._signer = LinkSigner(key)

    async def make(
        self, identity: Identity, access: BucketAccess, expires_at_us: int, payload: bytes = b""
    ) -> str:
        """Make a link."""
        token = identity.token
        decision = access.decide(token)
        if not decision:
            raise PermissionDeniedError(decision.reason)
        found = await self._store.find_by_id(token.token_id)
        if found is None or found.newest is None:
            raise InvalidTokenError
        if found.newest.secret_id != identity.secret_id:
            raise StaleValueError(token.name)
        return self._signer.sign(
            Link(
                *(token.token_id, token.name, identity.secret_id, found.token.created_at_us),
                *(access.action, access.bucket, expires_at_us, payload),
            )
        )

    async def follow(self, text: str, address: str | None, now_us: int) -> LinkBearer:
        """Find out who comes with a link."""
        link = _opened(self._signer, text, now_us)
        found = await self._store.find_by_id(link.token_id)
        if found is None:
            raise TokenNotFoundError(link.token_name)
        attempt = Attempt(found.token, _secret_of(link, found), address, now_us)
        failed = failed_check(attempt)
        if failed is not None:
            raise failed.refusal(attempt)
        return LinkBearer(link, Identity(found.token, link.secret_id, address))


class OpenLinks:
    """Links while authentication is off: everybody makes them, and they die with this process. See `Links`."""

    def __init__(self) -> None:
        self._signer = LinkSigner(RegistryKey.generate())

    async def make(
        self, identity: Identity, access: BucketAccess, expires_at_us: int, payload: bytes = b""
    ) -> str:
        """Make a link."""
        token = identity.token
        return self._signer.sign(
            Link(
                *(token.token_id, token.name, identity.secret_id, token.created_at_us),
                *(access.action, access.bucket, expires_at_us, payload),
            )
        )

    async def follow(self, text: str, address: str | None, now_us: int) -> LinkBearer:  # noqa: ARG002
        """Open a link; everybody may use it."""
        return LinkBearer(_opened(self._signer, text, now_us), EVERYBODY)


def _secret_of(link: Link, found: FoundById) -> Secret | None:
    """The value that a link was made with, if it still is its token's newest."""
    newest = found.newest
    if (
        newest is not None
        and newest.secret_id == link.secret_id
        and found.token.created_at_us == link.token_created_at_us
    ):
        return newest
    return None


def _opened(signer: LinkSigner, text: str, now_us: int) -> Link:
    """Open a link that has not expired. Raises `InvalidLinkError`, `ExpiredLinkError`."""
    link = signer.open(text)
    if now_us >= link.expires_at_us:
        raise ExpiredLinkError
    return link
