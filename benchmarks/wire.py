"""One request through aiohttp without sockets, guarded against plain: `python -m benchmarks.wire [--tokens N ...]`.

Bytes go into the protocol as a socket would hand them over, through parser, router, guard and handler, to
`transport.write`. Every variant gets the same bytes: first those of one token over and over, then, among as many
tokens as are asked for, those of tokens that lie anywhere in the registry and in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import click
from aiohttp import web

from benchmarks.floor import Floor, floor_code
from benchmarks.libraries import JwtHs256, Peer, SqliteRead, check_permission, secure
from benchmarks.line import REQUESTS, Line, request_bytes
from benchmarks.measure import Variant, put_beside
from benchmarks.population import Grants, clock_after_expiry, populate
from benchmarks.report import Report, Row, json_option
from benchmarks.served import (
    BUCKET,
    NO_END,
    VARIANTS,
    Served,
    application,
    deciding,
    floor_guard,
    guarded_application,
    handler,
    running,
    serving,
)
from reductauth.authenticator import DEFAULT_CACHE_SIZE

__all__ = ["main", "run", "short"]

PLAIN = "plain"
_SAMPLE = 2_100
"""Requests of different tokens, before they come again."""


def _mistyped(value: str) -> str:
    return value[:-1] + ("0" if value[-1] != "0" else "1")


class _Stage(contextlib.AsyncExitStack):
    """Applications, started as they are needed and stopped together."""

    async def start(self, app: web.Application) -> web.AppRunner:
        return await self.enter_async_context(running(app))

    async def peers(self, grants: Grants, numbers: Sequence[int]) -> dict[str, Variant]:
        """What others do, for the holders of some of the tokens."""
        secured = application(_secured)
        secure(secured, Floor(grants))
        folder = Path(self.enter_context(tempfile.TemporaryDirectory()))
        sqlite_read = self.enter_context(contextlib.closing(SqliteRead(grants, folder)))
        jwt = JwtHs256(grants)
        return {
            "aiohttp-security check_permission": Line(
                await self.start(secured), _requests(sqlite_read, grants, numbers), [200]
            ),
            "an SQLite read as a decorator": Line(
                await self.start(application(deciding(sqlite_read.allows))),
                _requests(sqlite_read, grants, numbers),
                [200],
            ),
            "PyJWT HS256 as a decorator": Line(
                await self.start(application(deciding(jwt.allows))), _requests(jwt, grants, numbers), [200]
            ),
        }


def _requests(peer: Peer, grants: Grants, numbers: Sequence[int]) -> list[bytes]:
    return [request_bytes(grants[number][1], peer.header(number)) for number in numbers]


async def _secured(request: web.Request) -> web.Response:
    await check_permission(request, request.match_info["bucket"])
    return await handler(request)


@contextlib.asynccontextmanager
async def _lines() -> AsyncIterator[dict[str, Variant]]:
    async with _Stage() as stack:

        async def serve(variant: str, failures_per_minute: int = NO_END) -> Served:
            return await stack.enter_async_context(serving(variant, failures_per_minute))

        def line(served: Served, bucket: str, value: str, *statuses: int) -> Line:
            return Line(served.runner, [request_bytes(bucket, f"Bearer {value}")], statuses)

        plain, guarded, floored = [await serve(variant) for variant in VARIANTS]
        flooded = await serve("guarded", 1)
        value = guarded.value
        yield {
            PLAIN: line(plain, BUCKET, value, 200),
            "guarded": line(guarded, BUCKET, value, 200),
            "the floor as a decorator": line(floored, BUCKET, floored.value, 200),
            **await stack.peers([(value, BUCKET)], [0]),
            "refused with 401": line(guarded, BUCKET, _mistyped(value), 401),
            "refused with 429": line(flooded, BUCKET, _mistyped(value), 429, 401),
            "refused with 403": line(guarded, "other", value, 403),
        }


@contextlib.asynccontextmanager
async def _lines_among(count: int) -> AsyncIterator[dict[str, Variant]]:
    """Variants whose requests come from the holders of many tokens, all of a registry or as many as are remembered."""
    async with _Stage() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        grants = await populate(folder / "auth", count)
        remembered = range(max(0, count - DEFAULT_CACHE_SIZE), count)
        numbers = random.choices(remembered, k=_SAMPLE)
        chosen = [grants[number] for number in numbers]
        good = [request_bytes(bucket, f"Bearer {value}") for value, bucket in chosen]
        mistyped = [request_bytes(bucket, f"Bearer {_mistyped(value)}") for value, bucket in chosen]
        unknown = [request_bytes(bucket, f"Bearer {random.randbytes(32).hex()}") for _, bucket in chosen]
        forbidden = [request_bytes("other", f"Bearer {value}") for value, _ in chosen]
        plain = await stack.start(application(handler))
        floored = await stack.start(application(floor_guard(Floor(grants))))
        guarded = await stack.start(guarded_application(folder))
        flooded = await stack.start(guarded_application(folder, failures_per_minute=1))
        late = await stack.start(guarded_application(folder, clock=clock_after_expiry()))
        everybody = [
            request_bytes(bucket, f"Bearer {value}")
            for value, bucket in (grants[number] for number in remembered)
        ]
        for runner, status in ((guarded, 200), (late, 401)):
            await Line(runner, everybody, [status]).send(len(everybody))
        yield {
            PLAIN: Line(plain, good, [200]),
            "good value": Line(guarded, good, [200]),
            "bad checksum, 401": Line(guarded, mistyped, [401]),
            "unknown value, 401": Line(guarded, unknown, [401]),
            "expired, 401": Line(late, good, [401]),
            "forbidden, 403": Line(guarded, forbidden, [403]),
            "too many failures, 429": Line(flooded, mistyped, [429, 401]),
            "the floor as a decorator": Line(floored, good, [200]),
            **await stack.peers(grants, numbers),
        }


async def run(counts: Sequence[int], rounds: int) -> Report:
    """Measure all variants in turn: with one token, then at each number of tokens."""
    report = Report("wire", "plain: the same route without a guard")
    async with _lines() as lines:
        found = await put_beside(PLAIN, lines, REQUESTS, rounds)
    goals = {"guarded": 1.12, "refused with 401": 1.2, "refused with 403": 1.2, "refused with 429": 1.2}
    for name, beside in found.items():
        at_least = name.startswith("aiohttp-security")
        goal = 1.3 if at_least else goals.get(name)
        report.rows.append(Row(name, beside.ratio, beside.microseconds, goal=goal, at_least=at_least))
    for count in counts:
        async with _lines_among(count) as lines:
            found = await put_beside(PLAIN, lines, REQUESTS, rounds)
        for name, beside in found.items():
            report.rows.append(Row(name, beside.ratio, beside.microseconds, size=count))
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run((1_000,), 3))


@click.command()
@click.option(
    "--tokens",
    "counts",
    type=int,
    multiple=True,
    default=(10, 1_000, 100_000, 1_000_000),
    show_default=True,
)
@click.option("--rounds", default=150, show_default=True)
@json_option
def main(counts: tuple[int, ...], rounds: int, folder: Path) -> None:
    """Measure one request through aiohttp, without sockets."""
    print(floor_code())
    asyncio.run(run(counts, rounds)).show(folder)


if __name__ == "__main__":
    main()
