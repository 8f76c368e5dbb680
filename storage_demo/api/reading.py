"""Queries, begun and read: what the routes of one entry and of several have in common."""

from __future__ import annotations

from aiohttp import hdrs, web

from reductauth import Action, BucketAccess
from reductauth.web import TOKEN, allowed, authorize
from storage_demo.api.bodies import json_response, parse, read_body
from storage_demo.api.keys import ENGINE
from storage_demo.api.parameters import bucket_name
from storage_demo.api.query_bodies import QueryBody
from storage_demo.encoding.batch import BatchHeaders, is_full
from storage_demo.engine import InvalidError, OneRecord, Query, Record, RecordBatch, Selection

__all__ = [
    "answer_query",
    "begin_query",
    "find_query",
    "read_batch",
    "read_one",
    "refuse_extensions",
    "remove_found",
]

_BYTES_PER_BODY_BYTE = 20  # what a condition takes in memory, over its text


class _Filling:
    """A batch that follows the limits of the protocol (see `encoding.batch`)."""

    def __init__(self, headers: BatchHeaders, *, counts_bodies: bool) -> None:
        self._headers = headers
        self._counts_bodies = counts_bodies
        self._body_bytes = 0

    @property
    def is_full(self) -> bool:
        return is_full(self._headers, self._body_bytes)

    def fits(self, record: Record) -> bool:
        return self._headers.fits(record)

    def add(self, record: Record) -> None:
        self._headers.add(record)
        if self._counts_bodies:
            self._body_bytes += record.length_bytes


async def answer_query(request: web.Request, entry: str | None) -> web.Response:
    """Begin the query that a body describes, or remove what it finds: of one entry, or of several.

    Which of both it is, and so which access it takes, stands in the body. Without any access to the bucket the answer
    is a refusal in any case, and at once for a client that waits to send its body.
    """
    bucket = bucket_name(request)
    is_refused = not any([await allowed(request, BucketAccess(action, bucket)) for action in Action])
    if is_refused and hdrs.EXPECT in request.headers:
        await authorize(request, BucketAccess(Action.READ, bucket))
    content = await read_body(request)
    try:
        body = parse(QueryBody, content)
    except InvalidError:
        if is_refused:
            await authorize(request, BucketAccess(Action.READ, bucket))
        raise
    is_removal = body.query_type == "REMOVE"
    await authorize(request, BucketAccess(Action.WRITE if is_removal else Action.READ, bucket))
    refuse_extensions(request, body)
    selection = body.selection(entry)
    if is_removal:
        return await remove_found(request, selection)
    return await begin_query(request, selection, body.ttl_seconds, len(content) * _BYTES_PER_BODY_BYTE)


def refuse_extensions(request: web.Request, body: QueryBody) -> None:
    """Raise `InvalidError` for a query that asks for an extension: none is installed."""
    for extension in body.ext or ():
        query_id = request.app[ENGINE].queries.claim_id()
        raise InvalidError(f"Unknown extension '{extension}' in query id={query_id}")


async def begin_query(
    request: web.Request, selection: Selection, ttl_seconds: int, weight_bytes: int = 0
) -> web.Response:
    """Begin a query of the caller and answer with its number."""
    query_id = await request.app[ENGINE].queries.begin(
        bucket_name(request),
        selection,
        owner=request[TOKEN].token_id,
        ttl_seconds=ttl_seconds,
        weight_bytes=weight_bytes,
    )
    return json_response({"id": query_id})


async def remove_found(request: web.Request, selection: Selection) -> web.Response:
    """Remove what a query finds and answer with how many records that were."""
    count = await request.app[ENGINE].remove_found(bucket_name(request), selection)
    return json_response({"removed_records": count})


async def find_query(request: web.Request, query_id: int, entry: str | None) -> Query:
    """Find a query of the caller: another token has no part in it, whatever it may read."""
    return await request.app[ENGINE].queries.find(
        query_id, bucket_name(request), entry, owner=request[TOKEN].token_id
    )


async def read_batch(request: web.Request, query: Query, headers: BatchHeaders) -> RecordBatch:
    """Read the next batch, and describe it in `headers`."""
    is_get = request.method != hdrs.METH_HEAD
    rule = _Filling(headers, counts_bodies=is_get)
    return await request.app[ENGINE].queries.read(query, rule, with_contents=is_get)


async def read_one(request: web.Request, query: Query) -> RecordBatch:
    """Read the next record, however long it takes to find; the batch is empty at the end."""
    is_get = request.method != hdrs.METH_HEAD
    while True:
        batch = await request.app[ENGINE].queries.read(query, OneRecord(), with_contents=is_get)
        if batch.records or batch.is_last:
            return batch
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError("the client went away; nobody waits for the record")
