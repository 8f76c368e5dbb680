"""Where the guard's time goes on its way through aiohttp: `python -m benchmarks.pieces`.

Two ways to ask, both in place, where caches are cold: a decorator that does one thing and no more, and the guard
with one thing taken out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import click
from aiohttp import hdrs, web

from benchmarks.line import REQUESTS, Line, request_bytes
from benchmarks.measure import Variant, put_beside
from benchmarks.report import Report, Row, json_option
from benchmarks.served import BUCKET, VARIANTS, application, handler, running, serving
from reductauth.disabled import EVERYBODY
from reductauth.web import AUTH, TOKEN
from reductauth.web.keys import IDENTITY

__all__ = ["main", "run", "short"]

_PLAIN, _GUARDED, _FLOOR = VARIANTS
_NO_COUNTING = "the guard, without counting usage"
_NO_MEMORY = "the guard, without looking for the value"
_NEITHER = "the guard, without either"


async def _pass(request: web.Request) -> web.Response:
    return await handler(request)


async def _read(request: web.Request) -> web.Response:
    request.headers.getall(hdrs.AUTHORIZATION, ())
    _ = request.remote
    return await handler(request)


async def _find_module(request: web.Request) -> web.Response:
    request.match_info.current_app.get(AUTH)
    return await handler(request)


async def _hand_on(request: web.Request) -> web.Response:
    request[TOKEN] = EVERYBODY.token
    request[IDENTITY] = EVERYBODY
    return await handler(request)


_DECORATORS = {
    "a decorator that does nothing": _pass,
    "a decorator that reads header and address": _read,
    "a decorator that finds the module of its application": _find_module,
    "a decorator that hands caller and token on": _hand_on,
}


def _drop_counting(gate: Any) -> None:
    gate.count = "".format  # a call that does next to nothing


def _drop_memory(gate: Any) -> None:
    known: list[Any] = []
    recall = gate.recall

    def at_once(*asked: Any) -> Any:
        if not known:
            known.extend(found for found in [recall(*asked)] if found is not None)
        return known[0] if known else None

    gate.recall = at_once


def _drop_both(gate: Any) -> None:
    _drop_counting(gate)
    _drop_memory(gate)


_DROPS: dict[str, Callable[[Any], None]] = {
    _NO_COUNTING: _drop_counting,
    _NO_MEMORY: _drop_memory,
    _NEITHER: _drop_both,
}


@contextlib.asynccontextmanager
async def _lines() -> AsyncIterator[dict[str, Variant]]:
    async with contextlib.AsyncExitStack() as stack:

        def line(runner: web.AppRunner, value: str) -> Line:
            return Line(runner, [request_bytes(BUCKET, f"Bearer {value}")], [200])

        lines: dict[str, Variant] = {}
        for variant in VARIANTS:
            served = await stack.enter_async_context(serving(variant))
            lines[variant] = line(served.runner, served.value)
        for name, drop in _DROPS.items():
            served = await stack.enter_async_context(serving(_GUARDED))
            lines[name] = line(served.runner, served.value)
            await lines[name]()
            drop(served.runner.app[AUTH].gate)
        for name, decorator in _DECORATORS.items():
            app = application(decorator)
            app[AUTH] = served.runner.app[AUTH]
            lines[name] = line(await stack.enter_async_context(running(app)), "nobody")
        yield lines


async def run(rounds: int) -> Report:
    """Measure all pieces in turn."""
    async with _lines() as lines:
        found = await put_beside(_PLAIN, lines, REQUESTS, rounds)
    report = Report("pieces", "plain: the same route without a guard")
    for name, beside in found.items():
        report.rows.append(Row(name, beside.ratio, beside.microseconds))
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run(4))


@click.command()
@click.option("--rounds", default=300, show_default=True)
@json_option
def main(rounds: int, folder: Path) -> None:
    """Measure the pieces of the guard."""
    asyncio.run(run(rounds)).show(folder)


if __name__ == "__main__":
    main()
