"""Rounds in turn, quartiles and medians, and what a process took of the processors."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
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
    """Run the baseline before and after each other variant; take the median of the ratios to both.

    For differences of a few percent, which the drift of a machine within one round would hide. Times are as in
    `take_turns`.
    """

    async def microseconds(name: str) -> float:
        started = time.thread_time()
        await variants[name]()
        found = (time.thread_time() - started) / operations * 1_000_000
        samples[name].append(found)
        return found

    samples: dict[str, list[float]] = {name: [] for name in variants}
    ratios: dict[str, list[float]] = {name: [] for name in variants}
    for name in variants:
        await microseconds(name)
    order = [name for name in variants if name != baseline]
    for _ in range(rounds):
        random.shuffle(order)
        before = await microseconds(baseline)
        for name in order:
            found = await microseconds(name)
            after = await microseconds(baseline)
            ratios[name].append(2 * found / (before + after))
            before = after
    return {name: _beside(ratios[name] or [1.0], samples[name]) for name in variants}


async def put_rounds_beside(
    baseline: NameT, variants: Mapping[NameT, Round], rounds: int
) -> dict[NameT, tuple[Beside, Beside]]:
    """Run a round of every server, in random order, again and again; take the median of the ratios within a round.

    Each server has as many requests as any other: what they leave behind may slow it. Of each its CPU, and its time.
    """
    samples: dict[NameT, list[tuple[float, float]]] = {name: [] for name in variants}
    for send in variants.values():
        await send()
    order = list(variants)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            samples[name].append(await variants[name]())

    def beside(name: NameT, kind: int) -> Beside:
        of_kind, of_baseline = ([found[kind] for found in samples[one]] for one in (name, baseline))
        return _beside([us / own_us for us, own_us in zip(of_kind, of_baseline, strict=True)], of_kind)

    return {name: (beside(name, 0), beside(name, 1)) for name in variants}


def _beside(ratios: Sequence[float], samples: Sequence[float]) -> Beside:
    return Beside(statistics.median(ratios), statistics.quantiles(samples, n=4)[0])
