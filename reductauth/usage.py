"""Counts what tokens are used for: in memory on the request, flushed to the store in batches.

What a crash may lose is what came after the last flush.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from enum import IntEnum

from reductauth.actor import Identity
from reductauth.errors import StoreUnavailableError
from reductauth.store import TokenStore, UsageDelta

__all__ = ["FLUSH_INTERVAL_SECONDS", "UsageKind", "UsageMeter"]

FLUSH_INTERVAL_SECONDS = 5.0

_SECOND_US = 1_000_000
_MAX_HURRIED = 65_536
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

    def delta(self, secret_id: int) -> UsageDelta:
        day = datetime.fromtimestamp(self.day_starts_us / _SECOND_US, UTC).date().isoformat()
        read, write, admin, denied = self.counts
        return UsageDelta(
            *(self.token_id, secret_id, day, read, write, admin, denied),
            *(self.last_access_us or None, self.address),
        )


class UsageMeter:
    """Collects, and hands over to the store."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store
        self._tallies: dict[int, _Tally] = {}
        self._totals = [0, 0, 0, 0]
        self._waiting: list[UsageDelta] = []
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

    def _begun(self, identity: Identity, now_us: int) -> _Tally:
        """A tally of this day, in place of the one that there was."""
        secret_id = identity.secret_id
        tally = self._tallies.get(secret_id)
        if tally is not None:
            self._waiting.append(self._closed(secret_id, tally))
        tally = self._tallies[secret_id] = _Tally(identity.token.token_id, now_us)
        return tally

    def totals(self) -> dict[UsageKind, int]:
        """All requests that were counted, whether they are flushed or not."""
        totals = list(self._totals)
        for tally in self._tallies.values():
            for kind, number in enumerate(tally.counts):
                totals[kind] += number
        return {kind: totals[kind] for kind in UsageKind}

    def _closed(self, secret_id: int, tally: _Tally) -> UsageDelta:
        """What a tally holds that nothing is added to any more."""
        for kind, number in enumerate(tally.counts):
            self._totals[kind] += number
        return tally.delta(secret_id)

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
        """Hand over what was counted, in one transaction. What can't be kept now waits for the next flush."""
        self._urgent.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        counted = (self._closed(secret_id, tally) for secret_id, tally in self._tallies.items())
        deltas = _merged([*self._waiting, *counted])
        if not deltas:
            return
        self._waiting, self._tallies = [], {}
        if len(self._hurried_at_us) > _MAX_HURRIED:
            self._hurried_at_us.clear()  # at worst some are flushed sooner than they must be
        try:
            await self._store.change(lambda transaction: transaction.add_usage(deltas))
        except StoreUnavailableError:
            self._waiting = deltas + self._waiting
            _logger.warning("usage not flushed values=%d; it waits for the next flush", len(deltas))


def _merged(deltas: Iterable[UsageDelta]) -> list[UsageDelta]:
    """One for each value and day, so that what waits for a store that is out of order stays small."""
    merged: dict[tuple[int, str], UsageDelta] = {}
    for delta in deltas:
        key = (delta.secret_id, delta.day)
        merged[key] = _sum(merged[key], delta) if key in merged else delta
    return list(merged.values())


def _sum(one: UsageDelta, other: UsageDelta) -> UsageDelta:
    latest = max(one, other, key=lambda delta: delta.last_access_us or 0)
    return replace(
        latest,
        read=one.read + other.read,
        write=one.write + other.write,
        admin=one.admin + other.admin,
        denied=one.denied + other.denied,
    )
