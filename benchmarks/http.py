"""CPU of the server for one request over a socket, guarded against plain: `python -m benchmarks.http`.

Each application is served by a process of its own. What counts is the CPU time that the process took (all its
threads, `/proc/PID/task/*/schedstat`): it does not depend on what else the machine does, as requests per second do.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import click

from benchmarks.floor import floor_code
from benchmarks.measure import put_rounds_beside
from benchmarks.process import Process, started
from benchmarks.report import Report, Row, json_option
from benchmarks.served import BUCKET, VARIANTS

__all__ = ["Server", "main", "run", "short", "started"]

_CONNECTIONS = 8
_REQUESTS = 250
"""Of each connection in a round."""

_END = b"x" * 100


class Server:
    """One application in a process of its own."""

    def __init__(self, process: Process) -> None:
        port, value = process.told["port"], process.told["value"]
        self.cpu_us = process.cpu_us
        self._port = port
        self._request = (
            f"GET /api/v1/b/{BUCKET}/oslo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n"
            f"User-Agent: benchmark\r\nAuthorization: Bearer {value}\r\n\r\n"
        ).encode()

    async def round(self) -> tuple[float, float]:
        """Send the requests of a round; return CPU and time for each, in us."""
        started, cpu_us = time.perf_counter(), self.cpu_us()
        await asyncio.gather(*(self._connection() for _ in range(_CONNECTIONS)))
        requests = _CONNECTIONS * _REQUESTS
        taken_us = self.cpu_us() - cpu_us
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


async def run(rounds: int) -> Report:
    """Measure all applications beside the plain one, in random order."""
    async with contextlib.AsyncExitStack() as stack:
        servers = {
            variant: Server(await stack.enter_async_context(started("benchmarks.served", variant)))
            for variant in VARIANTS
        }
        rounds_of = {name: server.round for name, server in servers.items()}
        plain, *_ = VARIANTS
        found = await put_rounds_beside(plain, rounds_of, rounds)
    report = Report("http", "plain: the same route without a guard; the server's CPU for a request")
    goals = {"guarded": 1.18}
    for name, (cpu, _) in found.items():
        report.rows.append(Row(f"CPU, {name}", cpu.ratio, cpu.microseconds, goal=goals.get(name)))
    for name, (_, elapsed) in found.items():
        report.rows.append(Row(f"time, {name}", elapsed.ratio, elapsed.microseconds))
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run(2))


@click.command()
@click.option("--rounds", default=40, show_default=True)
@json_option
def main(rounds: int, folder: Path) -> None:
    """Measure one request over a socket."""
    print(floor_code())
    asyncio.run(run(rounds)).show(folder)


if __name__ == "__main__":
    main()
