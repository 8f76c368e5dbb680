"""Single records: write one, read one."""

from __future__ import annotations

import re

from aiohttp import hdrs, web

from reductauth.web import expect_later, let_client_send, read_bucket, requires, write_bucket
from storage_demo.api.keys import ENGINE
from storage_demo.engine import DEFAULT_CONTENT_TYPE, InvalidError, RecordReader

__all__ = ["record_routes"]

_LABEL_PREFIX = "x-reduct-label-"
_MAX_LABELS = 80  # many clients read no more than 100 header lines
_DECLARED_LENGTH = "x-reduct-content-length"
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
_CHUNK_BYTES = 256 * 1024


def record_routes(api: str) -> list[web.RouteDef]:
    """Routes below the path `api`."""
    entry = f"{api}/b/{{bucket_name:[^/]+}}/{{entry_name:[\\s\\S]+}}"  # line breaks too: they get a proper refusal
    return [
        web.post(entry, write_record, expect_handler=expect_later),
        web.get(entry, read_record),
    ]


@requires(write_bucket("bucket_name"))
async def write_record(request: web.Request) -> web.Response:
    """Store the body as a record."""
    engine = request.app[ENGINE]
    timestamp_us = _timestamp_us(request)
    if timestamp_us is None:
        raise InvalidError("'ts' parameter is required")
    writer = await engine.write_record(
        request.match_info["bucket_name"],
        request.match_info["entry_name"],
        timestamp_us,
        _length_bytes(request),
        request.headers.get(hdrs.CONTENT_TYPE, DEFAULT_CONTENT_TYPE),
        _labels(request),
    )
    async with writer:
        await let_client_send(request)
        async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
            await writer.write(chunk)
        await writer.commit()
    return web.Response()


@requires(read_bucket("bucket_name"))
async def read_record(request: web.Request) -> web.StreamResponse:
    """Answer with one record: the one at `ts`, or the latest."""
    reader = await request.app[ENGINE].read_record(
        request.match_info["bucket_name"], request.match_info["entry_name"], _timestamp_us(request)
    )
    async with reader:
        response = _record_response(reader)
        await response.prepare(request)
        if request.method != hdrs.METH_HEAD:
            async for chunk in reader.chunks():
                await response.write(chunk)
        await response.write_eof()
    return response


def _record_response(reader: RecordReader) -> web.StreamResponse:
    record = reader.record
    response = web.StreamResponse(
        headers={
            "content-type": record.content_type,
            "content-disposition": "attachment",
            "x-reduct-time": str(record.timestamp_us),
            "x-reduct-entry": record.entry,
            **{f"{_LABEL_PREFIX}{name}": value for name, value in record.labels},
        }
    )
    response.content_length = record.length_bytes
    return response


def _timestamp_us(request: web.Request) -> int | None:
    text = request.query.get("ts")
    if text is None:
        return None
    if _DIGITS.fullmatch(text) is None:
        raise InvalidError("'ts' must be an unix timestamp in microseconds")
    return int(text)


def _length_bytes(request: web.Request) -> int:
    text = request.headers.get(hdrs.CONTENT_LENGTH, request.headers.get(_DECLARED_LENGTH))
    if text is None:
        raise InvalidError("content-length header is required")
    if _DIGITS.fullmatch(text) is None:
        raise InvalidError("content-length header must be a number")
    return int(text)


def _labels(request: web.Request) -> dict[str, str]:
    labels = {}
    for header, value in request.headers.items():
        name = header.lower()
        if name.startswith(_LABEL_PREFIX):
            if not value.isascii():
                raise InvalidError(f"Label values for {name} must be valid UTF-8 strings")
            labels[name.removeprefix(_LABEL_PREFIX)] = value
    if len(labels) > _MAX_LABELS:
        raise InvalidError(f"A record can have at most {_MAX_LABELS} labels, got {len(labels)}")
    return labels
