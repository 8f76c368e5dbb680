"""CPU of the server for one request over a socket, guarded against plain: `python -m benchmarks.http`.

Each application is served by a process of its own. What counts is the CPU time that the process took (all its
threads, `/proc/PID/task/*/schedstat`): it does not depend on what else the machine does, as requests per second do.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import click
import orjson

from benchmarks.floor import floor_code
from benchmarks.measure import process_cpu_us
from benchmarks.report import Report, Row, json_option
from benchmarks.served import BUCKET, VARIANTS

__all__ = ["Server", "main", "run", "short", "started"]

_CONNECTIONS = 8
_REQUESTS = 250
"""Of each connection in a round."""

_END = b"x" * 100


class Server:
    """One application in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, value: str) -> None:
        self._process = process
        self._port = port
        self._request = (
            f"GET /api/v1/b/{BUCKET}/oslo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n"
            f"User-Agent: benchmark\r\nAuthorization: Bearer {value}\r\n\r\n"
        ).encode()

    async def round(self) -> tuple[float, float]:
        """Send the requests of a round; return CPU and time for each, in us."""
        started, cpu_us = time.perf_counter(), process_cpu_us(self._process.pid)
        await asyncio.gather(*(self._connection() for _ in range(_CONNECTIONS)))
        requests = _CONNECTIONS * _REQUESTS
        taken_us = process_cpu_us(self._process.pid) - cpu_us
        return taken_us / requests, (time.perf_counter() - started) / requests * 1_000_000

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for _ in range(_REQUESTS):
            writer.write(self._request)
            answer = await reader.readuntil(_END)
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise AssertionError(answer)
        writer.close()
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def started(variant: str, *options: str) -> AsyncIterator[Server]:
    """Start an application; `options` are those of `benchmarks.served`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.served", variant, *options, stdout=PIPE
    )
    try:
        if process.stdout is None:
            raise AssertionError("the output of a server is a pipe")
        told = orjson.loads(await process.stdout.readline())
        yield Server(process, told["port"], told["value"])
    finally:
        process.terminate()
        await process.wait()


async def run(rounds: int) -> Report:
    """Measure all applications in turn, in random order."""
    async with contextlib.AsyncExitStack() as stack:
        servers = {variant: await stack.enter_async_context(started(variant)) for variant in VARIANTS}
        samples: dict[str, list[tuple[float, float]]] = {variant: [] for variant in VARIANTS}
        for server in servers.values():
            await server.round()
        order = list(VARIANTS)
        for _ in range(rounds):
            random.shuffle(order)
            for variant in order:
                samples[variant].append(await servers[variant].round())
    report = Report("http", "plain: the same route without a guard; the server's CPU for a request")
    cpu_us, time_us = (
        {
            name: statistics.quantiles([sample[which] for sample in found], n=4)[0]
            for name, found in samples.items()
        }
        for which in (0, 1)
    )
    plain, *_ = VARIANTS
    goals = {"guarded": 1.18}
    for name in VARIANTS:
        report.rows.append(
            Row(f"CPU, {name}", cpu_us[name] / cpu_us[plain], cpu_us[name], goal=goals.get(name))
        )
    for name in VARIANTS:
        report.rows.append(Row(f"time, {name}", time_us[name] / time_us[plain], time_us[name]))
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run(5))


@click.command()
@click.option("--rounds", default=40, show_default=True)
@json_option
def main(rounds: int, folder: Path) -> None:
    """Measure one request over a socket."""
    print(floor_code())
    asyncio.run(run(rounds)).show(folder)


if __name__ == "__main__":
    main()
