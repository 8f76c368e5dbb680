"""Links to records: whoever has one reads what it names, without a token, as long as the token that made it may.

What a link is good for (a bucket, until when, in whose name) is the module's, which signs it and lets nobody else in.
Which record of that bucket it is about is ours, and stands in the link's payload.
"""

from __future__ import annotations

import zlib
from typing import Annotated

from aiohttp import web
from pydantic import Field
from yarl import URL

from reductauth import Action, Authenticated, BucketAccess
from reductauth.web import LINK, authorize, expect_later, make_link, read_link, requires
from storage_demo.api.bodies import Body, json_response, parse, read_body
from storage_demo.api.keys import ENGINE, SETTINGS
from storage_demo.api.parameters import timestamp_us
from storage_demo.api.query_bodies import QueryBody
from storage_demo.api.reading import refuse_extensions
from storage_demo.api.responses import send_range
from storage_demo.base_url import check_base_url
from storage_demo.engine import MAX_INTEGER, InvalidError

__all__ = ["link_routes"]

_US_PER_SECOND = 1_000_000
_MAX_PAYLOAD_BYTES = 8 * 1024  # whoever has a link can have it read as often as they like
_MAX_PATH_LENGTH = 8_000  # of what most servers and clients take in the first line of a request
_LINK = "ct"
_ENTRY = "e"


class _Place(Body):
    """Which record, of what a query finds."""

    entry: str
    timestamp_us: Annotated[int, Field(ge=0, le=MAX_INTEGER)]


class _Payload(Body):
    """What a link says beside its bucket, compressed: a link that is too long for clients is not made.

    The condition of the query is part of it: a link opens no more.
    """

    query: QueryBody
    record: _Place


class _LinkBody(Body):
    bucket: str
    entry: str = ""
    record_entry: str | None = None
    record_timestamp: Annotated[int, Field(ge=0, le=MAX_INTEGER)] | None = None
    query: QueryBody
    expire_at: Annotated[int, Field(ge=0, le=MAX_INTEGER // _US_PER_SECOND)]
    base_url: str | None = None


def link_routes(api: str) -> list[web.RouteDef]:
    """Routes below the path `api`."""
    link = f"{api}/links/{{file_name:[\\s\\S]+}}"
    return [
        web.post(link, create_link, expect_handler=expect_later),
        web.get(link, follow_link),
    ]


@requires(Authenticated())
async def create_link(request: web.Request) -> web.Response:
    """Make a link to a record; whether there is one shows when the link is used."""
    body = parse(_LinkBody, await read_body(request))
    access = BucketAccess(Action.READ, body.bucket)
    await authorize(request, access)
    if body.query.query_type != "QUERY":
        raise InvalidError("Only 'Query' type is supported for query links")
    if body.record_entry is None or body.record_timestamp is None:
        raise InvalidError("Both 'record_entry' and 'record_timestamp' must be provided in payload")
    refuse_extensions(request, body.query)
    query = body.query.model_copy(update={"entries": body.query.entries or [body.entry], "ext": None})
    query.selection()  # what is wrong with it is told now
    record = _Place(entry=body.record_entry, timestamp_us=body.record_timestamp)
    payload = _Payload(query=query, record=record).model_dump_json(exclude_none=True).encode()
    if len(payload) > _MAX_PAYLOAD_BYTES:
        raise InvalidError(
            f"A query in a link can have at most {_MAX_PAYLOAD_BYTES} bytes, got {len(payload)}"
        )
    base_url = _public_url(request) if body.base_url is None else _checked(body.base_url)
    text = await make_link(request, access, body.expire_at * _US_PER_SECOND, zlib.compress(payload))
    file_path = URL.build(path=f"api/v1/links/{request.match_info['file_name']}")
    path = f"{file_path}?{_LINK}={text}"
    if len(path) > _MAX_PATH_LENGTH:
        raise InvalidError("The name of the file is too long for a link")
    return json_response({"link": f"{base_url}{path}"})


@requires(read_link(_LINK))
async def follow_link(request: web.Request) -> web.StreamResponse:
    """Answer with the link's record; with `e` and `ts` another one of the same query may be chosen."""
    link = request[LINK]
    payload = parse(_Payload, zlib.decompress(link.payload))
    chosen_us = timestamp_us(request)
    reader = await request.app[ENGINE].queries.pick(
        link.bucket,
        payload.query.selection(),
        request.query.get(_ENTRY, payload.record.entry),
        payload.record.timestamp_us if chosen_us is None else chosen_us,
    )
    async with reader:
        return await send_range(request, reader.record, reader)


def _public_url(request: web.Request) -> str:
    settings = request.app[SETTINGS]
    if settings.public_url is not None:
        return settings.public_url
    sockname = None if request.transport is None else request.transport.get_extra_info("sockname")
    port = sockname[1] if settings.port == 0 and sockname else settings.port
    scheme = "http" if settings.cert_path is None else "https"
    return f"{URL.build(scheme=scheme, host=settings.host, port=port)}{settings.api_base_path}/"


def _checked(text: str) -> str:
    """A client's own prefix for its link, with a slash at its end. Raises `InvalidError`."""
    try:
        return check_base_url(text)
    except ValueError as error:
        raise InvalidError(f"Invalid base_url provided for query link: {error}") from None
