"""Records as answers: one, or a batch of them. Contents are streamed, and let go whatever becomes of the client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from aiohttp import hdrs, web

from reductauth.web import error_response
from storage_demo.api.parameters import LABEL_PREFIX
from storage_demo.encoding.headers import Header
from storage_demo.engine import Record, RecordBatch, RecordReader

__all__ = ["no_content", "send_batch", "send_range", "send_record"]


def no_content() -> web.Response:
    """Say that there is nothing to read, or nothing more."""
    return web.Response(status=204, headers={"x-reduct-error": "No content"})


async def send_record(
    request: web.Request, record: Record, reader: RecordReader | None
) -> web.StreamResponse:
    """Answer with one record; without `reader` with its headers only."""
    readers = [] if reader is None else [reader]
    return await _send(request, _record_headers(record), record.length_bytes, _chunks(readers))


async def send_range(request: web.Request, record: Record, reader: RecordReader) -> web.StreamResponse:
    """Answer with one record, or with the part of it that a `Range` names (RFC 9110 §14).

    What came by a link is neither kept on the way, where it would outlive the link, nor names the link elsewhere.
    """
    headers = {
        **_record_headers(record),
        "accept-ranges": "bytes",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
    }
    try:
        part = _range(request, record.length_bytes)
    except IndexError:
        message = f"The record has {record.length_bytes} bytes, and none in the range that is asked for"
        return error_response(416, message, {"content-range": f"bytes */{record.length_bytes}"})
    if part is None:
        return await _send(request, headers, record.length_bytes, _chunks([reader]))
    headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{record.length_bytes}"
    chunks = reader.chunks(part.start, part.stop)
    return await _send(request, headers, len(part), chunks, status=206)


async def send_batch(
    request: web.Request, batch: RecordBatch, headers: Iterable[Header], *, is_last: bool
) -> web.StreamResponse:
    """Answer with a batch, whose records `headers` describe; `is_last` tells the client not to come back."""
    length_bytes = sum(record.length_bytes for record in batch.records)
    of_batch = {
        **dict(headers),
        "content-type": "application/octet-stream",
        "x-reduct-last": "true" if is_last else "false",
    }
    return await _send(request, of_batch, length_bytes, _chunks(batch.readers))


def _record_headers(record: Record) -> dict[str, str]:
    return {
        "content-type": record.content_type,
        "content-disposition": "attachment",
        "x-reduct-time": str(record.timestamp_us),
        "x-reduct-entry": record.entry,
        **{f"{LABEL_PREFIX}{name.lower()}": value for name, value in record.labels},
    }


def _range(request: web.Request, length_bytes: int) -> range | None:
    """The bytes that are asked for, None for all. Raises `IndexError` if there are none of those.

    A range that can't be read, and one under a condition that we have no validator for, do not count (§14.2, §13.1.5).
    """
    if request.method != hdrs.METH_GET or hdrs.IF_RANGE in request.headers:
        return None
    try:
        asked = request.http_range
    except ValueError:
        return None
    if asked.start is None:
        return None
    is_last_zero = asked.start == 0 and request.headers[hdrs.RANGE].replace(" ", "").startswith("bytes=-")
    part = range(length_bytes)[asked]
    if not part or is_last_zero:
        raise IndexError
    return part


async def _send(
    request: web.Request,
    headers: dict[str, str],
    length_bytes: int,
    chunks: AsyncIterator[bytes],
    status: int = 200,
) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = length_bytes
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        async for chunk in chunks:
            await response.write(chunk)
    await response.write_eof()
    return response


async def _chunks(readers: list[RecordReader]) -> AsyncIterator[bytes]:
    for reader in readers:
        async for chunk in reader.chunks():
            yield chunk
        reader.close()
