"""Queries of one entry: begin one, read it record by record or in batches, remove what it finds."""

from __future__ import annotations

from aiohttp import web

from reductauth.web import any_bucket_access, expect_later, read_bucket, requires, write_bucket
from storage_demo.api.parameters import entry_name, query_number
from storage_demo.api.query_bodies import selection_of_parameters, ttl_of_parameters
from storage_demo.api.reading import answer_query, begin_query, find_query, read_batch, read_one, remove_found
from storage_demo.api.responses import no_content, send_batch, send_record
from storage_demo.encoding import v1
from storage_demo.engine import InvalidError

__all__ = ["query_routes", "read_next"]


def query_routes(entry: str) -> list[web.RouteDef]:
    """Routes below the path `entry`; they go before those of the entry itself."""
    return [
        web.get(f"{entry}/q", begin_by_parameters, allow_head=False),
        web.post(f"{entry}/q", begin_or_remove, expect_handler=expect_later),
        web.delete(f"{entry}/q", remove_by_parameters),
        web.get(f"{entry}/batch", read_next_batch),
    ]


@requires(read_bucket("bucket_name"))
async def begin_by_parameters(request: web.Request) -> web.Response:
    """Begin a query that the parameters describe."""
    selection = selection_of_parameters(request, entry_name(request))
    return await begin_query(request, selection, ttl_of_parameters(request))


@requires(any_bucket_access("bucket_name"))
async def begin_or_remove(request: web.Request) -> web.Response:
    """Begin the query that the body describes, or remove what it finds."""
    return await answer_query(request, entry_name(request))


@requires(write_bucket("bucket_name"))
async def remove_by_parameters(request: web.Request) -> web.Response:
    """Remove the records that the parameters describe."""
    return await remove_found(request, selection_of_parameters(request, entry_name(request)))


@requires(read_bucket("bucket_name"))
async def read_next_batch(request: web.Request) -> web.StreamResponse:
    """Answer with the next records of a query."""
    text = request.query.get("q")
    if text is None:
        raise InvalidError("'q' parameter is required for batched reads")
    query = await find_query(request, query_number(text), entry_name(request))
    headers = v1.BatchHeaders()
    async with await read_batch(request, query, headers) as batch:
        if batch.is_last and not batch.records:
            return no_content()
        return await send_batch(request, batch, headers.items(), is_last=batch.is_last)


async def read_next(request: web.Request, text: str) -> web.StreamResponse:
    """Answer with the next record of the query whose number is `text`; its guard is that of the entry's route."""
    query = await find_query(request, query_number(text), entry_name(request))
    async with await read_one(request, query) as batch:
        if not batch.records:
            return no_content()
        reader = batch.readers[0] if batch.readers else None
        return await send_record(request, batch.records[0], reader)
