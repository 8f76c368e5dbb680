"""A presented value -> the token it belongs to, or a refusal.

Rules of this file: what is remembered carries the generation that was noted *before* it was looked up, and is
dropped when the generation has moved; unknown values are never remembered, so nobody can push out what is in
use; a refusal is returned, not raised.
"""

from __future__ import annotations

from reductauth.actor import Identity
from reductauth.errors import (
    AddressError,
    AuthenticationError,
    ExpiredTokenError,
    InvalidTokenError,
)
from reductauth.key import RegistryKey
from reductauth.networks import parse_address
from reductauth.store import Found, TokenStore
from reductauth.token import Token, TokenStatus
from reductauth.value import MAX_VALUE_LENGTH, Shape, shape_of

__all__ = ["DEFAULT_CACHE_SIZE", "Authenticator"]

DEFAULT_CACHE_SIZE = 65_536
"""Values remembered at most; about 1 KB each."""

_NEVER_US = 2**63


class _Remembered:
    """A lookup that was made, and what of it can be decided by two comparisons.

    Between `good_from_us` and `good_until_us` the value is good, unless the token has an allowlist or a ttl:
    then the window is empty and the whole decision is made each time. `identity` is the last one that was
    returned: most clients come from one address.
    """

    __slots__ = ("found", "generation", "good_from_us", "good_until_us", "identity", "last_access_us")

    def __init__(self, found: Found, generation: int, address: str | None) -> None:
        token, secret = found.token, found.secret
        self.found = found
        self.generation = generation
        self.identity = Identity(token, secret.secret_id, address)
        self.last_access_us = token.last_access_us or 0
        if (
            token.allowlist
            or token.ttl_seconds is not None
            or not token.active
            or token.revoked_at_us is not None
        ):
            self.good_from_us = self.good_until_us = 0
        else:
            self.good_from_us = token.valid_from_us or 0
            self.good_until_us = min(
                _NEVER_US if token.expires_at_us is None else token.expires_at_us,
                _NEVER_US if secret.expires_at_us is None else secret.expires_at_us,
            )


class Authenticator:
    """A bounded memory of recent values in front of a store."""

    def __init__(self, store: TokenStore, key: RegistryKey, cache_size: int = DEFAULT_CACHE_SIZE) -> None:
        self._store = store
        self._generation = store.generation
        self._digest = key.digest
        self._cache_size = cache_size
        self._cache: dict[bytes, _Remembered] = {}

    def recall(self, value: str, address: str | None, now_us: int) -> Identity | None:
        """Return the caller if `value` is remembered, good at `now_us`, and was last presented from `address`.

        The short way for nearly every request: one digest, one lookup in memory, the generation, two times. None
        means no more than that `authenticate` has to decide.
        """
        if len(value) > MAX_VALUE_LENGTH:
            return None
        remembered = self._cache.get(self._digest(value))
        if (
            remembered is not None
            and remembered.generation == self._generation()
            and remembered.good_from_us <= now_us < remembered.good_until_us
            and remembered.identity.address == address
        ):
            return remembered.identity
        return None

    async def authenticate(
        self, value: str, address: str | None, now_us: int
    ) -> Identity | AuthenticationError:
        """Decide whether `value`, presented from `address` (None: unknown) at `now_us`, is a token's.

        Never suspends on a store that answers in place. Raises `StoreUnavailableError`.
        """
        if len(value) > MAX_VALUE_LENGTH or shape_of(value) is Shape.MISTYPED:
            return InvalidTokenError()
        digest = self._digest(value)
        generation = self._generation()
        remembered = self._cache.get(digest)
        if remembered is None or remembered.generation != generation:
            remembered = await self._look_up(digest, generation, address)
            if remembered is None:
                return InvalidTokenError()
        if remembered.good_from_us <= now_us < remembered.good_until_us:
            identity = remembered.identity
            if identity.address != address:
                identity = remembered.identity = Identity(identity.token, identity.secret_id, address)
            return identity
        return await self._decide(digest, remembered, address, now_us)

    async def _look_up(self, digest: bytes, generation: int, address: str | None) -> _Remembered | None:
        previous = self._cache.get(digest)
        found = await self._store.find(digest)
        if found is None:
            self._cache.pop(digest, None)
            return None
        remembered = _Remembered(found, generation, address)
        if previous is not None:  # it may not be flushed yet
            remembered.last_access_us = max(remembered.last_access_us, previous.last_access_us)
        if generation % 2 == 0:
            cache = self._cache
            if len(cache) >= self._cache_size and digest not in cache:
                del cache[next(iter(cache))]
            cache[digest] = remembered
        return remembered

    async def _decide(
        self, digest: bytes, remembered: _Remembered, address: str | None, now_us: int
    ) -> Identity | AuthenticationError:
        token = remembered.found.token.accessed(remembered.last_access_us, None)
        if token.is_idle(now_us):
            # Another process may have seen it in the meantime, and a usage flush does not move the generation.
            fresh = await self._store.find(digest)
            if fresh is None:
                return InvalidTokenError()
            token = fresh.token
        refusal = _refusal(token, remembered.found, address, now_us)
        if refusal is not None:
            return refusal
        remembered.last_access_us = now_us
        return Identity(token, remembered.found.secret.secret_id, address)


def _refusal(token: Token, found: Found, address: str | None, now_us: int) -> AuthenticationError | None:
    """What keeps a known value out, or None. Strangers are not told why a token of ours does not work."""
    status = token.status_at(now_us)
    if status is TokenStatus.EXPIRED:
        return ExpiredTokenError()
    if status is not TokenStatus.ACTIVE or not found.secret.is_live(now_us):
        return InvalidTokenError()
    if token.allowlist:
        parsed = None if address is None else parse_address(address)
        if parsed is None or not token.allowlist.contains(parsed):
            return AddressError(None if parsed is None else str(parsed))
    return None
