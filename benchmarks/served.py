"""The applications that benchmarks put side by side: plain, guarded, with the floor as a decorator.

`python -m benchmarks.served VARIANT` serves one of them on a port of its own, for `benchmarks.http` and
`benchmarks.loops`.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click
import orjson
from aiohttp import web

import reductauth.web
from benchmarks.extras import from_extra
from benchmarks.floor import Floor
from reductauth.actor import Actor
from reductauth.clock import Clock
from reductauth.draft import TokenDraft
from reductauth.permissions import Permissions
from reductauth.settings import Settings
from reductauth.value import mint
from reductauth.web import AUTH, read_bucket, requires

__all__ = [
    "BUCKET",
    "LOOPS",
    "NO_END",
    "VARIANTS",
    "Served",
    "application",
    "deciding",
    "floor_guard",
    "guarded_application",
    "handler",
    "main",
    "running",
    "serving",
]

BUCKET = "weather"
VARIANTS = ("plain", "guarded", "the floor as a decorator")
LOOPS = ("asyncio", "uvloop")
NO_END = 1_000_000
"""Failures in a minute that no benchmark gets to, so that each is weighed and answered 401."""

_ADMINISTRATOR = mint("administrator")
_PATH = "/api/v1/b/{bucket}/{entry}"


@dataclass(frozen=True)
class Served:
    """A running application, a value that may read `BUCKET`, one with full access, and the data folder."""

    runner: web.AppRunner
    value: str
    administrator: str
    folder: Path


async def handler(request: web.Request) -> web.Response:  # noqa: ARG001 - aiohttp hands it over
    """Answer with a hundred bytes."""
    return web.Response(body=b"x" * 100)


def application(route_handler: Any) -> web.Application:
    """One route, whose path names a bucket."""
    app = web.Application()
    app.router.add_get(_PATH, route_handler)
    return app


def guarded_application(
    folder: Path, failures_per_minute: int = NO_END, clock: Clock | None = None
) -> web.Application:
    """The same behind our guard, on the registry in `folder`, which several may share."""
    app = application(requires(read_bucket("bucket"))(handler))
    environ = {
        "RS_API_TOKEN": _ADMINISTRATOR,
        "RS_DATA_PATH": str(folder),
        "RS_AUTH_FAILURES_PER_MINUTE": str(failures_per_minute),
    }
    reductauth.web.setup(app, Settings.from_environment(environ), environ=environ, clock=clock)
    return app


def deciding(allows: Callable[[str, str], bool]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler behind a decorator that asks `allows` about header and bucket."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.Response:
        if not allows(request.headers["Authorization"], request.match_info["bucket"]):
            return web.Response(status=401)
        return await handler(request)

    return guarded


def floor_guard(floor: Floor) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler behind the floor as a decorator."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.Response:
        await floor.decide([(request.headers["Authorization"], request.match_info["bucket"])])
        return await handler(request)

    return guarded


@contextlib.asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[web.AppRunner]:
    """Start an application, without a socket."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def serving(variant: str, failures_per_minute: int = NO_END) -> AsyncIterator[Served]:
    """Set one of `VARIANTS` up."""
    value = mint("reader")
    with tempfile.TemporaryDirectory() as folder:
        if variant == "plain":
            app = application(handler)
        elif variant == "guarded":
            app = guarded_application(Path(folder), failures_per_minute)
        else:
            app = application(floor_guard(Floor([(value, BUCKET)])))
        async with running(app) as runner:
            if variant == "guarded":
                draft = TokenDraft(permissions=Permissions.of(read=[BUCKET]))
                value = (await app[AUTH].registry.create(Actor.environment(), "reader", draft)).value
            yield Served(runner, value, _ADMINISTRATOR, Path(folder))


async def _serve(variant: str) -> None:
    async with serving(variant) as served:
        site = web.TCPSite(served.runner, "127.0.0.1", 0)
        await site.start()
        address = served.runner.addresses[0]
        told = {
            "port": address[1],
            "value": served.value,
            "administrator": served.administrator,
            "folder": str(served.folder),
        }
        click.echo(orjson.dumps(told).decode())
        await asyncio.Event().wait()


@click.command()
@click.argument("variant", type=click.Choice(VARIANTS))
@click.option("--loop", type=click.Choice(LOOPS), default="asyncio", show_default=True)
def main(variant: str, loop: str) -> None:
    """Serve one application until the process is ended."""
    new_loop = asyncio.new_event_loop
    if loop == "uvloop":
        with from_extra("peers"):
            from uvloop import new_event_loop as new_loop  # noqa: PLC0415 - it needs an extra
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(variant))


if __name__ == "__main__":
    main()
