"""Rounds in turn, quartiles and medians, and what a process took of the processors."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Beside", "Slow", "Variant", "process_cpu_us", "put_beside", "take_turns"]

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


def process_cpu_us(pid: int) -> float:
    """The CPU time that all threads of a process took so far."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1_000


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
    return {
        name: Beside(statistics.median(ratios[name] or [1.0]), statistics.quantiles(samples[name], n=4)[0])
        for name in variants
    }
