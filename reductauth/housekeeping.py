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
_logger = logging.getLogger("reductauth.housekeeping")


class Housekeeper:
    """Cleans a registry. `ended_token_days` None: tokens that have ended are kept."""

    def __init__(
        self, store: TokenStore, clock: Clock, usage_days: int, ended_token_days: int | None
    ) -> None:
        self._store = store
        self._clock = clock
        self._usage_days = usage_days
        self._kept_us = None if ended_token_days is None else ended_token_days * DAY_US

    async def run(self) -> None:
        """Tidy now and every `INTERVAL_SECONDS`, until cancelled."""
        while True:
            await self.tidy()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def tidy(self) -> None:
        """Do all that there is to do. What can't be done now is logged, and left for the next time."""
        await self._repeat("days of usage folded", self._fold_usage, _BATCH_OF_COUNTERS)
        await self._repeat("values forgotten", self._remove_ended_secrets, _BATCH_OF_TOKENS)
        if self._kept_us is not None:
            step = partial(self._remove_ended_tokens, kept_us=self._kept_us)
            await self._repeat("ended tokens deleted", step, _BATCH_OF_TOKENS)

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
        return transaction.remove_ended_secrets(self._clock(), _BATCH_OF_TOKENS)

    def _remove_ended_tokens(self, transaction: Transaction, kept_us: int) -> int:
        now_us = self._clock()
        tokens = transaction.ended_tokens(now_us - kept_us, _BATCH_OF_TOKENS)
        for token in tokens:
            transaction.remove(token.token_id)
            transaction.audit(now_us, Actor.environment(), "delete", token)
        if tokens and not transaction.has_usable_administrator(now_us):
            raise LastAdministratorError("remove", tokens[0].name)
        return len(tokens)
