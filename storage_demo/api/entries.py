"""Entries: remove one, rename one."""

from __future__ import annotations

import logging

from aiohttp import web

from reductauth import Anonymous
from reductauth.web import TOKEN, drain, error_response, expect_later, requires, write_bucket
from storage_demo.api.bodies import read_new_name
from storage_demo.api.keys import ENGINE
from storage_demo.api.parameters import bucket_name, entry_name, required_timestamp_us
from storage_demo.engine import EngineError

__all__ = ["entry_routes"]

_logger = logging.getLogger("storage_demo.api")


def entry_routes(entry: str) -> list[web.RouteDef]:
    """Routes at and below the path `entry`."""
    return [
        web.put(f"{entry}/rename", rename_entry, expect_handler=expect_later),
        web.put(entry, answer_other_put, expect_handler=expect_later),
        web.delete(entry, remove_entry_or_record),
    ]


@requires(write_bucket("bucket_name"))
async def rename_entry(request: web.Request) -> web.Response:
    """Move an entry, with all below it, within its bucket."""
    bucket, entry = bucket_name(request), entry_name(request)
    new_name = await read_new_name(request)
    await request.app[ENGINE].rename_entry(bucket, entry, new_name)
    _logger.info(
        "entry renamed bucket=%s name=%s new_name=%s by=%s", bucket, entry, new_name, request[TOKEN].name
    )
    return web.Response()


@requires(Anonymous())
async def answer_other_put(request: web.Request) -> web.Response:
    """Answer as for a path that is not there: nothing else below a bucket is put."""
    response = error_response(404, "Not found")
    await drain(request, response)
    return response


@requires(write_bucket("bucket_name"))
async def remove_entry_or_record(request: web.Request) -> web.Response:
    """Remove the record at `ts`; without any parameter the entry, with all below it."""
    bucket, entry, engine = bucket_name(request), entry_name(request), request.app[ENGINE]
    if request.query:
        refusals = await engine.remove_records(bucket, [(entry, required_timestamp_us(request))])
        _raise_refusal(refusals)
    else:
        await engine.remove_entry(bucket, entry)
        _logger.info("entry removed bucket=%s name=%s by=%s", bucket, entry, request[TOKEN].name)
    return web.Response()


def _raise_refusal(refusals: list[EngineError | None]) -> None:
    for refusal in refusals:
        if refusal is not None:
            raise refusal
