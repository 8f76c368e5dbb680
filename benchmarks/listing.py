"""How long listing tokens keeps the event loop from anything else: `python -m benchmarks.listing [--tokens N]`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import click

from benchmarks.population import populated
from reductauth.clock import system_clock
from reductauth.listing import TokenListing
from reductauth.permissions import Action
from reductauth.query import MAX_LIMIT, SortKey, TokenQuery
from reductauth.token import TokenStatus
from reductauth.web.listing import full_rows, page_body, protocol_rows

__all__ = ["main", "run"]

_GOAL_MS = 20.0
_TICK_SECONDS = 0.001


@dataclass
class _Hold:
    """The longest time that passed between two turns of a task that asks for one every millisecond."""

    longest_ms: float = 0.0


@contextlib.asynccontextmanager
async def _watched() -> AsyncIterator[_Hold]:
    hold = _Hold()

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


def _steps(listing: TokenListing, count: int) -> dict[str, Callable[[], Awaitable[None]]]:
    async def show(query: TokenQuery) -> None:
        page_body(await listing.page(query, protocol_rows), query)

    async def every_page() -> None:
        for offset in range(0, count, MAX_LIMIT):
            await show(TokenQuery(limit=MAX_LIMIT, offset=offset))

    async def full_page() -> None:
        query = TokenQuery(limit=MAX_LIMIT)
        page_body(await listing.page(query, full_rows), query)

    async def stream() -> None:
        async for rows in listing.batches(protocol_rows):
            b",".join(rows)

    def asked(query: TokenQuery) -> Callable[[], Awaitable[None]]:
        return lambda: show(query)

    return {
        "nothing": lambda: asyncio.sleep(0.5),
        f"all pages of {MAX_LIMIT:,}": every_page,
        f"one page of {MAX_LIMIT:,} in full view": full_page,
        "searched for a word, 100 shown": asked(TokenQuery(words=("token-99",))),
        "searched for three words": asked(TokenQuery(words=("tok", "en", "nowhere"))),
        "who can read a bucket": asked(TokenQuery(bucket="bucket-7", action=Action.READ)),
        "active ones": asked(TokenQuery(statuses=frozenset({TokenStatus.ACTIVE}))),
        **{
            f"sorted by {key}, last page": asked(
                TokenQuery(sort=key, offset=count - MAX_LIMIT, limit=MAX_LIMIT)
            )
            for key in SortKey
        },
        "all, as a stream": stream,
    }


async def run(count: int) -> None:
    """Measure at this number of tokens, and print."""
    async with populated(count) as population:
        gc.collect()
        gc.freeze()  # what the benchmark itself keeps would hold the loop at every collection
        listing = TokenListing(population.store, system_clock())
        print(f"\nlisting, {count:,} tokens\n\n{'':42} {'took ms':>9} {'longest hold ms':>16}  goal")
        for name, step in _steps(listing, count).items():
            async with _watched() as hold:
                started = time.perf_counter()
                await step()
                took_ms = (time.perf_counter() - started) * 1_000
            verdict = "reached" if hold.longest_ms <= _GOAL_MS else "MISSED"
            print(f"{name:42} {took_ms:9.1f} {hold.longest_ms:16.1f}  <= {_GOAL_MS:g}  {verdict}")


@click.command()
@click.option("--tokens", "count", default=100_000, show_default=True)
def main(count: int) -> None:
    """Measure how long listing tokens holds the event loop."""
    asyncio.run(run(count))


if __name__ == "__main__":
    main()
