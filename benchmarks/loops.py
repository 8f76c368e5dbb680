"""uvloop in place of asyncio's own event loop, over sockets: `python -m benchmarks.loops`.

As in `benchmarks.http`: each application in a process of its own, with either loop, and what counts is its CPU time.
aiohttp's parser is the one in C, with both.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import click
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

from benchmarks.extras import from_extra
from benchmarks.http import Server
from benchmarks.measure import put_rounds_beside
from benchmarks.process import started
from benchmarks.report import Report, Row, json_option
from benchmarks.served import LOOPS

with from_extra("peers"):
    import uvloop as uvloop  # noqa: PLC0414 - said here if it is missing, and used by `benchmarks.served`

__all__ = ["main", "run", "short"]

_APPLICATIONS = ("plain", "guarded")


async def run(rounds: int) -> Report:
    """Measure each application with either loop in turn."""
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
        found = {
            application: await put_rounds_beside(
                "asyncio", {loop: servers[application, loop].round for loop in LOOPS}, rounds
            )
            for application in _APPLICATIONS
        }
    report = Report("loops", "asyncio's own loop, the same application")
    for number, measure in enumerate(("CPU", "time")):
        for application, loop in pairs:
            beside = found[application][loop][number]
            report.rows.append(Row(f"{measure}, {application}, {loop}", beside.ratio, beside.microseconds))
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
