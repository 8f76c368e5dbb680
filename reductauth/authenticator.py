"""A presented value -> the token it belongs to, or a refusal.

Rules of this file: what is remembered carries the generation that was noted *before* it was looked up; when the
generation has moved, nothing is let in from memory before what changed is known; unknown values are never remembered,
so nobody can push out what is in use; a refusal is returned, not raised.

A value is not kept, and its digest is made once, when it is looked up. What is remembered is known again by two
64-bit hashes of the header that presented it, its place and its proof: Python's SipHash, under a key that is random in
every process and, for the proof, behind a random salt as well. Whoever does not know the value knows neither, and has
to guess 128 bits, with a request for each guess. A digest costs several times as much and would add nothing to that.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from reductauth.actor import Identity
from reductauth.admission import Attempt, failed_check
from reductauth.errors import AuthenticationError, InvalidTokenError
from reductauth.key import RegistryKey
from reductauth.memory import Memory, Remembered
from reductauth.networks import plain_address
from reductauth.store import TokenStore
from reductauth.value import MAX_VALUE_LENGTH, Shape, shape_of

__all__ = ["DEFAULT_CACHE_SIZE", "Authenticator"]

DEFAULT_CACHE_SIZE = 65_536
"""Values remembered at most; about 1 KB each."""

_SALT_BYTES = 32
_SCHEME = "Bearer "
_MISTYPED = Shape.MISTYPED
_REFUSED = InvalidTokenError()  # one for all: it is returned, and never raised


class Authenticator:
    """A bounded memory of recent values in front of a store."""

    def __init__(self, store: TokenStore, key: RegistryKey, cache_size: int = DEFAULT_CACHE_SIZE) -> None:
        self._store = store
        self._generation = store.generation
        self._digest = key.digest
        self._memory = Memory(cache_size, store.generation() // 2 * 2)
        self._salt = secrets.token_hex(_SALT_BYTES)
        self.hits = 0
        """Values that were remembered, and still true."""
        self.misses = 0
        """Values that the store was asked for."""

    @property
    def cached_values(self) -> int:
        """How many values are remembered."""
        return len(self._memory.entries)

    def recall(self, lines: Sequence[str], peer: str | None, now_us: int) -> Identity | None:
        """Return the caller if a request's `Authorization` `lines` are one that was good before and is at `now_us`.

        And if it came from the same address: `peer` is the socket's. The short way for nearly every request: one
        lookup in memory, the generation, two times. None means no more than that `authenticate` has to decide.
        """
        if len(lines) != 1:
            return None
        (line,) = lines
        memory = self._memory
        remembered = memory.entries.get(hash(line))
        if (
            remembered is None
            or remembered.proof != hash(self._salt + line)
            or memory.as_of != self._generation()
            or remembered.generation < memory.trusted_from
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
        memory = self._memory
        generation = self._generation()
        if memory.as_of != generation and generation % 2 == 0:
            memory.catch_up(generation, await self._store.changed_between(memory.as_of, generation))
        header = _SCHEME + value  # in whichever way it came: what is remembered of a value is one thing
        remembered = memory.entries.get(hash(header))
        if (
            remembered is None
            or remembered.proof != hash(self._salt + header)
            or memory.as_of != generation
            or remembered.generation < memory.trusted_from
            or now_us >= remembered.ends_at_us
        ):
            self.misses += 1
            remembered = await self._look_up(value, header, address, now_us, generation)
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
        self, value: str, header: str, address: str | None, now_us: int, generation: int
    ) -> Remembered | None:
        memory = self._memory
        place = hash(header)
        previous = memory.entries.get(place)
        digest = self._digest(value)
        found = await self._store.find(digest)
        if found is None:
            memory.drop(place)
            return None
        proof = hash(self._salt + header)
        remembered = Remembered(proof, digest, found, generation, address, now_us)
        if previous is not None and previous.proof == proof:  # it may not be flushed yet
            remembered.last_access_us = max(remembered.last_access_us, previous.last_access_us)
        if memory.as_of == generation:  # and it was even: no change is under way, and none came in between
            memory.keep(place, remembered)
        return remembered

    async def _decide(
        self, remembered: Remembered, address: str | None, now_us: int
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
