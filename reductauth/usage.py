"""Counts what tokens are used for: in memory on the request, flushed to the store in batches.

What a crash may lose is what came after the last flush.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache, partial
from operator import itemgetter

from reductauth.actor import Identity
from reductauth.errors import StoreUnavailableError
from reductauth.periods import day_of
from reductauth.store import TokenStore, Transaction, UsageDelta

__all__ = ["FLUSH_INTERVAL_SECONDS", "UsageKind", "UsageMeter"]

FLUSH_INTERVAL_SECONDS = 5.0

_SECOND_US = 1_000_000
_MAX_HURRIED = 65_536
_BATCH = 500
"""Values in a transaction of a flush: other changes come in between."""
_DAY_US = 86_400 * _SECOND_US
_logger = logging.getLogger("reductauth.usage")


class UsageKind(IntEnum):
    """What a request counts as."""

    READ = 0
    WRITE = 1
    ADMIN = 2
    DENIED = 3


class _Tally:
    """What one value was used for on one day."""

    __slots__ = ("address", "counts", "day_ends_us", "day_starts_us", "last_access_us", "token_id")

    def __init__(self, token_id: str, now_us: int) -> None:
        self.token_id = token_id
        self.day_starts_us = now_us // _DAY_US * _DAY_US
        self.day_ends_us = self.day_starts_us + _DAY_US
        self.counts = [0, 0, 0, 0]
        self.last_access_us = 0
        self.address: str | None = None

    def add(self, other: _Tally) -> None:
        """Add what the same value was used for on the same day."""
        self.counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        if other.last_access_us > self.last_access_us:
            self.last_access_us, self.address = other.last_access_us, other.address

    def delta(self, secret_id: int) -> UsageDelta:
        read, write, admin, denied = self.counts
        return UsageDelta(
            *(self.token_id, secret_id, _day_of(self.day_starts_us), read, write, admin, denied),
            *(self.last_access_us or None, self.address),
        )


class UsageMeter:
    """Collects, and hands over to the store."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store
        self._tallies: dict[int, _Tally] = {}
        self._closed: list[tuple[int, _Tally]] = []
        self._totals = [0, 0, 0, 0]
        self._hurried_at_us: dict[int, int] = {}
        self._urgent = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Flush every `FLUSH_INTERVAL_SECONDS`, and sooner where idle times are measured; until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), FLUSH_INTERVAL_SECONDS)
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next flush may be better
                _logger.error("usage not flushed error=%s", error)  # noqa: TRY400 - one line

    def count(self, identity: Identity, kind: UsageKind, now_us: int) -> None:
        """Count one request. No I/O."""
        secret_id = identity.secret_id
        tally = self._tallies.get(secret_id)
        if tally is None or not tally.day_starts_us <= now_us < tally.day_ends_us:
            tally = self._begun(identity, now_us)
        tally.counts[kind] += 1
        self._totals[kind] += 1
        tally.last_access_us = now_us
        tally.address = identity.address
        if identity.ttl_seconds is not None:
            self._hurry(secret_id, identity.ttl_seconds, now_us)

    def count_by_link(self, identity: Identity, kind: UsageKind, now_us: int) -> None:
        """Count one request that a link of this value let in. No I/O.

        It is no access: a link that is asked for every minute would keep a token that nobody uses from being idle.
        """
        tally = self._tallies.get(identity.secret_id)
        if tally is None or not tally.day_starts_us <= now_us < tally.day_ends_us:
            tally = self._begun(identity, now_us)
        tally.counts[kind] += 1
        self._totals[kind] += 1

    def _begun(self, identity: Identity, now_us: int) -> _Tally:
        """A tally of this day, in place of the one that there was."""
        secret_id = identity.secret_id
        tally = self._tallies.get(secret_id)
        if tally is not None:
            self._closed.append((secret_id, tally))
        tally = self._tallies[secret_id] = _Tally(identity.token.token_id, now_us)
        return tally

    def totals(self) -> dict[UsageKind, int]:
        """All requests that were counted, whether they are flushed or not."""
        return {kind: self._totals[kind] for kind in UsageKind}

    def _hurry(self, secret_id: int, ttl_seconds: int, now_us: int) -> None:
        """Have what other processes know of an idle time be at most a quarter of the ttl behind."""
        patience_us = round(min(FLUSH_INTERVAL_SECONDS, ttl_seconds / 4) * _SECOND_US)
        left_us = self._hurried_at_us.get(secret_id, 0) + patience_us - now_us
        if left_us <= 0:
            self._hurried_at_us[secret_id] = now_us
            self._urgent.set()
        elif self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(left_us / _SECOND_US, self._urgent.set)

    async def flush(self) -> None:
        """Hand over what was counted. What can't be kept now waits for the next flush.

        However many values were used: no step keeps the event loop, or a change of a token, waiting for long.
        """
        self._urgent.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._closed.extend(self._tallies.items())
        self._tallies = {}
        if len(self._hurried_at_us) > _MAX_HURRIED:
            self._hurried_at_us.clear()  # at worst some are flushed sooner than they must be
        self._closed.sort(key=itemgetter(0))  # what lies together on the disk is written together
        while self._closed:
            batch, self._closed = _summed(self._closed[-_BATCH:]), self._closed[:-_BATCH]
            deltas = [tally.delta(secret_id) for secret_id, tally in batch]
            try:
                await self._store.change(partial(_add_usage, deltas=deltas))
            except StoreUnavailableError:
                self._closed = _summed(self._closed + batch)
                _logger.warning("usage not flushed values=%d; it waits for the next flush", len(self._closed))
                return


def _add_usage(transaction: Transaction, deltas: list[UsageDelta]) -> None:
    transaction.add_usage(deltas)


def _summed(closed: Iterable[tuple[int, _Tally]]) -> list[tuple[int, _Tally]]:
    """One for each value and day, so that what waits for a store that is out of order stays small."""
    summed: dict[tuple[int, int], _Tally] = {}
    for secret_id, tally in closed:
        known = summed.setdefault((secret_id, tally.day_starts_us), tally)
        if known is not tally:
            known.add(tally)
    return [(secret_id, tally) for (secret_id, _), tally in summed.items()]


@lru_cache(maxsize=4)
def _day_of(time_us: int) -> str:
    return day_of(time_us)
