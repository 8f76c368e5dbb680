"""Buckets: create, show, change, rename, remove."""

from __future__ import annotations

import logging

from aiohttp import web

from reductauth import Authenticated, FullAccess
from reductauth.web import AUTH, TOKEN, actor_of, expect_later, read_bucket, requires
from storage_demo.api.bodies import json_response, read_new_name, read_settings_change
from storage_demo.api.keys import ENGINE
from storage_demo.api.version import EMPTY
from storage_demo.api.views import bucket_view, entry_view, settings_view
from storage_demo.engine import BucketExistsError, check_bucket_name

__all__ = ["bucket_routes"]

_logger = logging.getLogger("storage_demo.api")


def bucket_routes(api: str) -> list[web.RouteDef]:
    """Routes below the path `api`."""
    bucket = f"{api}/b/{{bucket_name:[^/]+}}"
    return [
        web.post(bucket, create_bucket, expect_handler=expect_later),
        web.get(bucket, show_bucket, allow_head=False),
        web.head(bucket, probe_bucket),
        web.put(bucket, change_bucket, expect_handler=expect_later),
        web.delete(bucket, remove_bucket),
        web.put(f"{bucket}/rename", rename_bucket, expect_handler=expect_later),
    ]


@requires(FullAccess())
async def create_bucket(request: web.Request) -> web.Response:
    """Make an empty bucket."""
    change = await read_settings_change(request)
    await request.app[AUTH].registry.check_bucket_settled(_name(request))
    await request.app[ENGINE].create_bucket(_name(request), change)
    _log("created", request)
    return web.Response()


@requires(read_bucket("bucket_name"))
async def show_bucket(request: web.Request) -> web.Response:
    """Show a bucket, its settings and its entries."""
    detail = await request.app[ENGINE].bucket(_name(request))
    return json_response(
        {
            "info": bucket_view(detail.info),
            "settings": settings_view(detail.settings),
            "entries": [entry_view(entry) for entry in detail.entries],
        }
    )


@requires(Authenticated())
async def probe_bucket(request: web.Request) -> web.Response:
    """Say whether a bucket exists: by the protocol the one such answer to a token without access to it."""
    await request.app[ENGINE].require_bucket(_name(request))
    return web.Response(headers=EMPTY)


@requires(FullAccess())
async def change_bucket(request: web.Request) -> web.Response:
    """Merge settings into those of a bucket."""
    await request.app[ENGINE].change_settings(_name(request), await read_settings_change(request))
    _log("changed", request)
    return web.Response()


@requires(FullAccess())
async def remove_bucket(request: web.Request) -> web.Response:
    """Remove a bucket with its records, and the exact grants on it."""
    engine, name = request.app[ENGINE], _name(request)
    # What can be refused is refused before the registry suspends the grants.
    await engine.check_removable(name)
    async with request.app[AUTH].registry.removing_bucket(actor_of(request), name):
        await engine.remove_bucket(name)
    _log("removed", request)
    return web.Response()


@requires(FullAccess())
async def rename_bucket(request: web.Request) -> web.Response:
    """Rename a bucket; exact grants on it follow."""
    engine, name = request.app[ENGINE], _name(request)
    new_name = await read_new_name(request)
    # What can be refused is refused before the registry suspends the grants on both names.
    check_bucket_name(new_name)
    await engine.check_renamable(name)
    if new_name in await engine.bucket_names():
        raise BucketExistsError(new_name)
    async with request.app[AUTH].registry.renaming_bucket(actor_of(request), name, new_name):
        await engine.rename_bucket(name, new_name)
    _log("renamed", request, new_name=new_name)
    return web.Response()


def _name(request: web.Request) -> str:
    return request.match_info["bucket_name"]


def _log(event: str, request: web.Request, **details: str) -> None:
    extra = "".join(f" {key}={value}" for key, value in details.items())
    _logger.info("bucket %s name=%s%s by=%s", event, _name(request), extra, request[TOKEN].name)
