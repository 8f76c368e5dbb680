"""Batches of records in one body: what the protocols of one entry and of several have in common."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from reductauth.web import let_client_send
from storage_demo.api.keys import ENGINE
from storage_demo.api.parameters import announced_bytes, bucket_name
from storage_demo.encoding.items import AnnouncedRecord
from storage_demo.engine import (
    EngineError,
    InvalidError,
    LengthMismatchError,
    RecordWriter,
    StorageError,
    is_meta_entry,
)

__all__ = ["check_length", "store_records"]

_CHUNK_BYTES = 256 * 1024
_MAX_OPEN_RECORDS = 16  # of one batch, received or being committed: each may hold half a megabyte

Refusals = list[EngineError | None]

_logger = logging.getLogger("storage_demo.api")


def check_length(request: web.Request, records: Sequence[AnnouncedRecord]) -> None:
    """Raise `InvalidError` if another length is announced than the records have together."""
    length_bytes = announced_bytes(request)
    if length_bytes is not None and length_bytes != sum(record.length_bytes for record in records):
        raise InvalidError(
            "content-length header does not match the sum of the content-lengths in the headers"
        )


async def store_records(request: web.Request, records: Sequence[tuple[str, AnnouncedRecord]]) -> Refusals:
    """Store the records that the body holds one after the other, each with its entry.

    Returns for each of them None, or why it is not stored; the others are. Raises `LengthMismatchError` if the
    body ends before the last one or goes on behind it: those that were complete are stored.
    """
    await let_client_send(request)
    refusals: Refusals = [None] * len(records)
    commits: list[asyncio.Task[None]] = []
    previous: RecordWriter | None = None
    free_places = asyncio.Semaphore(_MAX_OPEN_RECORDS)
    try:
        for position, (entry, record) in enumerate(records):
            await free_places.acquire()
            writer = await _receive(request, entry, record, refusals, position)
            if writer is None:
                free_places.release()
                continue
            commit = asyncio.create_task(_commit(writer, previous, refusals, position))
            commit.add_done_callback(lambda _: free_places.release())
            commits.append(commit)
            previous = writer
            if is_meta_entry(entry):
                await commit  # of two with one key, the later one stays
        if await request.content.read(1):
            length_bytes = sum(record.length_bytes for _, record in records)
            raise LengthMismatchError(length_bytes, length_bytes + 1)
    finally:
        # They wait together: records that are committed at the same time share one sync of the disk.
        await asyncio.gather(*commits)
    for failure in [refusal for refusal in refusals if isinstance(refusal, StorageError)][:1]:
        _logger.error("storage failed in a batch path=%s error=%s", request.path, failure)
    return refusals


async def _receive(
    request: web.Request, entry: str, record: AnnouncedRecord, refusals: Refusals, position: int
) -> RecordWriter | None:
    """Take in one record, or leave its bytes out and say why."""
    writer: RecordWriter | None = None
    try:
        writer = await request.app[ENGINE].write_record(
            bucket_name(request),
            entry,
            record.timestamp_us,
            record.length_bytes,
            record.content_type,
            record.labels,
        )
    except EngineError as refusal:
        refusals[position] = refusal
    try:
        async for chunk in _content(request, record.length_bytes):
            if writer is not None:
                writer = await _write(writer, chunk, refusals, position)
    except BaseException:
        if writer is not None:
            await writer.discard()
        raise
    return writer


async def _write(
    writer: RecordWriter, chunk: bytes, refusals: Refusals, position: int
) -> RecordWriter | None:
    try:
        await writer.write(chunk)
    except EngineError as refusal:
        refusals[position] = refusal
        await writer.discard()
        return None
    return writer


async def _commit(
    writer: RecordWriter, previous: RecordWriter | None, refusals: Refusals, position: int
) -> None:
    async with writer:
        try:
            # Sizes and blocks depend on the order.
            await writer.commit(after=previous)
        except EngineError as refusal:
            refusals[position] = refusal


async def _content(request: web.Request, length_bytes: int) -> AsyncIterator[bytes]:
    received_bytes = 0
    while received_bytes < length_bytes:
        chunk = await request.content.read(min(_CHUNK_BYTES, length_bytes - received_bytes))
        if not chunk:
            raise LengthMismatchError(length_bytes, received_bytes)
        received_bytes += len(chunk)
        yield chunk
