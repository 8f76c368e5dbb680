"""Counts who was refused, for the audit: one entry for a token and a minute, one for all strangers of a minute.

However many requests are refused, the entries are few, and so is what is remembered. What a crash may lose is the
minute that it is in.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from reductauth.actor import Actor, Identity
from reductauth.audit import AuditAction
from reductauth.clock import Clock
from reductauth.errors import StoreUnavailableError
from reductauth.store import TokenStore, Transaction

__all__ = ["FLUSH_INTERVAL_SECONDS", "MAX_REMEMBERED", "RefusalMeter"]

FLUSH_INTERVAL_SECONDS = 5.0
MAX_REMEMBERED = 1_000
"""Tokens and minutes counted one by one between two flushes; refusals beyond are counted together."""

_MINUTE_US = 60 * 1_000_000
_STRANGERS = Actor("strangers")
_OTHERS = Actor("others")
_logger = logging.getLogger("reductauth.refusals")


@dataclass(slots=True)
class _Tally:
    action: AuditAction
    actor: Actor
    at_us: int
    count: int = 0


class RefusalMeter:
    """Collects, and hands over to the store."""

    def __init__(self, store: TokenStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._tallies: dict[tuple[int, str | None], _Tally] = {}

    async def run(self) -> None:
        """Flush every `FLUSH_INTERVAL_SECONDS`, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_SECONDS)
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next flush may be better
                _logger.error("refusals not written down error=%s", error)  # noqa: TRY400 - one line

    def deny(self, identity: Identity, now_us: int) -> None:
        """Count a request for what needs full access, by a token that has it not. No I/O."""
        token = identity.token
        minute = now_us // _MINUTE_US
        if len(self._tallies) < MAX_REMEMBERED or (minute, token.token_id) in self._tallies:
            actor = Actor(token.name, token.token_id, identity.secret_id, identity.address)
            self._count((minute, token.token_id), AuditAction.DENIED, actor, now_us)
        else:
            self._count((0, "others"), AuditAction.DENIED, _OTHERS, now_us)

    def fail(self, now_us: int) -> None:
        """Count a request with a credential that let nobody in. No I/O."""
        self._count((now_us // _MINUTE_US, None), AuditAction.UNAUTHENTICATED, _STRANGERS, now_us)

    def _count(self, key: tuple[int, str | None], action: AuditAction, actor: Actor, now_us: int) -> None:
        tally = self._tallies.get(key)
        if tally is None:
            if len(self._tallies) >= 2 * MAX_REMEMBERED:  # a store that is out of order for a day
                return
            tally = self._tallies[key] = _Tally(action, actor, now_us)
        tally.count += 1

    async def flush(self, *, whole: bool = False) -> None:
        """Write down the minutes that are over, or (`whole`) all. What can't be kept now waits for the next flush."""
        this_minute = self._clock() // _MINUTE_US
        over = {key: tally for key, tally in self._tallies.items() if whole or key[0] < this_minute}
        if not over:
            return
        for key in over:
            del self._tallies[key]

        def work(transaction: Transaction) -> None:
            for tally in over.values():
                transaction.audit(tally.at_us, tally.actor, tally.action, detail={"count": tally.count})

        try:
            await self._store.change(work)
        except StoreUnavailableError:
            self._tallies = over | self._tallies
            _logger.warning("refusals not written down entries=%d; they wait for the next flush", len(over))
