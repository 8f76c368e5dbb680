"""Lists of tokens as JSON: a page in one piece, all of them as a stream."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from aiohttp import hdrs, web

from reductauth.errors import StoreUnavailableError
from reductauth.listing import Batch, RenderedPage
from reductauth.query import TokenQuery
from reductauth.store import Snapshot
from reductauth.token import Token
from reductauth.web.views import full_view, token_view
from reductauth.web.wire import to_json

__all__ = ["bare_end", "counted_end", "full_rows", "page_body", "protocol_rows", "stream_body"]

_logger = logging.getLogger("reductauth.web")


def protocol_rows(snapshot: Snapshot, tokens: list[Token], now_us: int) -> bytes:  # noqa: ARG001 - a `Rendering`
    """The tokens as the storage protocol shows them, between commas."""
    return _rows([token_view(token, now_us) for token in tokens])


def full_rows(snapshot: Snapshot, tokens: list[Token], now_us: int) -> bytes:
    """The tokens in full view, between commas."""
    return _rows([full_view(details, now_us) for details in snapshot.details(tokens, now_us)])


def _rows(views: list[dict[str, Any]]) -> bytes:
    return to_json(views)[1:-1]


def page_body(page: RenderedPage, query: TokenQuery) -> bytes:
    """A page, with what was found."""
    end = _end(found=page.found, length=page.length, offset=query.offset, total=page.total)
    return b'{"tokens":[%b%b' % (page.rows, end)


def bare_end(sent: int) -> bytes:  # noqa: ARG001 - as `counted_end`
    """What follows the tokens where nothing was asked for: the storage protocol knows no envelope."""
    return b"]}"


def counted_end(sent: int) -> bytes:
    """What follows all the tokens, of which so many were sent."""
    return _end(found=sent, length=sent, offset=0, total=sent)


def _end(**envelope: int) -> bytes:
    return b'],"query":%b}' % orjson.dumps(envelope)


async def stream_body(
    request: web.Request,
    response: web.StreamResponse,
    batches: AsyncIterator[Batch],
    end: Callable[[int], bytes],
) -> None:
    """Send all tokens as they are read, and the end. Raises what the first batch does, before anything is sent.

    A later one that can't be read ends the connection, so that the client sees that there was more.
    """
    batch = await anext(batches, Batch(b"", 0))
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return
    await response.write(b'{"tokens":[' + batch.rows)
    sent = batch.count
    try:
        async for batch in batches:
            await response.write(b"," + batch.rows)
            sent += batch.count
    except StoreUnavailableError as error:
        _logger.error("list of tokens broken off reason=%s", error)  # noqa: TRY400 - the reason says it all
        if request.transport is not None:
            request.transport.abort()
        return
    await response.write_eof(end(sent))
