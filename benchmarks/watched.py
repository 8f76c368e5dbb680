"""How long the event loop is held."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

__all__ = ["Hold", "watched"]

_TICK_SECONDS = 0.001


@dataclass
class Hold:
    """The longest time that passed between two turns of a task that asks for one every millisecond."""

    longest_ms: float = 0.0


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[Hold]:
    """Watch the loop inside this block."""
    hold = Hold()

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.perf_counter()
            hold.longest_ms = max(hold.longest_ms, (now - last - _TICK_SECONDS) * 1_000)
            last = now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    try:
        yield hold
    finally:
        ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticking
