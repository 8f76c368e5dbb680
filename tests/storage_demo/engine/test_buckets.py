"""The life of buckets, and what they tell about themselves."""

from __future__ import annotations

import pytest

from storage_demo.engine import (
    BucketExistsError,
    BucketInfo,
    BucketNotFoundError,
    BucketSettings,
    Engine,
    EntryInfo,
    InvalidError,
    NotFoundError,
    QuotaType,
    RecordNotFoundError,
    SettingsChange,
    UsageInfo,
)
from tests.storage_demo.engine.transfers import get, payload, put


async def test_new_bucket(engine: Engine) -> None:
    """A new bucket is empty, has the default settings and is not provisioned."""
    await engine.create_bucket("b")
    detail = await engine.bucket("b")
    assert detail.info == BucketInfo("b", 0, 0, 0, 0, is_provisioned=False)
    assert detail.settings == BucketSettings(QuotaType.NONE, 0, 64_000_000, 1024)
    assert detail.entries == ()


async def test_created_with_settings(engine: Engine) -> None:
    """Given settings go on top of the defaults."""
    await engine.create_bucket("b", SettingsChange(QuotaType.FIFO, quota_size=5))
    assert (await engine.bucket("b")).settings == BucketSettings(QuotaType.FIFO, 5, 64_000_000, 1024)


async def test_same_name_twice(engine: Engine) -> None:
    """A second bucket of the same name is refused and the first keeps its settings."""
    await engine.create_bucket("b", SettingsChange(quota_size=5))
    with pytest.raises(BucketExistsError, match=r"^Bucket 'b' already exists$"):
        await engine.create_bucket("b", SettingsChange(quota_size=6))
    assert (await engine.bucket("b")).settings.quota_size == 5


async def test_bad_name_creates_nothing(engine: Engine) -> None:
    """A refused name leaves no bucket behind."""
    with pytest.raises(InvalidError):
        await engine.create_bucket("b!")
    assert await engine.bucket_names() == frozenset()


async def test_bad_settings_create_nothing(engine: Engine) -> None:
    """Refused settings leave no bucket behind."""
    with pytest.raises(InvalidError):
        await engine.create_bucket("b", SettingsChange(quota_size=2**63))
    assert await engine.bucket_names() == frozenset()


@pytest.mark.parametrize("name", ["nope", "", "$system", "\udcff", "a\0b"])
async def test_missing_bucket(engine: Engine, name: str) -> None:
    """Every operation on a bucket that is not there says so, whatever its name looks like."""
    message = f"Bucket '{name}' is not found"
    for operation in (
        engine.bucket(name),
        engine.require_bucket(name),
        engine.change_settings(name, SettingsChange()),
        engine.rename_bucket(name, "new"),
        engine.remove_bucket(name),
        engine.write_record(name, "e", 1, 1),
        engine.read_record(name, "e"),
    ):
        with pytest.raises(BucketNotFoundError) as refusal:
            await operation
        assert str(refusal.value) == message


async def test_names_and_order(engine: Engine) -> None:
    """Buckets are listed in byte order, and their names are a set."""
    for name in ("b", "B", "a-", "a_", "aa"):
        await engine.create_bucket(name)
    assert [info.name for info in await engine.list_buckets()] == ["B", "a-", "a_", "aa", "b"]
    assert await engine.bucket_names() == {"B", "a-", "a_", "aa", "b"}
    await engine.require_bucket("a_")


async def test_settings_are_merged(engine: Engine) -> None:
    """A change touches the given fields only; an empty one nothing."""
    await engine.create_bucket("b", SettingsChange(QuotaType.HARD, 1, 2, 3))
    await engine.change_settings("b", SettingsChange(max_block_size=20))
    await engine.change_settings("b", SettingsChange())
    assert (await engine.bucket("b")).settings == BucketSettings(QuotaType.HARD, 1, 20, 3)


async def test_bad_change_of_settings(engine: Engine) -> None:
    """A refused change leaves all the settings as they were."""
    await engine.create_bucket("b")
    with pytest.raises(InvalidError):
        await engine.change_settings("b", SettingsChange(QuotaType.HARD, max_block_records=0))
    assert (await engine.bucket("b")).settings == BucketSettings()


async def test_rename_takes_the_records_along(engine: Engine) -> None:
    """After a rename the new name has everything and the old one is unknown."""
    await engine.create_bucket("old", SettingsChange(quota_size=5))
    await put(engine, b"content", at=1, bucket="old")
    await engine.rename_bucket("old", "new")
    assert await get(engine, at=1, bucket="new") == b"content"
    assert (await engine.bucket("new")).settings.quota_size == 5
    assert await engine.bucket_names() == {"new"}


@pytest.mark.parametrize("new", ["other", "b"])
async def test_rename_to_a_taken_name(engine: Engine, new: str) -> None:
    """A rename to the name of any bucket, its own too, is refused."""
    await engine.create_bucket("b")
    await engine.create_bucket("other")
    with pytest.raises(BucketExistsError, match=rf"^Bucket '{new}' already exists$"):
        await engine.rename_bucket("b", new)
    assert await engine.bucket_names() == {"b", "other"}


async def test_rename_to_a_bad_name(engine: Engine) -> None:
    """A bad new name is refused and the bucket keeps its old one."""
    await engine.create_bucket("b")
    with pytest.raises(InvalidError):
        await engine.rename_bucket("b", "$system")
    assert await engine.bucket_names() == {"b"}


async def test_a_bucket_of_the_same_name_starts_empty(engine: Engine) -> None:
    """Nothing of a removed bucket shows in its successor."""
    await engine.create_bucket("b", SettingsChange(quota_size=5))
    await put(engine, b"small", at=1)
    await put(engine, payload(100_000), at=2)
    await engine.remove_bucket("b")
    assert await engine.bucket_names() == frozenset()
    await engine.create_bucket("b")
    detail = await engine.bucket("b")
    assert detail.info == BucketInfo("b", 0, 0, 0, 0)
    assert detail.settings.quota_size == 0
    with pytest.raises(NotFoundError, match=r"^Entry 'e' not found in bucket 'b'$"):
        await engine.read_record("b", "e", 1)


async def test_removal_leaves_other_buckets_alone(engine: Engine) -> None:
    """Only the records of the removed bucket go."""
    await engine.create_bucket("b")
    await engine.create_bucket("c")
    await put(engine, payload(100_000, seed=1), at=1, bucket="b")
    await put(engine, payload(100_000, seed=2), at=1, bucket="c")
    await engine.remove_bucket("b")
    assert await get(engine, at=1, bucket="c") == payload(100_000, seed=2)


async def test_counters(engine: Engine) -> None:
    """Sizes, counts and times of bucket and entry follow from the records."""
    await engine.create_bucket("b")
    await put(engine, b"12345678", at=1_000_000, entry="one")
    await put(engine, b"12345678901", at=2_000_000, entry="two")
    await put(engine, b"12345678901", at=3_000_000, entry="one")
    detail = await engine.bucket("b")
    # 40 and 43 stand first in their block; the third comes after 8 bytes: 43 + 2
    assert detail.entries == (
        EntryInfo("one", 85, 2, 1, 1_000_000, 3_000_000),
        EntryInfo("two", 43, 1, 1, 2_000_000, 2_000_000),
    )
    assert detail.info == BucketInfo("b", 2, 128, 1_000_000, 3_000_000)
    assert await engine.list_buckets() == [detail.info]


async def test_parents_come_into_being(engine: Engine) -> None:
    """A record in a/b/c lists a and a/b too, with zero counters, in byte order."""
    await engine.create_bucket("b")
    await put(engine, b"12345678", at=1_000_000, entry="a/b/c")
    await put(engine, b"12345678", at=1_000_000, entry="a-")
    detail = await engine.bucket("b")
    assert detail.entries == (
        EntryInfo("a", 0, 0, 0, 0, 0),
        EntryInfo("a-", 40, 1, 1, 1_000_000, 1_000_000),
        EntryInfo("a/b", 0, 0, 0, 0, 0),
        EntryInfo("a/b/c", 40, 1, 1, 1_000_000, 1_000_000),
    )
    assert detail.info.entry_count == 4
    with pytest.raises(RecordNotFoundError, match=r"^No records in entry b/a$"):
        await engine.read_record("b", "a")


async def test_system_entries_are_hidden(engine: Engine) -> None:
    """A $meta entry counts for the size of the bucket and nothing else, but can be read."""
    await engine.create_bucket("b")
    await put(engine, b"12345678", at=2_000_000, entry="a")
    for at, entry in ((1_000_000, "a/$meta"), (3_000_000, "$meta")):
        await put(engine, b"12345678", at=at, entry=entry, labels={"key": "k"})
    detail = await engine.bucket("b")
    assert detail.entries == (EntryInfo("a", 40, 1, 1, 2_000_000, 2_000_000),)
    assert detail.info == BucketInfo("b", 1, 140, 2_000_000, 2_000_000)  # 10 for each label
    assert await get(engine, entry="a/$meta") == b"12345678"


async def test_usage(engine: Engine) -> None:
    """Usage sums over buckets, and an empty bucket does not make the oldest time zero."""
    assert await engine.usage() == UsageInfo(0, 0, 0, 0)
    for name in ("a", "b", "c"):
        await engine.create_bucket(name)
    assert await engine.usage() == UsageInfo(3, 0, 0, 0)
    await put(engine, b"12345678", at=5_000_000, bucket="a")
    await put(engine, b"12345678", at=3_000_000, bucket="b")
    assert await engine.usage() == UsageInfo(3, 80, 3_000_000, 5_000_000)


async def test_blocks_by_count(engine: Engine) -> None:
    """A block that holds its maximum of records is followed by a new one."""
    await engine.create_bucket("b", SettingsChange(max_block_records=2))
    for second in range(1, 6):
        await put(engine, b"12345678", at=second * 1_000_000)
    (entry,) = (await engine.bucket("b")).entries
    # three blocks of 2, 2 and 1; the second of a block starts at byte 8, which costs 2
    assert entry == EntryInfo("e", 3 * 40 + 2 * 42, 5, 3, 1_000_000, 5_000_000)


async def test_blocks_by_content(engine: Engine) -> None:
    """A block takes content up to its maximum exactly; a longer record gets one of its own."""
    await engine.create_bucket("b", SettingsChange(max_block_size=16))
    await put(engine, b"12345678", at=1_000_000)
    await put(engine, b"12345678", at=2_000_000)
    assert (await engine.bucket("b")).entries[0].block_count == 1
    await put(engine, b"1", at=3_000_000)
    assert (await engine.bucket("b")).entries[0].block_count == 2
    await put(engine, b"x" * 17, at=4_000_000)
    assert (await engine.bucket("b")).entries[0].block_count == 3


async def test_blocks_by_time(engine: Engine) -> None:
    """A record joins the last block that begins before it; one older than all begins a block."""
    await engine.create_bucket("b", SettingsChange(max_block_records=3))
    await put(engine, b"12345678", at=5_000_000)
    await put(engine, b"12345678", at=3_000_000)
    await put(engine, b"12345678", at=4_000_000)
    (entry,) = (await engine.bucket("b")).entries
    # 5 s and 3 s begin blocks of their own, 4 s comes second in the one of 3 s
    assert entry == EntryInfo("e", 40 + 40 + 42, 3, 2, 3_000_000, 5_000_000)
