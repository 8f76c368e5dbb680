"""uvloop in place of asyncio's own event loop, over sockets: `python -m benchmarks.loops`.

As in `benchmarks.http`: each application in a process of its own, with either loop, and what counts is its CPU time.
aiohttp's parser is the one in C, with both.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
from pathlib import Path

import click
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

from benchmarks.extras import from_extra
from benchmarks.http import Server
from benchmarks.process import started
from benchmarks.report import Report, Row, json_option
from benchmarks.served import LOOPS

with from_extra("peers"):
    import uvloop as uvloop  # noqa: PLC0414 - said here if it is missing, and used by `benchmarks.served`

__all__ = ["main", "run", "short"]

_APPLICATIONS = ("plain", "guarded")


async def run(rounds: int) -> Report:
    """Measure each application with each loop in turn, in random order."""
    if HttpRequestParser is HttpRequestParserPy:
        raise AssertionError("aiohttp's parser in C is missing")
    pairs = [(application, loop) for application in _APPLICATIONS for loop in LOOPS]
    async with contextlib.AsyncExitStack() as stack:
        servers = {
            (application, loop): Server(
                await stack.enter_async_context(started("benchmarks.served", application, "--loop", loop))
            )
            for application, loop in pairs
        }
        samples: dict[tuple[str, str], list[tuple[float, float]]] = {pair: [] for pair in pairs}
        for server in servers.values():
            await server.round()
        order = list(pairs)
        for _ in range(rounds):
            random.shuffle(order)
            for pair in order:
                samples[pair].append(await servers[pair].round())
    cpu_us, time_us = (
        {
            pair: statistics.quantiles([sample[which] for sample in found], n=4)[0]
            for pair, found in samples.items()
        }
        for which in (0, 1)
    )
    report = Report("loops", "asyncio's own loop, the same application")
    for measure, found in (("CPU", cpu_us), ("time", time_us)):
        for application, loop in pairs:
            us, own_us = found[application, loop], found[application, "asyncio"]
            report.rows.append(Row(f"{measure}, {application}, {loop}", us / own_us, us))
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run(2))


@click.command()
@click.option("--rounds", default=40, show_default=True)
@json_option
def main(rounds: int, folder: Path) -> None:
    """Measure one request over a socket, with either event loop."""
    asyncio.run(run(rounds)).show(folder)


if __name__ == "__main__":
    main()
