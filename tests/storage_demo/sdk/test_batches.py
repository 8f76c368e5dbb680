"""Many records in one request: over several entries (`/io/…`), and over one as clients below 1.18 do."""

from __future__ import annotations

from reduct.batch.batch_v1 import Batch
from reduct.batch.batch_v2 import RecordBatch
from reduct.bucket import Bucket
from reduct.error import ReductError

from tests.storage_demo.sdk.client import contents, read, refused, times

NAME_RULE = "Entry name can contain only letters, digits and [-,_,/] symbols or end with '/$meta'"


async def described(bucket: Bucket, entries: str | list[str]) -> dict[tuple[str, int], tuple[str, object]]:
    """Type and labels of each record."""
    return {
        (record.entry, record.timestamp): (record.content_type, record.labels)
        async for record in bucket.query(entries, head=True)
    }


async def test_write_over_entries(bucket: Bucket) -> None:
    """Contents, types and labels arrive at their records, though the entries' times run into each other."""
    batch = RecordBatch()
    batch.add("b/deep", 2, b"two", labels={"n": "2", "list": "x,y", "formula": "a=b"})
    batch.add("a", 5, b"fives", content_type="text/plain", labels={"n": "5", "only": "here"})
    batch.add("a", 1, b"1", content_type="text/plain", labels={"n": "1"})
    batch.add("b/deep", 4, b"4444")
    batch.add("a", 3, b"", content_type="image/png", labels={"n": "1"})
    assert await bucket.write_record_batch(batch) == {}
    assert await contents(bucket.query("*")) == [
        ("a", 1, b"1"),
        ("b/deep", 2, b"two"),
        ("a", 3, b""),
        ("b/deep", 4, b"4444"),
        ("a", 5, b"fives"),
    ]
    expected = {
        ("a", 1): ("text/plain", {"n": "1"}),
        ("a", 3): ("image/png", {"n": "1"}),
        ("a", 5): ("text/plain", {"n": "5", "only": "here"}),
        ("b/deep", 2): ("application/octet-stream", {"n": "2", "list": "x,y", "formula": "a=b"}),
        ("b/deep", 4): ("application/octet-stream", {}),
    }
    assert await described(bucket, "*") == expected
    for (entry, timestamp), (content_type, labels) in expected.items():
        async with bucket.read(entry, timestamp=timestamp) as record:
            assert (record.content_type, record.labels) == (content_type, labels)
    assert [entry.name for entry in await bucket.get_entry_list()] == ["a", "b", "b/deep"]


async def test_what_a_batch_could_not_write(bucket: Bucket) -> None:
    """Each refused record says why, by its entry and time; the others are stored."""
    await bucket.write("a", b"first", timestamp=2)
    batch = RecordBatch()
    batch.add("a", 1, b"one")
    batch.add("a", 2, b"again")
    batch.add("a", 3, b"three")
    batch.add("b?d", 2, b"nowhere")
    batch.add("c", 4, b"four")
    assert await bucket.write_record_batch(batch) == {
        "a": {2: ReductError(409, "A record with timestamp 2 already exists")},
        "b?d": {2: ReductError(422, NAME_RULE)},
    }
    assert await contents(bucket.query(["a", "c"])) == [
        ("a", 1, b"one"),
        ("a", 2, b"first"),
        ("a", 3, b"three"),
        ("c", 4, b"four"),
    ]


async def test_update_over_entries(bucket: Bucket) -> None:
    """Labels are set and taken away per record; what the batch does not mention stays."""
    for entry, timestamp in (("a", 1), ("a", 2), ("b", 1)):
        await bucket.write(entry, b"x", timestamp=timestamp, labels={"keep": "1", "drop": "2"})
    batch = RecordBatch()
    batch.add("a", 1, labels={"drop": "", "state": "good,really"})
    batch.add("a", 2, labels={"drop": "", "state": "good,really"})  # in the request: as before
    batch.add("b", 1, labels={"state": "bad"})
    batch.add("b", 9, labels={"state": "bad"})
    batch.add("none", 1, labels={"state": "bad"})
    assert await bucket.update_record_batch(batch) == {
        "b": {9: ReductError(404, f"Record 9 not found in entry {bucket.name}/b")},
        "none": {1: ReductError(404, f"Entry 'none' not found in bucket '{bucket.name}'")},
    }
    octets = "application/octet-stream"
    assert await described(bucket, "*") == {
        ("a", 1): (octets, {"keep": "1", "state": "good,really"}),
        ("a", 2): (octets, {"keep": "1", "state": "good,really"}),
        ("b", 1): (octets, {"keep": "1", "drop": "2", "state": "bad"}),
    }
    assert await read(bucket, "a", 1) == b"x"


async def test_remove_over_entries(bucket: Bucket) -> None:
    """The named records go, and those that were not there are told."""
    for entry, timestamp in (("a", 1), ("a", 2), ("b", 1), ("b", 3)):
        await bucket.write(entry, b"x", timestamp=timestamp)
    batch = RecordBatch()
    for entry, timestamp in (("a", 1), ("a", 7), ("b", 3), ("none", 1)):
        batch.add(entry, timestamp)
    assert await bucket.remove_record_batch(batch) == {
        "a": {7: ReductError(404, f"Record 7 not found in entry {bucket.name}/a")},
        "none": {1: ReductError(404, f"Entry 'none' not found in bucket '{bucket.name}'")},
    }
    assert await contents(bucket.query("*")) == [("b", 1, b"x"), ("a", 2, b"x")]


async def test_empty_batches(bucket: Bucket) -> None:
    """They change nothing and are no error."""
    await bucket.write("a", b"x", timestamp=1)
    assert await bucket.write_record_batch(RecordBatch()) == {}
    assert await bucket.update_record_batch(RecordBatch()) == {}
    assert await bucket.remove_record_batch(RecordBatch()) == {}
    assert await times(bucket.query("*")) == [1]


async def test_write_to_one_entry(bucket: Bucket) -> None:
    """The older batch: contents by time, whatever the order of adding; refusals by time."""
    await bucket.write("e", b"first", timestamp=20)
    batch = Batch()
    batch.add(100, b"hundred", content_type="text/plain", labels={"n": "100"})
    batch.add(20, b"again")
    batch.add(3, b"three", labels={"n": "3", "formula": "a=b"})
    assert await bucket.write_batch("e", batch) == {
        20: ReductError(409, "A record with timestamp 20 already exists")
    }
    assert await contents(bucket.query("e")) == [
        ("e", 3, b"three"),
        ("e", 20, b"first"),
        ("e", 100, b"hundred"),
    ]
    assert await described(bucket, "e") == {
        ("e", 3): ("application/octet-stream", {"n": "3", "formula": "a=b"}),
        ("e", 20): ("application/octet-stream", {}),
        ("e", 100): ("text/plain", {"n": "100"}),
    }
    assert await bucket.write_batch("b!d", batch) == {
        timestamp: ReductError(422, NAME_RULE) for timestamp in (3, 20, 100)
    }


async def test_update_and_remove_in_one_entry(bucket: Bucket) -> None:
    """Labels change and records go; missing records are told, a missing entry refuses the whole."""
    for timestamp in (1, 2, 3):
        await bucket.write("e", b"x", timestamp=timestamp, labels={"keep": "1", "drop": "2"})
    labels = Batch()
    labels.add(1, labels={"drop": "", "state": "good"})
    labels.add(9, labels={"state": "good"})
    missing = {9: ReductError(404, f"Record 9 not found in entry {bucket.name}/e")}
    assert await bucket.update_batch("e", labels) == missing
    doomed = Batch()
    doomed.add(2)
    doomed.add(9)
    assert await bucket.remove_batch("e", doomed) == missing
    octets = "application/octet-stream"
    assert await described(bucket, "e") == {
        ("e", 1): (octets, {"keep": "1", "state": "good"}),
        ("e", 3): (octets, {"keep": "1", "drop": "2"}),
    }
    no_entry = f"Entry 'none' not found in bucket '{bucket.name}'"
    await refused(bucket.update_batch("none", labels), 404, no_entry)
    await refused(bucket.remove_batch("none", doomed), 404, no_entry)
