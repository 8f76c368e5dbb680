"""A presented value -> the token it belongs to, or a refusal.

Rules of this file: what is remembered carries the generation that was noted *before* it was looked up, and is
dropped when the generation has moved; unknown values are never remembered, so nobody can push out what is in
use; a refusal is returned, not raised.

A value is not kept, and its digest is made once, when it is looked up. What is remembered is known again by two
64-bit hashes of the header that presented it, its place and its proof: Python's SipHash, under a key that is random in
every process and, for the proof, behind a random salt as well. Whoever does not know the value knows neither, and has
to guess 128 bits, with a request for each guess. A digest costs several times as much and would add nothing to that.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence

from reductauth.actor import Identity
from reductauth.admission import Attempt, failed_check
from reductauth.errors import AuthenticationError, InvalidTokenError
from reductauth.key import RegistryKey
from reductauth.networks import plain_address
from reductauth.store import Found, TokenStore
from reductauth.value import MAX_VALUE_LENGTH, Shape, shape_of

__all__ = ["DEFAULT_CACHE_SIZE", "Authenticator"]

DEFAULT_CACHE_SIZE = 65_536
"""Values remembered at most; about 1 KB each."""

_NEVER_US = 2**63
_SECOND_US = 1_000_000
_SALT_BYTES = 32
_SCHEME = "Bearer "
_MISTYPED = Shape.MISTYPED
_REFUSED = InvalidTokenError()  # one for all: it is returned, and never raised


class _Remembered:
    """A lookup that was made, and for whom and how long nothing else has to be looked at.

    From `good_from_us` up to `good_until_us` the value is good from the address of `identity`, who came last, and from
    any other unless the token has an allowlist. Of a token that has an allowlist or a ttl, or is good for nobody, that
    is not known before somebody was let in: the window is empty.
    """

    __slots__ = (
        "digest",
        "found",
        "generation",
        "good_from_us",
        "good_until_us",
        "identity",
        "last_access_us",
        "proof",
    )

    def __init__(self, proof: int, digest: bytes, found: Found, generation: int, address: str | None) -> None:
        token = found.token
        self.proof = proof
        self.digest = digest
        self.found = found
        self.generation = generation
        self.identity = Identity(token, found.secret.secret_id, address)
        self.last_access_us = token.last_access_us or 0
        if (
            token.allowlist
            or token.ttl_seconds is not None
            or not token.active
            or token.revoked_at_us is not None
            or token.fault is not None
        ):
            self.good_from_us = self.good_until_us = 0
        else:
            self._open(found)

    def _open(self, found: Found) -> None:
        ends_at_us, secret_ends_at_us = found.token.expires_at_us, found.secret.expires_at_us
        self.good_from_us = found.token.valid_from_us or 0
        self.good_until_us = min(
            _NEVER_US if ends_at_us is None else ends_at_us,
            _NEVER_US if secret_ends_at_us is None else secret_ends_at_us,
        )

    def let_in(self, found: Found, address: str | None, now_us: int) -> Identity:
        """Take note that `found` passes every check at `now_us`, from this address."""
        ttl_seconds = found.token.ttl_seconds
        self._open(found)
        if ttl_seconds is not None:  # idle when the whole seconds without use are more than that
            self.good_until_us = min(self.good_until_us, now_us + (ttl_seconds + 1) * _SECOND_US)
        self.last_access_us = now_us
        self.identity = Identity(found.token, found.secret.secret_id, address)
        return self.identity


class Authenticator:
    """A bounded memory of recent values in front of a store."""

    def __init__(self, store: TokenStore, key: RegistryKey, cache_size: int = DEFAULT_CACHE_SIZE) -> None:
        self._store = store
        self._generation = store.generation
        self._digest = key.digest
        self._cache_size = cache_size
        # The oldest one makes room. In a plain dict it would be ever harder to find: behind those that were removed.
        self._cache: OrderedDict[int, _Remembered] = OrderedDict()
        self._salt = secrets.token_hex(_SALT_BYTES)
        self.hits = 0
        """Values that were remembered, and still true."""
        self.misses = 0
        """Values that the store was asked for."""

    @property
    def cached_values(self) -> int:
        """How many values are remembered."""
        return len(self._cache)

    def recall(self, lines: Sequence[str], peer: str | None, now_us: int) -> Identity | None:
        """Return the caller if a request's `Authorization` `lines` are one that was good before and is at `now_us`.

        And if it came from the same address: `peer` is the socket's. The short way for nearly every request: one
        lookup in memory, the generation, two times. None means no more than that `authenticate` has to decide.
        """
        if len(lines) != 1:
            return None
        (line,) = lines
        remembered = self._cache.get(hash(line))
        if (
            remembered is None
            or remembered.proof != hash(self._salt + line)
            or remembered.generation != self._generation()
            or not remembered.good_from_us <= now_us < remembered.good_until_us
        ):
            return None
        identity = remembered.identity
        if identity.address != peer and (peer is None or identity.address != plain_address(peer)):
            return None
        self.hits += 1
        remembered.last_access_us = now_us
        return identity

    def refuse_mistyped(self, lines: Sequence[str]) -> InvalidTokenError | None:
        """Refuse a line whose value's checksum is wrong: the short way for typos and random guesses."""
        if len(lines) != 1 or not lines[0].startswith(_SCHEME):
            return None
        value = lines[0][len(_SCHEME) :].lstrip(" ")  # RFC 9110 §11.4: one space or more
        return _REFUSED if shape_of(value) is _MISTYPED else None

    async def authenticate(
        self, value: str, address: str | None, now_us: int
    ) -> Identity | AuthenticationError:
        """Decide whether `value`, presented from `address` (None: unknown) at `now_us`, is a token's.

        Never suspends on a store that answers in place. Raises `StoreUnavailableError`.
        """
        if len(value) > MAX_VALUE_LENGTH or shape_of(value) is _MISTYPED:
            return InvalidTokenError()
        generation = self._generation()
        header = _SCHEME + value  # in whichever way it came: what is remembered of a value is one thing
        place, proof = hash(header), hash(self._salt + header)
        remembered = self._cache.get(place)
        if remembered is None or remembered.generation != generation or remembered.proof != proof:
            self.misses += 1
            remembered = await self._look_up(value, address, place, proof, generation)
            if remembered is None:
                return InvalidTokenError()
        else:
            self.hits += 1
        identity = remembered.identity
        is_known = identity.address == address
        if (is_known or not identity.token.allowlist) and (
            remembered.good_from_us <= now_us < remembered.good_until_us
        ):
            if not is_known:
                identity = remembered.identity = Identity(identity.token, identity.secret_id, address)
            remembered.last_access_us = now_us
            return identity
        return await self._decide(remembered, address, now_us)

    async def _look_up(
        self, value: str, address: str | None, place: int, proof: int, generation: int
    ) -> _Remembered | None:
        cache = self._cache
        previous = cache.get(place)
        digest = self._digest(value)
        found = await self._store.find(digest)
        if found is None:
            cache.pop(place, None)
            return None
        remembered = _Remembered(proof, digest, found, generation, address)
        if previous is not None and previous.proof == proof:  # it may not be flushed yet
            remembered.last_access_us = max(remembered.last_access_us, previous.last_access_us)
        if generation % 2 == 0:
            if len(cache) >= self._cache_size and place not in cache:
                cache.popitem(last=False)
            cache[place] = remembered
        return remembered

    async def _decide(
        self, remembered: _Remembered, address: str | None, now_us: int
    ) -> Identity | AuthenticationError:
        found = remembered.found
        token = found.token
        if token.ttl_seconds is not None:
            token = token.accessed(remembered.last_access_us, None)
            if token.is_idle(now_us):
                # Another process may have seen it in the meantime, and a usage flush does not move the generation.
                fresh = await self._store.find(remembered.digest)
                if fresh is None:
                    return InvalidTokenError()
                found, token = fresh, fresh.token
        attempt = Attempt(token, found.secret, address, now_us)
        failed = failed_check(attempt)
        if failed is not None:
            return failed.refusal(attempt)
        return remembered.let_in(found, address, now_us)
