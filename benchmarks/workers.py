"""The example engine with one process and more: `python -m benchmarks.workers`.

Requests per second, and the CPU time of all workers for a request. Clients are processes of their own and need
processors too: on a machine with two, a second worker has what the clients leave, and a third has nothing. CPU for a
request is the steady figure: it must not grow with the number of workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import click

from benchmarks.load import Client, Load, client
from benchmarks.measure import process_cpu_us
from benchmarks.report import Report, Row, json_option
from reductauth.value import mint

__all__ = ["main", "run", "short"]

_CLIENTS = 2
_AT_ONCE = 8
"""Connections of each client that are open at once."""

_CONNECTIONS = 80
"""Of each client in a round. Whichever worker is first accepts one: they must be many to be spread evenly."""

_REQUESTS = 20
"""On each connection."""

_GOAL = 1.15
_READY = re.compile(r"worker \d+ is ready pid=(\d+)")
_LISTENING = re.compile(r"listening address=127.0.0.1 port=(\d+) workers=")


class _Engine:
    """The example engine, with so many workers."""

    def __init__(self, port: int, pids: Sequence[int], value: str) -> None:
        self._pids = pids
        request = (
            f"GET /api/v1/b/weather HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n"
            f"User-Agent: benchmark\r\nAuthorization: Bearer {value}\r\n\r\n"
        )
        self._load = Load(port, request, "all of weather\n", _CONNECTIONS, _AT_ONCE, _REQUESTS)

    async def round(self, clients: Sequence[Client]) -> tuple[float, float]:
        """Send the requests of a round; return CPU and time for each, in us."""
        started, cpu_us = time.perf_counter(), sum(map(process_cpu_us, self._pids))
        await asyncio.gather(*(one.send(self._load) for one in clients))
        requests = len(clients) * _CONNECTIONS * _REQUESTS
        taken_us = sum(map(process_cpu_us, self._pids)) - cpu_us
        return taken_us / requests, (time.perf_counter() - started) / requests * 1_000_000


@contextlib.asynccontextmanager
async def _engine(workers: int) -> AsyncIterator[_Engine]:
    value = mint("administrator")
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "examples.workers", "--workers", str(workers), "--port", "0"),
            env={**os.environ, "RS_API_TOKEN": value, "RS_DATA_PATH": folder},
            stderr=PIPE,
        )
        try:
            if process.stderr is None:
                raise AssertionError("the log is a pipe")
            log = ""
            while len(pids := _READY.findall(log)) < workers:
                line = await process.stderr.readline()
                if not line:
                    raise AssertionError(log)
                log += line.decode()
            (port,) = _LISTENING.findall(log)
            yield _Engine(int(port), list(map(int, pids)), value)
        finally:
            process.terminate()
            await process.wait()


async def run(counts: Sequence[int], rounds: int) -> Report:
    """Measure with each number of workers in turn, in random order."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client()) for _ in range(_CLIENTS)]
        engines = {count: await stack.enter_async_context(_engine(count)) for count in counts}
        samples: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
        for engine in engines.values():
            await engine.round(clients)
        order = list(counts)
        for _ in range(rounds):
            random.shuffle(order)
            for count in order:
                samples[count].append(await engines[count].round(clients))
    cpu_us, time_us = (
        {
            count: statistics.quantiles([sample[which] for sample in found], n=4)[0]
            for count, found in samples.items()
        }
        for which in (0, 1)
    )
    report = Report("workers", "one process", "processes")
    fewest = min(counts)
    for count in counts:
        goal = None if count == fewest else _GOAL
        ratio = cpu_us[count] / cpu_us[fewest]
        report.rows.append(Row("CPU for a request", ratio, cpu_us[count], goal=goal, size=count))
    for count in counts:
        ratio, per_second = time_us[fewest] / time_us[count], 1_000_000 / time_us[count]
        report.rows.append(Row("throughput", ratio, per_second, "requests/s", size=count))
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run((1, 2), 3))


@click.command()
@click.option("--workers", "counts", type=int, multiple=True, default=(1, 2, 3, 4), show_default=True)
@click.option("--rounds", default=40, show_default=True)
@json_option
def main(counts: tuple[int, ...], rounds: int, folder: Path) -> None:
    """Measure the example engine with several processes."""
    asyncio.run(run(counts, rounds)).show(folder)


if __name__ == "__main__":
    main()
