"""What counting usage costs when many values are in use: `python -m benchmarks.usage [--tokens N ...]`.

Counters are written together every five seconds: a change of a token must not wait for all of them, nor the event loop.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.population import Population, populated
from benchmarks.report import Report, Row, json_option
from benchmarks.watched import watched
from reductauth.actor import Actor, Identity
from reductauth.clock import system_clock
from reductauth.draft import TokenDraft
from reductauth.registry import TokenRegistry
from reductauth.usage import UsageKind, UsageMeter

__all__ = ["main", "run", "short"]

_GOAL_MS = 20.0


async def _callers(population: Population) -> list[Identity]:
    found = [
        await population.store.find(population.store.key.digest(value)) for value, _ in population.grants
    ]
    return [Identity(one.token, one.secret.secret_id, "127.0.0.1") for one in found if one is not None]


async def _measure(population: Population, rounds: int) -> tuple[float, float, float, float]:
    """Return what a flush takes, what a creation takes beside one and alone, and the longest hold, in ms."""
    store, clock = population.store, system_clock()
    registry, meter = TokenRegistry(store, store.key, clock), UsageMeter(store)
    callers = await _callers(population)
    gc.collect()
    gc.freeze()  # what the benchmark itself keeps would hold the loop at every collection
    flushes, beside, alone, holds = [], [], [], []
    number = 0

    async def create_ms() -> float:
        nonlocal number
        number += 1
        started = time.perf_counter()
        await registry.create(Actor.environment(), f"new-{number}", TokenDraft())
        return (time.perf_counter() - started) * 1_000

    for _ in range(rounds):
        alone.append(await create_ms())
        for caller in callers:
            meter.count(caller, UsageKind.READ, clock())
        async with watched() as hold:
            started = time.perf_counter()
            flush = asyncio.create_task(meter.flush())
            await asyncio.sleep(0)
            beside.append(await create_ms())
            await flush
            flushes.append((time.perf_counter() - started) * 1_000)
        holds.append(hold.longest_ms)
    flush_ms, beside_ms, alone_ms, hold_ms = map(statistics.median, (flushes, beside, alone, holds))
    return flush_ms, beside_ms, alone_ms, hold_ms


async def run(counts: Sequence[int], rounds: int) -> Report:
    """Measure with each number of values in use."""
    report = Report("usage", "the same alone", "values in use")
    for count in counts:
        async with populated(count) as population:
            flush_ms, beside_ms, alone_ms, hold_ms = await _measure(population, rounds)
        report.rows += [
            Row("a flush", None, flush_ms, unit="ms", size=count),
            Row("a creation while one is under way", beside_ms / alone_ms, beside_ms, unit="ms", size=count),
            Row("longest hold of the loop", None, hold_ms, unit="ms", goal=_GOAL_MS, size=count),
        ]
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run((1_000,), 2))


@click.command()
@click.option(
    "--tokens", "counts", type=int, multiple=True, default=(10, 1_000, 10_000, 40_000), show_default=True
)
@click.option("--rounds", default=7, show_default=True)
@json_option
def main(counts: tuple[int, ...], rounds: int, folder: Path) -> None:
    """Measure flushes of usage."""
    asyncio.run(run(counts, rounds)).show(folder)


if __name__ == "__main__":
    main()
