"""What a process pays to serve a registry, as it grows: `python -m benchmarks.startup [--tokens N ...]`.

Every sample is a process of its own. Start-up is all that the module does before the application serves: the store is
opened, the bootstrap token brought in line, bucket changes are settled. Memory is what the process has once a cache
of the usual size is filled from the registry, or with all tokens where there are fewer.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.population import populated
from benchmarks.process import started
from benchmarks.report import Report, Row, json_option
from reductauth.authenticator import DEFAULT_CACHE_SIZE
from reductauth.value import mint

__all__ = ["main", "run", "short"]

_EMPTY = 0
_MEGABYTE = 1_000_000


async def run(counts: Sequence[int], rounds: int) -> Report:
    """Measure at each number of tokens, an empty registry first."""
    report = Report("startup", "an empty registry")
    async with contextlib.AsyncExitStack() as stack:
        populations = {
            count: await stack.enter_async_context(populated(count)) for count in (_EMPTY, *counts)
        }
        samples: dict[int, list[tuple[float, float]]] = {count: [] for count in populations}
        administrator = mint("administrator")
        for population in populations.values():
            _values_file(population.folder).write_text(
                "".join(f"{value}\n" for value, _ in population.grants[:DEFAULT_CACHE_SIZE]), encoding="ascii"
            )
            await _measured(population.folder, administrator)  # makes the bootstrap token
        order = list(populations)
        for _ in range(rounds):
            random.shuffle(order)
            for count in order:
                samples[count].append(await _measured(populations[count].folder, administrator))
    start_ms = {count: statistics.median(start for start, _ in found) for count, found in samples.items()}
    memory = {count: statistics.median(memory for _, memory in found) for count, found in samples.items()}
    for count in populations:
        report.rows.append(
            Row("start-up", start_ms[count] / start_ms[_EMPTY], start_ms[count], "ms", size=count)
        )
    for count in counts:
        more_ms = start_ms[count] - start_ms[_EMPTY]
        report.rows.append(Row("start-up, more than empty", None, more_ms, "ms", goal=50, size=count))
    for count in populations:
        report.rows.append(
            Row("memory, cache full", memory[count] / memory[_EMPTY], memory[count], "MB", size=count)
        )
    for count in counts:
        more = memory[count] - memory[_EMPTY]
        report.rows.append(Row("memory, more than empty", None, more, "MB", goal=100, size=count))
    return report


def _values_file(folder: Path) -> Path:
    return folder.with_name("values")


async def _measured(folder: Path, administrator: str) -> tuple[float, float]:
    """Start a process on the registry; return its start-up in ms and its memory in MB."""
    async with started("benchmarks.opened", str(folder), str(_values_file(folder)), administrator) as one:
        return one.told["start_ms"], one.told["resident_bytes"] / _MEGABYTE


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run((1_000,), 2))


@click.command()
@click.option(
    "--tokens", "counts", type=int, multiple=True, default=(1_000, 100_000, 1_000_000), show_default=True
)
@click.option("--rounds", default=15, show_default=True)
@json_option
def main(counts: tuple[int, ...], rounds: int, folder: Path) -> None:
    """Measure start-up and memory as the registry grows."""
    asyncio.run(run(counts, rounds)).show(folder)


if __name__ == "__main__":
    main()
