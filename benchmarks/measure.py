"""Rounds in turn, quartiles and medians, and what a process took of the processors."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

__all__ = ["Beside", "Round", "Slow", "Variant", "put_beside", "put_rounds_beside", "take_turns"]

Variant = Callable[[], Awaitable[None]]
"""Does its work `operations` times."""

Round = Callable[[], Awaitable[tuple[float, float]]]
"""Sends a server the requests of a round; returns its CPU time and the time for each, in us."""

NameT = TypeVar("NameT")


@dataclass(frozen=True)
class Slow:
    """A variant that does its work a number of times of its own, because each takes long."""

    variant: Variant
    operations: int

    async def __call__(self) -> None:
        await self.variant()


async def take_turns(
    variants: Mapping[NameT, Variant],
    operations: int,
    rounds: int,
    clock: Callable[[], float] = time.thread_time,
    before: Mapping[NameT, Variant] | None = None,
) -> dict[NameT, float]:
    """Run all variants in every round, in random order; return the lower quartile of each, in us per operation.

    Where variants never wait and stay on this thread, its CPU time is taken, in the kernel too: time that the machine
    gave to others is not counted. Others bring the `clock` that fits. What is in `before` prepares each turn of the
    variant of its name, and is not timed.
    """
    samples: dict[NameT, list[float]] = {name: [] for name in variants}
    prepare = before or {}

    async def turn(name: NameT) -> float:
        if name in prepare:
            await prepare[name]()
        started = clock()
        variant = variants[name]
        await variant()
        taken = clock() - started
        done = variant.operations if isinstance(variant, Slow) else operations
        return taken / done * 1_000_000

    for name in variants:
        await turn(name)
    order = list(variants)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            samples[name].append(await turn(name))
    return {name: statistics.quantiles(found, n=4)[0] for name, found in samples.items()}


@dataclass(frozen=True)
class Beside:
    """What a variant took, as a ratio to the baseline beside it, and in us per operation."""

    ratio: float
    microseconds: float


async def put_beside(
    baseline: str, variants: Mapping[str, Variant], operations: int, rounds: int
) -> dict[str, Beside]:
    """Put variants that do not wait beside a baseline; see `_put_beside`. Times are as in `take_turns`."""

    async def taken(variant: Variant) -> tuple[float]:
        started = time.thread_time()
        await variant()
        return ((time.thread_time() - started) / operations * 1_000_000,)

    turns = {name: partial(taken, variant) for name, variant in variants.items()}
    return {name: found for name, (found,) in (await _put_beside(baseline, turns, rounds)).items()}


async def put_rounds_beside(
    baseline: NameT, variants: Mapping[NameT, Round], rounds: int
) -> dict[NameT, tuple[Beside, Beside]]:
    """Put servers beside one of them; see `_put_beside`. Of each, its CPU and its time."""
    return {
        name: (cpu, elapsed)
        for name, (cpu, elapsed) in (await _put_beside(baseline, variants, rounds)).items()
    }


async def _put_beside(
    baseline: NameT, turns: Mapping[NameT, Callable[[], Awaitable[tuple[float, ...]]]], rounds: int
) -> dict[NameT, list[Beside]]:
    """Let the baseline take a turn before and after each other variant; take the median of the ratios to both.

    For differences of a few percent, which the drift of a machine within one round would hide. A turn returns what was
    measured, one or more times in us.
    """
    samples: dict[NameT, list[tuple[float, ...]]] = {name: [] for name in turns}
    ratios: dict[NameT, list[tuple[float, ...]]] = {name: [] for name in turns}
    for turn in turns.values():
        await turn()

    async def sample(name: NameT) -> tuple[float, ...]:
        found = await turns[name]()
        samples[name].append(found)
        return found

    order = [name for name in turns if name != baseline]
    for _ in range(rounds):
        random.shuffle(order)
        before = await sample(baseline)
        for name in order:
            found = await sample(name)
            after = await sample(baseline)
            ratios[name].append(
                tuple(2 * us / (one + other) for us, one, other in zip(found, before, after, strict=True))
            )
            before = after
    ratios[baseline] = [(1.0,) * len(before)]
    return {
        name: [
            Beside(statistics.median(of_kind), statistics.quantiles(us, n=4)[0])
            for of_kind, us in zip(
                zip(*ratios[name], strict=True), zip(*samples[name], strict=True), strict=True
            )
        ]
        for name in turns
    }
