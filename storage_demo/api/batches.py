"""Batches of records of one entry: write, change labels, remove."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from reductauth.web import expect_later, requires, write_bucket
from storage_demo.api.errors import status_of
from storage_demo.api.keys import ENGINE
from storage_demo.api.parameters import bucket_name, entry_name
from storage_demo.api.version import EMPTY
from storage_demo.api.writing import check_length, store_records
from storage_demo.encoding import v1
from storage_demo.engine import EngineError, LabelChange, check_removable_records

__all__ = ["batch_routes"]


def batch_routes(entry: str) -> list[web.RouteDef]:
    """Routes below the path `entry`; they go before those of the entry itself."""
    return [
        web.post(f"{entry}/batch", write_batch, expect_handler=expect_later),
        web.patch(f"{entry}/batch", update_batch),
        web.delete(f"{entry}/batch", remove_batch),
    ]


@requires(write_bucket("bucket_name"))
async def write_batch(request: web.Request) -> web.Response:
    """Store the records that the headers describe, contents in ascending time."""
    records = v1.read_write_batch(request.headers.items())
    check_length(request, records)
    refusals = await store_records(request, [(entry_name(request), record) for record in records])
    return _answer([record.timestamp_us for record in records], refusals)


@requires(write_bucket("bucket_name"))
async def update_batch(request: web.Request) -> web.Response:
    """Change labels of the records that the headers name."""
    bucket, entry, engine = bucket_name(request), entry_name(request), request.app[ENGINE]
    updates = v1.read_update_batch(request.headers.items())
    await engine.require_entry(bucket, entry)
    changes = [LabelChange(entry, update.timestamp_us, update.changes) for update in updates]
    refusals = await engine.update_labels(bucket, changes)
    return _answer([update.timestamp_us for update in updates], refusals)


@requires(write_bucket("bucket_name"))
async def remove_batch(request: web.Request) -> web.Response:
    """Remove the records that the headers name."""
    bucket, entry, engine = bucket_name(request), entry_name(request), request.app[ENGINE]
    times_us = v1.read_removal_batch(request.headers.items())
    await engine.require_entry(bucket, entry)
    check_removable_records(entry)
    refusals = await engine.remove_records(bucket, [(entry, time_us) for time_us in times_us])
    return _answer(times_us, refusals)


def _answer(times_us: Iterable[int], refusals: Iterable[EngineError | None]) -> web.Response:
    failed = [
        v1.error_header(time_us, status_of(refusal), str(refusal))
        for time_us, refusal in zip(times_us, refusals, strict=True)
        if refusal is not None
    ]
    return web.Response(headers={**EMPTY, **dict(failed)})
