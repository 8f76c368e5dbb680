"""Single records: what was written is read, labels change, records and entries go and move."""

from __future__ import annotations

import pytest
from reduct import Client
from reduct.bucket import Bucket

from tests.storage_demo.sdk.client import read, refused

LABELS = {"kind": "test", "score": "0.5", "list": "a,b", "formula": "x=1"}


async def test_a_record(bucket: Bucket) -> None:
    """Content, type, size and labels are as they were written, in a read and in a look at the head."""
    await bucket.write("arm/camera", b"12345678", timestamp=5, content_type="image/png", labels=LABELS)
    for head in (False, True):
        async with bucket.read("arm/camera", timestamp=5, head=head) as record:
            assert (record.timestamp, record.size, record.content_type) == (5, 8, "image/png")
            assert record.labels == LABELS
            assert await record.read_all() == (b"" if head else b"12345678")
    await bucket.write("arm/camera", b"later", timestamp=7)
    await bucket.write("arm/camera", b"earlier", timestamp=3)
    assert await read(bucket, "arm/camera") == b"later"
    assert [(entry.name, entry.record_count) for entry in await bucket.get_entry_list()] == [
        ("arm", 0),
        ("arm/camera", 3),
    ]


async def test_sizes(bucket: Bucket, root: Client) -> None:
    """A record counts with its content and what describes it, to the byte."""
    await bucket.write("e", b"12345678", timestamp=1_000_000)
    assert (await bucket.get_entry_list())[0].size == 40
    await bucket.write("e", b"12345678", timestamp=2_000_000)  # two bytes more: where it begins
    await bucket.write("other", b"hello world", timestamp=2_000_000)
    await bucket.write("labelled", b"12345678", timestamp=1_000_000, labels={"kind": "test"})  # 14 more
    full = await bucket.get_full_info()
    assert [(entry.name, entry.size, entry.record_count) for entry in full.entries] == [
        ("e", 40 + 42, 2),
        ("labelled", 54, 1),
        ("other", 43, 1),
    ]
    assert (full.info.size, full.info.entry_count) == (82 + 54 + 43, 3)
    assert (full.info.oldest_record, full.info.latest_record) == (1_000_000, 2_000_000)


async def test_update(bucket: Bucket) -> None:
    """Labels are set, an empty value takes one away, and the others stay."""
    await bucket.write("e", b"1", timestamp=1, labels={"keep": "1", "change": "old", "drop": "x"})
    await bucket.update("e", 1, {"change": "new", "drop": "", "add": "2", "never-there": ""})
    async with bucket.read("e", timestamp=1) as record:
        assert record.labels == {"keep": "1", "change": "new", "add": "2"}
        assert await record.read_all() == b"1"
    await refused(bucket.update("e", 2, {"a": "b"}), 404, f"Record 2 not found in entry {bucket.name}/e")
    await refused(
        bucket.update("none", 1, {"a": "b"}), 404, f"Entry 'none' not found in bucket '{bucket.name}'"
    )


async def test_remove_a_record(bucket: Bucket) -> None:
    """One goes, the others stay; an entry whose last record went is still listed."""
    await bucket.write("e", b"1", timestamp=1)
    await bucket.write("e", b"2", timestamp=2)
    await bucket.remove_record("e", 2)
    await refused(read(bucket, "e", 2), 404, f"Record 2 not found in entry {bucket.name}/e")
    await refused(bucket.remove_record("e", 2), 404, f"Record 2 not found in entry {bucket.name}/e")
    assert await read(bucket, "e") == b"1"
    await bucket.remove_record("e", 1)
    (entry,) = await bucket.get_entry_list()
    assert (entry.name, entry.record_count, entry.size, entry.oldest_record) == ("e", 0, 0, 0)
    await bucket.write("e", b"again", timestamp=1)
    assert await read(bucket, "e") == b"again"


async def test_remove_an_entry(bucket: Bucket) -> None:
    """It takes the entries below it along, and no others that begin alike."""
    for name in ("arm", "arm/camera", "arm/camera/left", "armada"):
        await bucket.write(name, b"1", timestamp=1)
    await bucket.remove_entry("arm")
    assert [entry.name for entry in await bucket.get_entry_list()] == ["armada"]
    await refused(bucket.remove_entry("arm"), 404, f"Entry 'arm' not found in bucket '{bucket.name}'")


async def test_rename_an_entry(bucket: Bucket) -> None:
    """It moves with the entries below it, to where no entry is yet."""
    await bucket.write("arm", b"1", timestamp=1, labels={"a": "b"})
    await bucket.write("arm/camera", b"2", timestamp=2)
    await bucket.write("leg", b"3", timestamp=3)
    await bucket.rename_entry("arm", "robots/left/arm")
    assert [entry.name for entry in await bucket.get_entry_list()] == [
        "leg",
        "robots",
        "robots/left",
        "robots/left/arm",
        "robots/left/arm/camera",
    ]
    async with bucket.read("robots/left/arm") as record:
        assert (await record.read_all(), record.labels) == (b"1", {"a": "b"})
    assert await read(bucket, "robots/left/arm/camera", 2) == b"2"
    gone = f"Entry 'arm' not found in bucket '{bucket.name}'"
    await refused(read(bucket, "arm"), 404, gone)
    await refused(bucket.rename_entry("arm", "other"), 404, gone)


@pytest.mark.parametrize(
    ("new_name", "status", "message"),
    [
        ("taken", 409, "Entry 'taken' already exists in bucket '{bucket}'"),
        ("old", 409, "Entry 'old' already exists in bucket '{bucket}'"),
        ("old/below", 409, "Entry 'old/below' already exists in bucket '{bucket}'"),
        ("a//b", 422, "Entry name must be non-empty and must not contain empty path segments"),
        (
            "b?d",
            422,
            "Entry name can contain only letters, digits and [-,_,/] symbols or end with '/$meta'",
        ),
    ],
)
async def test_names_that_an_entry_cannot_have(
    bucket: Bucket, new_name: str, status: int, message: str
) -> None:
    """A refused new name leaves the entry where it was."""
    await bucket.write("old", b"1", timestamp=1)
    await bucket.write("taken", b"2", timestamp=1)
    await refused(bucket.rename_entry("old", new_name), status, message.format(bucket=bucket.name))
    assert (await read(bucket, "old"), await read(bucket, "taken")) == (b"1", b"2")
