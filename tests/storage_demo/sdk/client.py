"""The Python SDK as a token's owner has it, and what its users see of refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable

import pytest
from reduct import Client
from reduct.bucket import Bucket
from reduct.error import ReductError
from reduct.record import Record

from tests.servers import ServerProcess


def client(server: ServerProcess, value: str | None) -> Client:
    return Client(server.url, api_token=value)


def bucket_of(server: ServerProcess, value: str, name: str = "robots") -> Bucket:
    """A bucket as a token sees it that may not ask for it."""
    return Bucket(name, client(server, value)._http)


async def visit(server: ServerProcess, value: str, name: str) -> Bucket:
    """The same, by a client that has heard the server's version: the SDK batches and queries no sooner."""
    bucket = bucket_of(server, value, name)
    await bucket._http.request_all("GET", "/info")
    return bucket


async def refused(call: Awaitable[object], status: int, message: str) -> None:
    with pytest.raises(ReductError) as error:
        await call
    assert (error.value.status_code, error.value.message) == (status, message)


async def read(bucket: Bucket, entry: str, timestamp: int | None = None) -> bytes:
    async with bucket.read(entry, timestamp=timestamp) as record:
        return bytes(await record.read_all())


async def contents(records: AsyncIterator[Record]) -> list[tuple[str, int, bytes]]:
    """Entry, time and content of each record, in the order in which they come."""
    return [(record.entry, record.timestamp, await record.read_all()) async for record in records]


async def times(records: AsyncIterator[Record]) -> list[int]:
    """The time of each record."""
    return [time for _, time, _ in await contents(records)]
