"""The example engine with one process and more: `python -m benchmarks.workers`.

Requests per second, and the CPU time of all workers for a request, over connections that last, as those of clients do,
and over one connection for each request: a new connection wakes every worker that has nothing to do, and one gets it.

Clients are processes of their own and need processors too: on a machine with two, a second worker has what the clients
leave, and a third has nothing. CPU for a request is the steady figure. It must not grow with the number of workers, as
long as each has a processor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import click

from benchmarks.load import Client, Load, client
from benchmarks.measure import put_rounds_beside
from benchmarks.process import cpu_us_of
from benchmarks.report import Report, Row, json_option
from reductauth.value import mint

__all__ = ["main", "run", "short"]

_CLIENTS = 2
_AT_ONCE = 8
"""Connections of each client that are open at once."""

_LOADS = {"": (16, 100), " and its connection": (300, 1)}
"""Connections of each client in a round, and requests on each."""

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
        self._loads = {
            name: Load(port, request, "all of weather\n", connections, _AT_ONCE, requests)
            for name, (connections, requests) in _LOADS.items()
        }

    async def round(self, clients: Sequence[Client], load_name: str) -> tuple[float, float]:
        """Send the requests of a round; return CPU and time for each, in us."""
        load = self._loads[load_name]
        started, cpu_us = time.perf_counter(), sum(map(cpu_us_of, self._pids))
        await asyncio.gather(*(one.send(load) for one in clients))
        requests = len(clients) * load.connections * load.requests
        taken_us = sum(map(cpu_us_of, self._pids)) - cpu_us
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
    """Measure with each number of workers beside the fewest, in random order."""
    fewest, processors = min(counts), len(os.sched_getaffinity(0))
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client()) for _ in range(_CLIENTS)]
        engines = {count: await stack.enter_async_context(_engine(count)) for count in counts}
        found = {
            load: await put_rounds_beside(
                fewest, {count: partial(engines[count].round, clients, load) for count in counts}, rounds
            )
            for load in _LOADS
        }
    report = Report("workers", "one process", "processes")
    for load in _LOADS:
        for count, (cpu, _) in found[load].items():
            goal = _GOAL if fewest < count <= processors and not load else None
            report.rows.append(
                Row(f"CPU for a request{load}", cpu.ratio, cpu.microseconds, goal=goal, size=count)
            )
    for load in _LOADS:
        for count, (_, elapsed) in found[load].items():
            per_second = 1_000_000 / elapsed.microseconds
            report.rows.append(
                Row(f"requests{load}", 1 / elapsed.ratio, per_second, "per second", size=count)
            )
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run((1, 2), 2))


@click.command()
@click.option("--workers", "counts", type=int, multiple=True, default=(1, 2, 3, 4), show_default=True)
@click.option("--rounds", default=40, show_default=True)
@json_option
def main(counts: tuple[int, ...], rounds: int, folder: Path) -> None:
    """Measure the example engine with several processes."""
    asyncio.run(run(counts, rounds)).show(folder)


if __name__ == "__main__":
    main()
