"""Connections: one for all requests, as busy clients have it, and uploads that ask before they send."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import ClientSession, TCPConnector
from reduct import Client
from reduct.batch.batch_v2 import RecordBatch
from reduct.bucket import Bucket
from reduct.msg.token import Permissions

from tests.servers import ROOT_VALUE, ServerProcess
from tests.storage_demo.sdk.client import contents, read, refused, visit


async def test_all_on_one_connection(bucket: Bucket, server: ServerProcess) -> None:
    """What one request leaves behind, refused or answered without a body, does not disturb the next."""
    connector = TCPConnector(limit=1)
    async with ClientSession(connector=connector) as session:
        root = Client(server.url, api_token=ROOT_VALUE, session=session)
        one = await root.get_bucket(bucket.name)
        for round_number in range(1, 4):
            timestamp = round_number * 10
            await one.write("e", b"x" * 200_000, timestamp=timestamp)
            await refused(
                one.write("e", b"y" * 200_000, timestamp=timestamp),
                409,
                f"A record with timestamp {timestamp} already exists",
            )
            async with one.read("e", timestamp=timestamp, head=True) as record:
                assert record.size == 200_000
            batch = RecordBatch()
            batch.add("e", timestamp, b"z" * 1_000)
            batch.add("f", timestamp + 1, b"f")
            assert list(await one.write_record_batch(batch)) == ["e"]
            await refused(one.remove_entry("none"), 404, f"Entry 'none' not found in bucket '{bucket.name}'")
            found = await contents(one.query(["e", "f"], start=timestamp))
            assert found == [("e", timestamp, b"x" * 200_000), ("f", timestamp + 1, b"f")]
            assert await contents(one.query("none")) == []
            assert await contents(one.query("f", start=timestamp, head=True)) == [("f", timestamp + 1, b"")]
            await one.update("e", timestamp, {"a": "b"})
            await one.remove_record("f", timestamp + 1)
        assert len(connector._conns) == 1


async def test_a_large_upload_is_refused_before_it_begins(
    bucket: Bucket, root: Client, server: ServerProcess
) -> None:
    """The SDK asks before it sends more than 64 MB; who may not write is told at once."""
    sent = 0

    async def stream(length: int) -> AsyncIterator[bytes]:
        nonlocal sent
        for start in range(0, length, 1_000_000):
            sent += 1
            yield bytes(min(1_000_000, length - start))

    large = 64_000_001
    value = await root.create_token("no-uploader", Permissions(read=[bucket.name]))
    await refused(
        (await visit(server, value, bucket.name)).write(
            "e", stream(large), timestamp=1, content_length=large
        ),
        403,
        f"Token 'no-uploader' doesn't have write access to bucket '{bucket.name}'",
    )
    assert sent == 0
    await bucket.write("e", stream(large), timestamp=1, content_length=large)
    assert sent == 65
    await refused(
        bucket.write("e", stream(large), timestamp=1, content_length=large),
        409,
        "A record with timestamp 1 already exists",
    )
    assert sent == 65
    assert await read(bucket, "e", 1) == bytes(large)
