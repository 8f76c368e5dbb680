"""A guarded read while tokens are created, over the same without: `python -m benchmarks.reads_beside_changes`.

The server is a process of its own. Eight connections read, each as soon as it was answered; in every other turn one
more creates tokens the same way, through the token API. What counts is the 99th percentile of the reads of a turn,
and of all turns of a kind the lower quartile.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import time
from pathlib import Path

import click

from benchmarks.client import Client
from benchmarks.process import started
from benchmarks.report import Report, Row, json_option
from benchmarks.served import BUCKET

__all__ = ["main", "run", "short"]

_CONNECTIONS = 8
_TURN_SECONDS = 1.0
_WITHOUT, _WITH = "without creations", "while tokens are created"
_HEAD = "HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nAuthorization: Bearer {value}\r\n"
_DRAFT = b'{"permissions":{"read":["bucket-7"]}}'


class _Turns:
    """Turns with and without creations, against one server."""

    def __init__(self, port: int, value: str, administrator: str) -> None:
        self._port = port
        self._head = _HEAD.format(value=administrator)
        self._read = (
            f"GET /api/v1/b/{BUCKET}/oslo {_HEAD.format(value=value)}User-Agent: benchmark\r\n\r\n".encode()
        )
        self._numbers = itertools.count()

    async def turn(self, *, creating: bool) -> tuple[list[float], int]:
        """Return how long each read took, in us, and how many tokens were created."""
        end = time.perf_counter() + _TURN_SECONDS
        readers = [self._reads(end) for _ in range(_CONNECTIONS)]
        creation = self._creations(end) if creating else _nothing()
        *reads, created = await asyncio.gather(*readers, creation)
        return [took for some in reads if isinstance(some, list) for took in some], int(str(created))

    async def _reads(self, end: float) -> list[float]:
        client, took = await Client.to(self._port), []
        while (begun := time.perf_counter()) < end:
            await client.send(self._read)
            took.append((time.perf_counter() - begun) * 1_000_000)
        await client.close()
        return took

    async def _creations(self, end: float) -> int:
        client, created = await Client.to(self._port), 0
        while time.perf_counter() < end:
            request = (
                f"POST /api/v1/tokens/made-{next(self._numbers)} {self._head}Content-Length: {len(_DRAFT)}"
            )
            await client.send(f"{request}\r\n\r\n".encode() + _DRAFT)
            created += 1
        await client.close()
        return created


async def _nothing() -> int:
    return 0


async def run(rounds: int) -> Report:
    """Measure in turn."""
    report = Report("reads_beside_changes", f"reads {_WITHOUT}")
    p99_us: dict[str, list[float]] = {_WITHOUT: [], _WITH: []}
    median_us: dict[str, list[float]] = {_WITHOUT: [], _WITH: []}
    created: list[int] = []
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(started("benchmarks.served", "guarded"))
        turns = _Turns(server.told["port"], server.told["value"], server.told["administrator"])
        await turns.turn(creating=True)
        for _ in range(rounds):
            for name in (_WITHOUT, _WITH):
                took, made = await turns.turn(creating=name == _WITH)
                quantiles = statistics.quantiles(took, n=100)
                p99_us[name].append(quantiles[98])
                median_us[name].append(quantiles[49])
                if name == _WITH:
                    created.append(made)
    for what, goal, samples in (("99th percentile", 1.5, p99_us), ("median", None, median_us)):
        found = {name: statistics.quantiles(some, n=4)[0] for name, some in samples.items()}
        for name in samples:
            ratio = found[name] / found[_WITHOUT]
            report.rows.append(
                Row(f"{what}, {name}", ratio, found[name], goal=goal if name == _WITH else None)
            )
    per_second = statistics.median(created) / _TURN_SECONDS
    report.rows.append(Row("created in a second meanwhile", None, per_second, "tokens"))
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run(2))


@click.command()
@click.option("--rounds", default=30, show_default=True)
@json_option
def main(rounds: int, folder: Path) -> None:
    """Measure reads while tokens are created."""
    asyncio.run(run(rounds)).show(folder)


if __name__ == "__main__":
    main()
