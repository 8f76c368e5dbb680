"""The server itself: alive, ready, info, list; the lists of replications and lifecycles, which are empty."""

from __future__ import annotations

import time

from aiohttp import web

from reductauth import Action, Anonymous, Authenticated, BucketAccess, FullAccess
from reductauth.web import AUTH, allowed, error_response, requires
from storage_demo.api.bodies import json_response
from storage_demo.api.keys import ENGINE, SETTINGS, STARTED_AT_SECONDS
from storage_demo.api.version import EMPTY, VERSION
from storage_demo.api.views import bucket_view, settings_view
from storage_demo.engine import BucketSettings

__all__ = ["server_routes"]


def server_routes(api: str) -> list[web.RouteDef]:
    """Routes below the path `api`."""
    return [
        web.get(f"{api}/alive", alive),
        web.get(f"{api}/ready", ready),
        web.get(f"{api}/info", info),
        web.get(f"{api}/list", list_buckets),
        web.get(f"{api}/replications", list_replications),
        web.get(f"{api}/lifecycles", list_lifecycles),
    ]


@requires(Anonymous())
async def alive(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler's signature
    """Say that the process answers."""
    return web.Response(headers=EMPTY)


@requires(Anonymous())
async def ready(request: web.Request) -> web.Response:
    """Say whether changes can be kept."""
    if not request.app[AUTH].is_writable():
        return error_response(503, "The token registry can't keep changes")
    return web.Response(headers=EMPTY)


@requires(Authenticated())
async def info(request: web.Request) -> web.Response:
    """Describe the server."""
    usage = await request.app[ENGINE].usage()
    return json_response(
        {
            "version": VERSION,
            "instance_name": request.app[SETTINGS].instance_name,
            "instance_role": "STANDALONE",
            "bucket_count": usage.bucket_count,
            "usage": usage.size_bytes,
            "uptime": int(time.monotonic() - request.app[STARTED_AT_SECONDS]),
            "oldest_record": usage.oldest_record_us,
            "latest_record": usage.latest_record_us,
            "defaults": {"bucket": settings_view(BucketSettings())},
            "license": None,
        }
    )


@requires(Authenticated())
async def list_buckets(request: web.Request) -> web.Response:
    """List the buckets that the caller may read."""
    buckets = await request.app[ENGINE].list_buckets()
    return json_response(
        {
            "buckets": [
                bucket_view(bucket)
                for bucket in buckets
                if await allowed(request, BucketAccess(Action.READ, bucket.name))
            ]
        }
    )


@requires(FullAccess())
async def list_replications(request: web.Request) -> web.Response:  # noqa: ARG001
    """List no replications: this server has none."""
    return json_response({"replications": []})


@requires(FullAccess())
async def list_lifecycles(request: web.Request) -> web.Response:  # noqa: ARG001
    """List no lifecycle policies: this server has none."""
    return json_response({"lifecycles": []})
