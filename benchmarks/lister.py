"""A server of the token API that tells how long its loop was held, for `benchmarks.listing`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import orjson
from aiohttp import web

import reductauth.web
from benchmarks.watched import watched
from reductauth.policy import Anonymous
from reductauth.settings import Settings
from reductauth.web import requires

__all__ = ["HOLD_PATH", "main"]

HOLD_PATH = "/hold"
"""Answers with the longest hold since it was asked last, in ms."""


async def _serve(folder: Path, administrator: str) -> None:
    async with watched() as hold:

        @requires(Anonymous())
        async def show_hold(request: web.Request) -> web.Response:  # noqa: ARG001 - aiohttp hands it over
            longest_ms, hold.longest_ms = hold.longest_ms, 0.0
            return web.json_response({"longest_ms": longest_ms})

        environ = {"RS_API_TOKEN": administrator, "RS_DATA_PATH": str(folder.parent)}
        app = web.Application()
        app.router.add_get(HOLD_PATH, show_hold, allow_head=False)
        reductauth.web.setup(app, Settings.from_environment(environ), environ=environ)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        click.echo(orjson.dumps({"port": runner.addresses[0][1]}).decode())
        await asyncio.Event().wait()


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("administrator")
def main(folder: Path, administrator: str) -> None:
    """Serve the registry in FOLDER until the process is ended; ADMINISTRATOR is the bootstrap token."""
    asyncio.run(_serve(folder, administrator))


if __name__ == "__main__":
    main()
