"""The engine: an application like any other, with its buckets guarded."""

from __future__ import annotations

import os

from aiohttp import web

import reductauth.web
from reductauth import Anonymous
from reductauth.settings import Settings
from reductauth.web import RESPONSE_HEADERS, read_bucket, requires, write_bucket

__all__ = ["create_app"]


def create_app() -> web.Application:
    """Make the application that the process's environment describes. Raises `ConfigurationError`."""
    app = web.Application()
    app[RESPONSE_HEADERS] = {"x-worker": str(os.getpid())}  # who answered, for the curious and for tests
    app.add_routes(
        [
            web.get("/api/v1/alive", alive),
            web.get("/api/v1/b/{bucket_name}", get_bucket),
            web.post("/api/v1/b/{bucket_name}", post_bucket),
        ]
    )
    reductauth.web.setup(app, Settings.from_environment())
    return app


@requires(Anonymous())
async def alive(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler's signature
    """Say that somebody answers."""
    return web.Response()


@requires(read_bucket("bucket_name"))
async def get_bucket(request: web.Request) -> web.Response:
    """Answer with what is in a bucket."""
    return web.Response(text=f"all of {request.match_info['bucket_name']}\n")


@requires(write_bucket("bucket_name"))
async def post_bucket(request: web.Request) -> web.Response:
    """Take in what is sent, however long it takes."""
    size_bytes = 0
    async for chunk in request.content.iter_any():
        size_bytes += len(chunk)
    return web.Response(text=f"{size_bytes} bytes for {request.match_info['bucket_name']}\n")
