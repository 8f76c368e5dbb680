"""Attachments: JSON that belongs to an entry, kept beside its records in `{entry}/$meta`."""

from __future__ import annotations

import asyncio

import pytest
from reduct import Client
from reduct.batch.batch_v2 import RecordBatch
from reduct.bucket import Bucket
from reduct.error import ReductError

from tests.storage_demo.sdk.client import contents, read, refused, times

ATTACHED = {
    "calibration": {"focal": [1.5, 2.5], "names": ["a,b", 'c"d']},
    "$schema": ["x", None, True],
    "7": "a key that looks like a number",
    "true": 1,
}


async def test_write_and_read(bucket: Bucket) -> None:
    """They come back as they were, and only to those who ask for them."""
    await bucket.write_attachments("arm/camera", ATTACHED)
    assert await bucket.read_attachments("arm/camera") == ATTACHED
    assert [(entry.name, entry.record_count) for entry in await bucket.get_entry_list()] == [
        ("arm", 0),
        ("arm/camera", 0),
    ]
    await bucket.write("arm/camera", b"x", timestamp=1)
    assert await contents(bucket.query("*")) == [("arm/camera", 1, b"x")]
    assert await contents(bucket.query("**/*")) == [("arm/camera", 1, b"x")]
    full = await bucket.get_full_info()
    assert (full.info.entry_count, full.info.oldest_record, full.info.latest_record) == (2, 1, 1)
    assert full.info.size > sum(entry.size for entry in full.entries)


async def test_without_attachments(bucket: Bucket) -> None:
    """An entry without any has none, and none can be removed from it."""
    assert await bucket.read_attachments("none") == {}
    await bucket.remove_attachments("none")
    await bucket.write("e", b"x", timestamp=1)
    assert await bucket.read_attachments("e") == {}
    await bucket.remove_attachments("e", ["calibration"])
    assert [entry.name for entry in await bucket.get_entry_list()] == ["e"]


async def test_overwrite(bucket: Bucket) -> None:
    """The last one of a name counts, and the former ones are gone."""
    await bucket.write_attachments("e", ATTACHED)
    await asyncio.sleep(0.01)
    await bucket.write_attachments("e", {"7": "new", "calibration": None})
    assert await bucket.read_attachments("e") == {**ATTACHED, "7": "new", "calibration": None}
    assert len(await times(bucket.query("e/$meta"))) == len(ATTACHED)


@pytest.mark.parametrize(
    ("removed", "left"),
    [
        (["calibration"], ["$schema", "7", "true"]),
        (["$schema", "7"], ["calibration", "true"]),
        (["true", "none"], ["calibration", "$schema", "7"]),
        (["none"], ["calibration", "$schema", "7", "true"]),
        (None, []),
    ],
)
async def test_remove(bucket: Bucket, removed: list[str] | None, left: list[str]) -> None:
    """By their names, whatever those look like, or all of them; a removed one can be written again."""
    await bucket.write_attachments("e", ATTACHED)
    await bucket.remove_attachments("e", removed)
    assert await bucket.read_attachments("e") == {name: ATTACHED[name] for name in left}
    await asyncio.sleep(0.01)
    await bucket.write_attachments("e", {"calibration": "again"})
    assert (await bucket.read_attachments("e"))["calibration"] == "again"


async def test_a_removed_attachment_can_be_read_by_its_time(bucket: Bucket) -> None:
    """It is marked, and hidden from queries."""
    await bucket.write_attachments("e", {"calibration": 1})
    (timestamp,) = await times(bucket.query("e/$meta"))
    await bucket.remove_attachments("e")
    assert await times(bucket.query("e/$meta")) == []
    async with bucket.read("e/$meta", timestamp=timestamp) as record:
        assert record.labels == {"key": "calibration", "remove": "true"}
        assert (record.content_type, await record.read_all()) == ("application/json", b"1")


async def test_what_cannot_be_attached(bucket: Bucket) -> None:
    """A record without a name, and one that is removed from the start."""
    no_key = "System entry 'e/$meta' records must contain label 'key'"
    removed = (
        "System entry 'e/$meta' does not support writing records with label 'remove=true'; use record update"
    )
    await refused(bucket.write("e/$meta", b"1", timestamp=1), 422, no_key)
    labels = {"key": "a", "remove": "true"}
    await refused(bucket.write("e/$meta", b"1", timestamp=1, labels=labels), 422, removed)
    batch = RecordBatch()
    batch.add("e/$meta", 1, b"1")
    batch.add("e/$meta", 2, b"2", labels=labels)
    batch.add("e/$meta", 3, b"3", labels={"key": "a"})
    assert await bucket.write_record_batch(batch) == {
        "e/$meta": {1: ReductError(422, no_key), 2: ReductError(422, removed)}
    }
    assert await bucket.read_attachments("e") == {"a": 3}


async def test_attachments_are_removed_only_as_attachments(bucket: Bucket) -> None:
    """Neither their entry nor their records can be removed as others are, nor by a query over all entries."""
    await bucket.write_attachments("e", {"a": 1})
    (timestamp,) = await times(bucket.query("e/$meta"))
    await bucket.write("e", b"x", timestamp=1)
    records = "Can't delete records from system entry 'e/$meta'; use label update with remove=true"
    await refused(
        bucket.remove_entry("e/$meta"),
        422,
        "Can't delete system entry 'e/$meta'; remove the parent entry instead",
    )
    await refused(bucket.remove_record("e/$meta", timestamp), 422, records)
    batch = RecordBatch()
    batch.add("e/$meta", timestamp)
    assert await bucket.remove_record_batch(batch) == {"e/$meta": {timestamp: ReductError(422, records)}}
    assert await bucket.remove_query("*", start=1) == 1
    assert await bucket.read_attachments("e") == {"a": 1}


async def test_attachments_go_with_their_entry(bucket: Bucket, root: Client) -> None:
    """When it moves, and when it is removed; and with their bucket."""
    await bucket.write_attachments("arm/camera", {"a": 1})
    await bucket.write("arm/camera", b"x", timestamp=1)
    await bucket.rename_entry("arm", "leg")
    assert await bucket.read_attachments("arm/camera") == {}
    assert await bucket.read_attachments("leg/camera") == {"a": 1}
    await bucket.rename(f"{bucket.name}-moved")
    assert await bucket.read_attachments("leg/camera") == {"a": 1}
    await bucket.remove_entry("leg")
    await bucket.write("leg/camera", b"y", timestamp=1)
    assert await bucket.read_attachments("leg/camera") == {}
    assert await read(bucket, "leg/camera") == b"y"
