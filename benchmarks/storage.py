"""The guard's share of what storing and reading records costs: `python -m benchmarks.storage`.

`storage_demo` three times, each in a process of its own: guarded; with `RS_DISABLE_AUTH=true`, where the same
decorators let everybody in; and without a guard (see `benchmarks.stored`). What counts is the server's CPU for a
request, all its threads: its share is what a guarded request takes more than one without a guard, over all that it
takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import statistics
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import click
import orjson

from benchmarks.client import Client
from benchmarks.measure import Beside, put_rounds_beside
from benchmarks.process import Process, started
from benchmarks.report import Report, Row, json_option
from benchmarks.stored import GUARDED, OPEN, PLAIN

__all__ = ["main", "run", "short"]

_RECORD = b"x" * 1_024
_BATCH = 80
"""Records: aiohttp takes 128 headers, and there is one for each."""
_CONNECTIONS = 4
_SINGLES, _BATCHES = 25, 2
"""Requests of each connection in a turn."""
_VARIANTS = {PLAIN: "without a guard", OPEN: "authentication off", GUARDED: "guarded"}
_GOAL_PERCENT = {"1 KB record written": 5.0, "1 KB record read": 5.0}
_GOAL_BATCH_PERCENT = 1.0
_BUCKET = "/api/v1/b/weather"


class _Server:
    """One server, and the connections to it."""

    def __init__(self, process: Process, clients: list[Client]) -> None:
        self._cpu_us = process.cpu_us
        self._clients = clients
        self._head = (
            f"HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nUser-Agent: benchmark\r\n"
            f"Authorization: Bearer {process.told['value']}\r\n"
        )
        self._times_us = itertools.count(1)

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, variant: str) -> AsyncIterator[_Server]:
        async with started("benchmarks.stored", variant) as process:
            clients = [await Client.to(process.told["port"]) for _ in range(_CONNECTIONS)]
            server = cls(process, clients)
            await clients[0].send(server._request("POST", _BUCKET, b"{}"))
            for _ in range(3):
                await clients[0].send(server._batch("read"))
            yield server
            for client in clients:
                await client.close()

    async def write_singles(self) -> tuple[float, float]:
        return await self._turn([[self._single() for _ in range(_SINGLES)] for _ in self._clients])

    async def read_singles(self) -> tuple[float, float]:
        requests = [self._request("GET", f"{_BUCKET}/read?ts={number}") for number in range(1, _BATCH)]
        return await self._turn([random.choices(requests, k=_SINGLES) for _ in self._clients])

    async def write_batches(self) -> tuple[float, float]:
        return await self._turn([[self._batch("written") for _ in range(_BATCHES)] for _ in self._clients])

    async def read_batches(self) -> tuple[float, float]:
        """Read all records of an entry, by a query that was begun before."""
        begin = self._request("GET", f"{_BUCKET}/read/q")
        numbers = [
            [orjson.loads(await client.send(begin))["id"] for _ in range(_BATCHES)]
            for client in self._clients
        ]
        return await self._turn(
            [[self._request("GET", f"{_BUCKET}/read/batch?q={number}") for number in own] for own in numbers]
        )

    async def _turn(self, requests: list[list[bytes]]) -> tuple[float, float]:
        """Send to each connection its requests; return the server's CPU and the time for one, in us."""
        begun, cpu_us = time.perf_counter(), self._cpu_us()
        await asyncio.gather(*map(_send_all, self._clients, requests))
        count = sum(map(len, requests))
        taken_us = self._cpu_us() - cpu_us
        return taken_us / count, (time.perf_counter() - begun) / count * 1_000_000

    def _single(self) -> bytes:
        return self._request("POST", f"{_BUCKET}/written?ts={next(self._times_us)}", _RECORD)

    def _batch(self, entry: str) -> bytes:
        times_us = itertools.islice(self._times_us, _BATCH)
        headers = "".join(
            f"x-reduct-time-{time_us}: {len(_RECORD)},application/octet-stream\r\n" for time_us in times_us
        )
        return self._request("POST", f"{_BUCKET}/{entry}/batch", _RECORD * _BATCH, headers)

    def _request(self, method: str, target: str, body: bytes = b"", headers: str = "") -> bytes:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        return f"{method} {target} {self._head}{headers}{length}\r\n".encode() + body


async def _send_all(client: Client, requests: Iterable[bytes]) -> None:
    for request in requests:
        await client.send(request)


# Reads come first: what was written makes them slower, by as much of it as lies in a server's log just then.
_WORK = {
    "1 KB record read": _Server.read_singles,
    f"batch of {_BATCH} read": _Server.read_batches,
    "1 KB record written": _Server.write_singles,
    f"batch of {_BATCH} written": _Server.write_batches,
}


async def run(starts: int, rounds: int) -> Report:
    """Measure the servers in turn, in random order, one kind of work after the other; then again with new ones.

    Where a process has things in memory makes more of a difference than a guard, and stays as it is until its end.
    """
    found: dict[str, list[Mapping[str, tuple[Beside, Beside]]]] = {what: [] for what in _WORK}
    for _ in range(starts):
        async with contextlib.AsyncExitStack() as stack:
            servers = {name: await stack.enter_async_context(_Server.start(name)) for name in _VARIANTS}
            for what, work in _WORK.items():
                turns = {name: partial(work, server) for name, server in servers.items()}
                found[what].append(await put_rounds_beside(PLAIN, turns, rounds))
    report = Report("storage", "the same request without a guard; the server's CPU for it")
    for what in _WORK:
        _add(report, what, found[what])
    return report


def _add(report: Report, what: str, found: Sequence[Mapping[str, tuple[Beside, Beside]]]) -> None:
    def of_all(name: str, kind: int) -> Beside:
        beside = [of_start[name][kind] for of_start in found]
        return Beside(
            statistics.median(one.ratio for one in beside),
            statistics.median(one.microseconds for one in beside),
        )

    for name, told in _VARIANTS.items():
        cpu = of_all(name, 0)
        report.rows.append(Row(f"{what}, {told}", cpu.ratio, cpu.microseconds))
    goal = _GOAL_PERCENT.get(what, _GOAL_BATCH_PERCENT)
    for kind, measure in enumerate(("CPU", "time")):
        share = (1 - 1 / of_all(GUARDED, kind).ratio) * 100
        name = f"{what}: the guard's share of {measure}"
        report.rows.append(Row(name, None, share, "%", goal=None if kind else goal))


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run(1, 2))


@click.command()
@click.option("--starts", default=7, show_default=True, help="How often all servers are started anew.")
@click.option("--rounds", default=15, show_default=True, help="After each start.")
@json_option
def main(starts: int, rounds: int, folder: Path) -> None:
    """Measure the guard's share of storage."""
    asyncio.run(run(starts, rounds)).show(folder)


if __name__ == "__main__":
    main()
