"""Rounds in turn, quartiles and medians."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

__all__ = ["Slow", "Variant", "put_beside", "take_turns"]

Variant = Callable[[], Awaitable[None]]
"""Does its work `operations` times."""


@dataclass(frozen=True)
class Slow:
    """A variant that does its work a number of times of its own, because each takes long."""

    variant: Variant
    operations: int

    async def __call__(self) -> None:
        await self.variant()


async def take_turns(variants: Mapping[str, Variant], operations: int, rounds: int) -> dict[str, float]:
    """Run all variants in every round, in random order; return the lower quartile of each, in us per operation.

    Variants never wait and stay on this thread, so its CPU time is taken, in the kernel too: time that the machine
    gave to others is not counted.
    """
    samples: dict[str, list[float]] = {name: [] for name in variants}
    for variant in variants.values():
        await variant()
    order = list(variants.items())
    for _ in range(rounds):
        random.shuffle(order)
        for name, variant in order:
            started = time.thread_time()
            await variant()
            taken = time.thread_time() - started
            done = variant.operations if isinstance(variant, Slow) else operations
            samples[name].append(taken / done * 1_000_000)
    return {name: statistics.quantiles(found, n=4)[0] for name, found in samples.items()}


async def put_beside(
    baseline: Variant, variants: Mapping[str, Variant], operations: int, rounds: int
) -> dict[str, tuple[float, float]]:
    """Run the baseline before and after each variant; return the median of each's ratios to it, and its us.

    For differences of a few percent, which the drift of a machine within one round would hide.
    """

    async def microseconds(variant: Variant) -> float:
        started = time.thread_time()
        await variant()
        return (time.thread_time() - started) / operations * 1_000_000

    for variant in (baseline, *variants.values()):
        await variant()
    ratios: dict[str, list[float]] = {name: [] for name in variants}
    samples: dict[str, list[float]] = {name: [] for name in variants}
    order = list(variants)
    for _ in range(rounds):
        random.shuffle(order)
        before = await microseconds(baseline)
        for name in order:
            found = await microseconds(variants[name])
            after = await microseconds(baseline)
            ratios[name].append(2 * found / (before + after))
            samples[name].append(found)
            before = after
    return {
        name: (statistics.median(ratios[name]), statistics.quantiles(samples[name], n=4)[0])
        for name in variants
    }
