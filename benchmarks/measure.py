"""Rounds in turn, lower quartiles."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

__all__ = ["Variant", "take_turns"]

Variant = Callable[[], Awaitable[None]]
"""Does its work `operations` times."""

NameT = TypeVar("NameT")


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
        await variants[name]()
        return (clock() - started) / operations * 1_000_000

    for name in variants:
        await turn(name)
    order = list(variants)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            samples[name].append(await turn(name))
    return {name: statistics.quantiles(found, n=4)[0] for name, found in samples.items()}
