"""Values that were looked up, and what was found, for as long as the generation says that it is still so.

Rule of this file: it is bounded, and nothing in it is trusted that something may have changed about since it was found.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

from reductauth.actor import Identity
from reductauth.store import Found

__all__ = ["MAX_AGE_US", "Memory", "Remembered"]

_SECOND_US = 1_000_000
MAX_AGE_US = 600 * _SECOND_US
"""How long a lookup is trusted: what something else than this module did to a record is noticed by then."""
_UNTRUSTED = -1


class Remembered:
    """A lookup that was made at `now_us`, and for whom and how long nothing else has to be looked at.

    From `good_from_us` up to `good_until_us` the value is good from the address of `identity`, who came last, and from
    any other unless the token has an allowlist. Of a token that has an allowlist or a ttl, or is good for nobody, that
    is not known before somebody was let in: the window is empty.
    """

    __slots__ = (
        "digest",
        "ends_at_us",
        "found",
        "generation",
        "good_from_us",
        "good_until_us",
        "identity",
        "last_access_us",
        "proof",
    )

    def __init__(
        self, proof: int, digest: bytes, found: Found, generation: int, address: str | None, now_us: int
    ) -> None:
        token = found.token
        self.proof = proof
        self.digest = digest
        self.found = found
        self.generation = generation
        self.ends_at_us = now_us + MAX_AGE_US
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
            self.ends_at_us,
            self.ends_at_us if ends_at_us is None else ends_at_us,
            self.ends_at_us if secret_ends_at_us is None else secret_ends_at_us,
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


class Memory:
    """At most `size` of them, each at its place; the oldest one makes room.

    One is true while `as_of` is the store's generation, if it is from `trusted_from` or later. One that is not true
    any more stays at its place until it is looked up again: an access that it knows of may not be flushed yet.
    """

    def __init__(self, size: int, generation: int) -> None:
        self._size = size
        # In a plain dict the oldest would be ever harder to find: behind those that were removed.
        self.entries: OrderedDict[int, Remembered] = OrderedDict()
        self._of_token: dict[str, tuple[Remembered, ...]] = {}
        self.as_of = self.trusted_from = generation

    def keep(self, place: int, remembered: Remembered) -> None:
        """Put one at its place."""
        if place in self.entries:
            self._unlink(self.entries[place])
        elif len(self.entries) >= self._size:
            self._unlink(self.entries.popitem(last=False)[1])
        self.entries[place] = remembered
        token_id = remembered.found.token.token_id
        self._of_token[token_id] = (*self._of_token.get(token_id, ()), remembered)

    def drop(self, place: int) -> None:
        """Forget what is at a place, if anything is."""
        remembered = self.entries.pop(place, None)
        if remembered is not None:
            self._unlink(remembered)

    def catch_up(self, generation: int, changed: Collection[str] | None) -> None:
        """Trust no token that changed up to a generation, by its id; None: none at all."""
        if generation <= self.as_of:
            return
        self.as_of = generation
        if changed is None:
            self.trusted_from = generation
            return
        for token_id in changed:
            for remembered in self._of_token.get(token_id, ()):
                remembered.generation = _UNTRUSTED

    def _unlink(self, remembered: Remembered) -> None:
        token_id = remembered.found.token.token_id
        all_of_it = self._of_token[token_id]
        if len(all_of_it) == 1:
            del self._of_token[token_id]
        else:
            self._of_token[token_id] = tuple(other for other in all_of_it if other is not remembered)
