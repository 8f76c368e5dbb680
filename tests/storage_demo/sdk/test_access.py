"""Narrow tokens through the SDK: a reader that cannot write, a writer that cannot read, a stranger."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from reduct import Client
from reduct.batch.batch_v1 import Batch
from reduct.batch.batch_v2 import RecordBatch
from reduct.bucket import Bucket
from reduct.error import ReductError
from reduct.msg.token import Permissions

from tests.servers import ServerProcess
from tests.storage_demo.sdk.client import client, contents, read, refused, times, visit

Call = Callable[[Bucket], Awaitable[object]]


def one_of_many() -> RecordBatch:
    batch = RecordBatch()
    batch.add("e", 9, b"", labels={"key": "a"})
    return batch


def one() -> Batch:
    batch = Batch()
    batch.add(9, labels={"key": "a"})
    return batch


async def first(records: AsyncIterator[object]) -> object:
    return await anext(records)


READS: dict[str, Call] = {
    "read": lambda bucket: read(bucket, "e", 1),
    "read the latest": lambda bucket: read(bucket, "e"),
    "query": lambda bucket: times(bucket.query("e")),
    "query all": lambda bucket: times(bucket.query("*")),
    "subscribe": lambda bucket: first(bucket.subscribe("e")),
    "read attachments": lambda bucket: bucket.read_attachments("e"),
    "link": lambda bucket: bucket.create_query_link("e", record_timestamp=1),
    "entries": lambda bucket: bucket.get_entry_list(),
}
WRITES: dict[str, Call] = {
    "write": lambda bucket: bucket.write("e", b"x", timestamp=9),
    "write over entries": lambda bucket: bucket.write_record_batch(one_of_many()),
    "write a batch": lambda bucket: bucket.write_batch("e", one()),
    "update": lambda bucket: bucket.update("e", 1, {"a": "b"}),
    "update over entries": lambda bucket: bucket.update_record_batch(one_of_many()),
    "update a batch": lambda bucket: bucket.update_batch("e", one()),
    "remove a record": lambda bucket: bucket.remove_record("e", 1),
    "remove over entries": lambda bucket: bucket.remove_record_batch(one_of_many()),
    "remove a batch": lambda bucket: bucket.remove_batch("e", one()),
    "remove by query": lambda bucket: bucket.remove_query("e", start=1),
    "remove the entry": lambda bucket: bucket.remove_entry("e"),
    "rename the entry": lambda bucket: bucket.rename_entry("e", "f"),
    "attach": lambda bucket: bucket.write_attachments("e", {"a": 1}),
}
FULL: dict[str, Call] = {
    "rename": lambda bucket: bucket.rename("mine"),
    "remove": lambda bucket: bucket.remove(),
}


@pytest.fixture
async def filled(bucket: Bucket) -> Bucket:
    """A bucket with one record."""
    await bucket.write("e", b"secret", timestamp=1, labels={"a": "1"})
    return bucket


async def unchanged(bucket: Bucket) -> None:
    assert await contents(bucket.query("*")) == [("e", 1, b"secret")]
    async with bucket.read("e") as record:
        assert record.labels == {"a": "1"}
    assert await bucket.read_attachments("e") == {}


@pytest.mark.parametrize("name", WRITES)
async def test_a_reader_cannot_write(filled: Bucket, root: Client, server: ServerProcess, name: str) -> None:
    """Each way to change the bucket is refused, and nothing has changed."""
    token = f"reader-{'-'.join(name.split())}"
    value = await root.create_token(token, Permissions(read=[filled.name], write=["elsewhere"]))
    await refused(
        WRITES[name](await visit(server, value, filled.name)),
        403,
        f"Token '{token}' doesn't have write access to bucket '{filled.name}'",
    )
    await unchanged(filled)


@pytest.mark.parametrize("name", READS)
async def test_a_writer_cannot_read(filled: Bucket, root: Client, server: ServerProcess, name: str) -> None:
    """Each way to see what is in the bucket is refused."""
    token = f"writer-{'-'.join(name.split())}"
    value = await root.create_token(token, Permissions(read=["elsewhere"], write=[filled.name]))
    await refused(
        READS[name](await visit(server, value, filled.name)),
        403,
        f"Token '{token}' doesn't have read access to bucket '{filled.name}'",
    )


async def test_what_they_may(filled: Bucket, root: Client, server: ServerProcess) -> None:
    """The reader reads and the writer writes, in every way; the bucket itself is neither's."""
    value = await root.create_token("a-reader", Permissions(read=[filled.name]))
    reader = await visit(server, value, filled.name)
    assert await read(reader, "e") == b"secret"
    assert await times(reader.query("*")) == [1]
    assert await reader.read_attachments("e") == {}
    value = await root.create_token("a-writer", Permissions(write=[filled.name]))
    writer = await visit(server, value, filled.name)
    batch = RecordBatch()
    batch.add("f", 2, b"two")
    assert await writer.write_record_batch(batch) == {}
    await writer.write("f", b"three", timestamp=3)
    assert await writer.remove_query("f", stop=3) == 1
    await writer.update("f", 3, {"a": "b"})
    await writer.rename_entry("f", "g")
    await writer.write_attachments("g", {"a": 1})
    assert await contents(reader.query("g")) == [("g", 3, b"three")]
    assert await reader.read_attachments("g") == {"a": 1}
    for token, narrow in (("a-reader", reader), ("a-writer", writer)):
        for call in FULL.values():
            await refused(call(narrow), 403, f"Token '{token}' doesn't have full access")


async def test_the_query_of_another(filled: Bucket, root: Client, server: ServerProcess) -> None:
    """Whoever knows a query's number reads it no further than he may read the bucket."""
    query = json.dumps({"query_type": "QUERY", "entries": ["*"]})
    made, _ = await filled._http.request_all("POST", f"/io/{filled.name}/q", data=query)
    number = json.loads(made)["id"]
    await root.create_bucket("of-a-stranger")
    value = await root.create_token("stranger", Permissions(read=["of-a-stranger"], write=["*"]))
    stranger = client(server, value)
    headers = {"x-reduct-query-id": str(number)}
    for method in ("GET", "HEAD"):
        await refused(
            stranger._http.request_all(method, f"/io/{filled.name}/read", extra_headers=headers),
            403,
            f"Token 'stranger' doesn't have read access to bucket '{filled.name}'",
        )
    await refused(
        stranger._http.request_all("GET", "/io/of-a-stranger/read", extra_headers=headers),
        404,
        f"Query {number} not found and it might have expired. Check TTL in your query request.",
    )
    body, _ = await filled._http.request_all("GET", f"/io/{filled.name}/read", extra_headers=headers)
    assert body == b"secret"


async def test_a_removed_token_reads_no_further(filled: Bucket, root: Client, server: ServerProcess) -> None:
    """A query that has begun ends with its token."""
    for numbers in (range(2, 51), range(51, 101)):
        batch = RecordBatch()
        for number in numbers:
            batch.add("e", number, b"x")
        assert await filled.write_record_batch(batch) == {}
    value = await root.create_token("leaving", Permissions(read=[filled.name]))
    seen = 0
    with pytest.raises(ReductError) as error:  # noqa: PT012 - the second batch is what fails
        async for _ in (await visit(server, value, filled.name)).query("e"):
            seen += 1
            if seen == 85:
                await root.remove_token("leaving")
    assert (seen, error.value.status_code, error.value.message) == (85, 401, "Invalid token")
