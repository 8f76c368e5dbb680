"""A server of the token API that tells how long its loop was held, for `benchmarks.listing`."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import click
import orjson
from aiohttp import web

import reductauth.web
from benchmarks.watched import Hold, watched
from reductauth.policy import Anonymous
from reductauth.settings import Settings
from reductauth.web import requires

__all__ = ["HOLD_PATH", "main"]

HOLD_PATH = "/hold"
"""Answers with the longest hold since it was asked last, in ms."""


_HOLD = web.AppKey("_HOLD", Hold)


@requires(Anonymous())
async def _show_hold(request: web.Request) -> web.Response:
    hold = request.app[_HOLD]
    longest_ms, hold.longest_ms = hold.longest_ms, 0.0
    return web.json_response({"longest_ms": longest_ms})


async def _watching(app: web.Application) -> AsyncIterator[None]:
    async with watched() as app[_HOLD]:
        yield


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("administrator")
def main(folder: Path, administrator: str) -> None:
    """Serve the registry in FOLDER until the process is ended; ADMINISTRATOR is the bootstrap token."""
    environ = {"RS_API_TOKEN": administrator, "RS_DATA_PATH": str(folder.parent)}
    app = web.Application()
    app.router.add_get(HOLD_PATH, _show_hold, allow_head=False)
    app.cleanup_ctx.append(_watching)
    reductauth.web.setup(app, Settings.from_environment(environ), environ=environ)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        click.echo(orjson.dumps({"port": sock.getsockname()[1]}).decode())
        reductauth.web.run(app, sock=sock)


if __name__ == "__main__":
    main()
