"""Rounds in turn, lower quartiles, and what a process took of the processors."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

__all__ = ["Variant", "process_cpu_us", "take_turns"]

Variant = Callable[[], Awaitable[None]]
"""Does its work `operations` times."""


async def take_turns(variants: Mapping[str, Variant], operations: int, rounds: int) -> dict[str, float]:
    """Run all variants in every round, in random order; return the lower quartile of each, in us per operation.

    Variants never wait and stay on this thread, so its CPU time is taken, in the kernel too: time that the machine
    gave to others is not counted.
    """
    samples: dict[str, list[float]] = {name: [] for name in variants}
    for variant in variants.values():
        await variant()
    order = list(variants)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            started = time.thread_time()
            await variants[name]()
            samples[name].append((time.thread_time() - started) / operations * 1_000_000)
    return {name: statistics.quantiles(found, n=4)[0] for name, found in samples.items()}


def process_cpu_us(pid: int) -> float:
    """The CPU time that all threads of a process took so far."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1_000
