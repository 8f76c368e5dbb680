"""Several entries of a bucket at once: queries and batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aiohttp import web

from reductauth.web import any_bucket_access, expect_later, read_bucket, requires, write_bucket
from storage_demo.api.errors import status_of
from storage_demo.api.keys import ENGINE
from storage_demo.api.parameters import bucket_name, length_bytes, query_number
from storage_demo.api.reading import answer_query, find_query, read_batch
from storage_demo.api.responses import no_content, send_batch
from storage_demo.api.version import EMPTY
from storage_demo.api.writing import check_length, store_records
from storage_demo.encoding import v2
from storage_demo.encoding.headers import Header
from storage_demo.engine import EngineError, InvalidError, LabelChange

__all__ = ["multi_entry_routes"]

_QUERY_ID = "x-reduct-query-id"


def multi_entry_routes(api: str) -> list[web.RouteDef]:
    """Routes below the path `api`."""
    bucket = f"{api}/io/{{bucket_name:[^/]+}}"
    return [
        web.post(f"{bucket}/q", begin_or_remove, expect_handler=expect_later),
        web.get(f"{bucket}/read", read_next_batch),
        web.post(f"{bucket}/write", write_batch, expect_handler=expect_later),
        web.patch(f"{bucket}/update", update_batch),
        web.delete(f"{bucket}/remove", remove_batch),
    ]


@requires(any_bucket_access("bucket_name"))
async def begin_or_remove(request: web.Request) -> web.Response:
    """Begin the query that the body describes, or remove what it finds."""
    return await answer_query(request, entry=None)


@requires(read_bucket("bucket_name"))
async def read_next_batch(request: web.Request) -> web.StreamResponse:
    """Answer with the next records of a query."""
    text = request.headers.get(_QUERY_ID)
    if text is None:
        raise InvalidError(f"{_QUERY_ID} header is required for batched reads")
    query = await find_query(request, query_number(text, "Invalid query id"), entry=None)
    headers = v2.BatchHeaders()
    async with await read_batch(request, query, headers) as batch:
        if batch.is_last and not batch.records:
            return no_content()
        # The end of a continuous query is only the end of what there is by now.
        is_last = batch.is_last and not query.scan.is_continuous
        return await send_batch(request, batch, headers.items(), is_last=is_last)


@requires(write_bucket("bucket_name"))
async def write_batch(request: web.Request) -> web.Response:
    """Store the records that the headers describe, contents by entry, then by time."""
    length_bytes(request)
    batch = v2.read_write_batch(request.headers.items())
    check_length(request, [item.record for item in batch.items])
    await request.app[ENGINE].require_bucket(bucket_name(request))
    refusals = await store_records(request, [(item.entry, item.record) for item in batch.items])
    return _answer(batch.echo, batch.items, refusals)


@requires(write_bucket("bucket_name"))
async def update_batch(request: web.Request) -> web.Response:
    """Change labels of the records that the headers name."""
    batch = v2.read_update_batch(request.headers.items())
    changes = [LabelChange(item.entry, item.timestamp_us, item.changes) for item in batch.items]
    refusals = await request.app[ENGINE].update_labels(bucket_name(request), changes)
    return _answer(batch.echo, batch.items, refusals)


@requires(write_bucket("bucket_name"))
async def remove_batch(request: web.Request) -> web.Response:
    """Remove the records that the headers name."""
    batch = v2.read_removal_batch(request.headers.items())
    places = [(item.entry, item.timestamp_us) for item in batch.items]
    refusals = await request.app[ENGINE].remove_records(bucket_name(request), places)
    return _answer(batch.echo, batch.items, refusals)


def _answer(
    echo: Iterable[Header], items: Sequence[v2.RemovalItem], refusals: Iterable[EngineError | None]
) -> web.Response:
    failed = [
        v2.error_header(item.entry_index, item.delta_us, status_of(refusal), str(refusal))
        for item, refusal in zip(items, refusals, strict=True)
        if refusal is not None
    ]
    return web.Response(headers={**EMPTY, **dict(echo), **dict(failed)})
