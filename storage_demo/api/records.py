"""Single records: write one, read one, change its labels."""

from __future__ import annotations

from aiohttp import hdrs, web

from reductauth.web import expect_later, let_client_send, read_bucket, requires, write_bucket
from storage_demo.api.keys import ENGINE
from storage_demo.api.parameters import (
    bucket_name,
    entry_name,
    length_bytes,
    new_labels,
    required_timestamp_us,
    timestamp_us,
)
from storage_demo.api.queries import read_next
from storage_demo.api.responses import send_record
from storage_demo.encoding.content_type import read_content_type
from storage_demo.engine import LabelChange

__all__ = ["record_routes"]

_CHUNK_BYTES = 256 * 1024


def record_routes(entry: str) -> list[web.RouteDef]:
    """Routes at the path `entry`."""
    return [
        web.post(entry, write_record, expect_handler=expect_later),
        web.get(entry, read_record),
        web.patch(entry, update_record),
    ]


@requires(write_bucket("bucket_name"))
async def write_record(request: web.Request) -> web.Response:
    """Store the body as a record."""
    writer = await request.app[ENGINE].write_record(
        bucket_name(request),
        entry_name(request),
        required_timestamp_us(request),
        length_bytes(request),
        read_content_type(request.headers.get(hdrs.CONTENT_TYPE, "")),
        new_labels(request),
    )
    async with writer:
        await let_client_send(request)
        async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
            await writer.write(chunk)
        await writer.commit()
    return web.Response()


@requires(read_bucket("bucket_name"))
async def read_record(request: web.Request) -> web.StreamResponse:
    """Answer with one record: the one at `ts`, the latest, or the next one of the query `q`."""
    query = request.query.get("q")
    if query is not None:
        return await read_next(request, query)
    reader = await request.app[ENGINE].read_record(
        bucket_name(request), entry_name(request), timestamp_us(request)
    )
    async with reader:
        return await send_record(request, reader.record, reader)


@requires(write_bucket("bucket_name"))
async def update_record(request: web.Request) -> web.Response:
    """Change the labels of a record: those in the headers are set, or taken away where they are empty."""
    changes = {name: value or None for name, value in new_labels(request).items()}
    change = LabelChange(entry_name(request), required_timestamp_us(request), changes)
    (refusal,) = await request.app[ENGINE].update_labels(bucket_name(request), [change])
    if refusal is not None:
        raise refusal
    return web.Response()
