"""What listing tokens costs: `python -m benchmarks.listing [--tokens N]`.

How long each kind of query keeps the event loop from anything else. All tokens made to JSON by the code of the
route, over `orjson.dumps` of dicts that are ready: what a registry in memory would do. And all of them over HTTP,
from a server in a process of its own: the first byte, the longest hold of its loop, and the memory that it took.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import click
import orjson

from benchmarks.lister import HOLD_PATH
from benchmarks.measure import take_turns
from benchmarks.population import Population, populated
from benchmarks.process import Process, started
from benchmarks.report import Report, Row, json_option
from benchmarks.watched import watched
from reductauth.clock import system_clock
from reductauth.listing import TokenListing
from reductauth.permissions import Action
from reductauth.query import MAX_LIMIT, SortKey, TokenQuery
from reductauth.token import TokenStatus
from reductauth.value import mint
from reductauth.web.listing import bare_end, full_rows, page_body, protocol_rows
from reductauth.web.views import token_view
from reductauth.web.wire import to_json

__all__ = ["main", "run", "short"]

_GOAL_MS = 20.0
_DUMPED = 10_000
_LISTED = f"{_DUMPED:,} tokens as JSON"
_READY = f"{_DUMPED:,} ready dicts as JSON"


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
        async for _ in listing.batches(protocol_rows):
            pass

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


async def run(count: int, rounds: int) -> Report:
    """Measure at this number of tokens; the comparison with ready dicts is always at 10,000."""
    report = Report("listing", f"ready dicts; {count:,} tokens where no other number is named")
    async with populated(_DUMPED) as population:
        await _add_dumps(report, population, rounds)
    async with populated(count) as population:
        await _add_holds(report, population)
        await _add_stream(report, population, rounds)
    return report


async def _add_dumps(report: Report, population: Population, rounds: int) -> None:
    clock = system_clock()
    listing = TokenListing(population.store, clock)
    tokens = await population.store.read(lambda snapshot: snapshot.tokens())
    ready = orjson.loads(to_json([token_view(token, clock()) for token in tokens]))
    bodies: dict[str, bytes] = {}

    async def dump_ready() -> None:
        bodies[_READY] = orjson.dumps({"tokens": ready})

    async def list_all() -> None:
        batches = [batch async for batch in listing.batches(protocol_rows)]
        count = sum(batch.count for batch in batches)
        bodies[_LISTED] = b'{"tokens":[%b%b' % (b",".join(batch.rows for batch in batches), bare_end(count))

    variants = {_READY: dump_ready, _LISTED: list_all}
    found = await take_turns(variants, 1, rounds, time.process_time)
    if orjson.loads(bodies[_READY]) != orjson.loads(bodies[_LISTED]):
        raise AssertionError("the lists differ")
    for name, microseconds in found.items():
        goal = 1.5 if name == _LISTED else None
        report.rows.append(Row(name, microseconds / found[_READY], microseconds / 1_000, "ms", goal=goal))


async def _add_holds(report: Report, population: Population) -> None:
    gc.collect()
    gc.freeze()  # what the benchmark itself keeps would hold the loop at every collection
    listing = TokenListing(population.store, system_clock())
    for name, step in _steps(listing, len(population.grants)).items():
        async with watched() as hold:
            begun = time.perf_counter()
            await step()
            took_ms = (time.perf_counter() - begun) * 1_000
        report.rows.append(Row(f"{name}: takes", None, took_ms, "ms"))
        report.rows.append(Row(f"{name}: longest hold", None, hold.longest_ms, "ms", goal=_GOAL_MS))


async def _add_stream(report: Report, population: Population, rounds: int) -> None:
    administrator = mint("administrator")
    async with started("benchmarks.lister", str(population.folder), administrator) as server:
        base = f"http://127.0.0.1:{server.told['port']}"
        headers = {"Authorization": f"Bearer {administrator}"}
        async with aiohttp.ClientSession(base, headers=headers) as session:
            await (await session.get("/api/v1/tokens?limit=1")).read()
            found = [await _streamed(session, server) for _ in range(max(2, rounds // 10))]
    first_ms, longest_ms, memory_mb, all_ms = (
        statistics.median(column) for column in zip(*found, strict=True)
    )
    report.rows += [
        Row("over HTTP: first byte", None, first_ms, "ms", goal=_GOAL_MS),
        Row("over HTTP: longest hold", None, longest_ms, "ms", goal=_GOAL_MS),
        Row("over HTTP: extra memory", None, memory_mb, "MB", goal=20),
        Row("over HTTP: all", None, all_ms, "ms"),
    ]


async def _streamed(session: aiohttp.ClientSession, server: Process) -> tuple[float, float, float, float]:
    """Read the whole list; return ms to the first byte, the longest hold in ms, MB taken, ms to the end."""
    await (await session.get(HOLD_PATH)).read()
    server.forget_peak()
    before = server.resident_bytes()
    begun = time.perf_counter()
    async with session.get("/api/v1/tokens") as response:
        response.raise_for_status()
        await response.content.readany()
        first = time.perf_counter()
        async for _ in response.content.iter_any():
            pass
    done = time.perf_counter()
    taken = server.resident_bytes(peak=True) - before
    hold = await (await session.get(HOLD_PATH)).json()
    return (first - begun) * 1_000, hold["longest_ms"], taken / 1_000_000, (done - begun) * 1_000


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run(2_000, 2))


@click.command()
@click.option("--tokens", "count", default=1_000_000, show_default=True)
@click.option("--rounds", default=30, show_default=True)
@json_option
def main(count: int, rounds: int, folder: Path) -> None:
    """Measure listing."""
    asyncio.run(run(count, rounds)).show(folder)


if __name__ == "__main__":
    main()
