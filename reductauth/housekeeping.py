"""What nobody asks for and somebody must do: old counters are folded, what has ended for long is forgotten.

Everything happens in small changes, so that those of people come in between, and is decided inside them: several
processes may clean one registry.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from reductauth.actor import Actor
from reductauth.audit import AuditAction, change_of
from reductauth.clock import Clock
from reductauth.errors import LastAdministratorError
from reductauth.periods import DAY_US, day_of
from reductauth.store import TokenStore, Transaction

__all__ = ["INTERVAL_SECONDS", "PAUSE_SECONDS", "Housekeeper"]

INTERVAL_SECONDS = 3_600.0
PAUSE_SECONDS = 0.15
"""Between two batches: longer than a process that waits for SQLite's lock sleeps (0.1 s), so that it comes in."""

_BATCH_OF_COUNTERS = 1_000
_BATCH_OF_TOKENS = 100
_BATCH_OF_ENTRIES = 100
_logger = logging.getLogger("reductauth.housekeeping")


class Housekeeper:
    """Cleans a registry. None days: tokens that have ended are kept, and so is the whole audit."""

    def __init__(
        self,
        store: TokenStore,
        clock: Clock,
        usage_days: int,
        ended_token_days: int | None,
        audit_days: int | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._usage_days = usage_days
        self._audit_kept_us = None if audit_days is None else audit_days * DAY_US
        self._kept_us = None if ended_token_days is None else ended_token_days * DAY_US

    async def run(self) -> None:
        """Tidy now and every `INTERVAL_SECONDS`, until cancelled."""
        while True:
            await self.tidy()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def tidy(self) -> None:
        """Do all that there is to do. What can't be done now is logged, and left for the next time."""
        await self._repeat("days of usage folded", self._fold_usage, _BATCH_OF_COUNTERS)
        await self._repeat(
            "tokens whose ended values were forgotten", self._remove_ended_secrets, _BATCH_OF_TOKENS
        )
        if self._kept_us is not None:
            step = partial(self._remove_ended_tokens, kept_us=self._kept_us)
            await self._repeat("ended tokens deleted", step, _BATCH_OF_TOKENS)
        if self._audit_kept_us is not None:
            step = partial(self._forget_audit, kept_us=self._audit_kept_us)
            await self._repeat("entries of the audit removed", step, _BATCH_OF_ENTRIES)

    async def _repeat(self, what: str, step: Callable[[Transaction], int], batch: int) -> None:
        """Take a step until it finds less than a batch."""
        done = 0
        try:
            while True:
                found = await self._store.change(step)
                done += found
                if found < batch:
                    break
                await asyncio.sleep(PAUSE_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next time may be better
            _logger.warning("not finished, tried again later: %s reason=%s", what, error)
        if done:
            _logger.info("%s count=%d", what, done)

    def _fold_usage(self, transaction: Transaction) -> int:
        before_day = day_of(self._clock() - self._usage_days * DAY_US)
        return transaction.fold_usage(before_day, _BATCH_OF_COUNTERS)

    def _remove_ended_secrets(self, transaction: Transaction) -> int:
        now_us = self._clock()
        tokens = transaction.remove_ended_secrets(now_us, _BATCH_OF_TOKENS)
        for token in tokens:
            transaction.audit(now_us, Actor.environment(), AuditAction.CLEAN_UP, token)
        return len(tokens)

    def _forget_audit(self, transaction: Transaction, kept_us: int) -> int:
        """Remove old entries. A token that would have none left is written down again as it is."""
        now_us = self._clock()
        removed, tokens = transaction.forget_audit(now_us - kept_us, _BATCH_OF_ENTRIES)
        for token in tokens:
            detail = change_of(None, token)
            transaction.audit(now_us, Actor.environment(), AuditAction.CARRY_OVER, token, detail)
        return removed

    def _remove_ended_tokens(self, transaction: Transaction, kept_us: int) -> int:
        now_us = self._clock()
        tokens = transaction.ended_tokens(now_us - kept_us, _BATCH_OF_TOKENS)
        for token in tokens:
            transaction.remove(token.token_id)
            detail = change_of(token, None)
            transaction.audit(now_us, Actor.environment(), AuditAction.DELETE, token, detail)
        if tokens and not transaction.has_usable_administrator(now_us):
            raise LastAdministratorError("remove", tokens[0].name)
        return len(tokens)
