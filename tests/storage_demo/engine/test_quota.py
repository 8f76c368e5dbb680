"""What a bucket does when it is full.

The sizes: a record of 8 bytes at a whole second takes 40 bytes first in its block and 42 after others; one
of 100 bytes takes 132 first (its end is below 128) and 134 after 8 to 27 others.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from storage_demo.engine import (
    Engine,
    EntryInfo,
    FifoQuotaError,
    HardQuotaError,
    QuotaType,
    RecordNotFoundError,
    SettingsChange,
)
from tests.storage_demo.engine.transfers import content_files, get, payload, put

if TYPE_CHECKING:
    from pathlib import Path

S = 1_000_000


async def times(engine: Engine, entry: str = "e", seconds: range = range(1, 12)) -> list[int]:
    """Return the whole seconds at which the entry has a record."""
    found = []
    for second in seconds:
        try:
            await get(engine, at=second * S, entry=entry)
        except RecordNotFoundError:
            continue
        found.append(second)
    return found


async def test_none_ignores_the_size(engine: Engine) -> None:
    """Without a quota type the quota size limits nothing."""
    await engine.create_bucket("b", SettingsChange(QuotaType.NONE, quota_size=1))
    await put(engine, b"12345678", at=S)
    assert await times(engine) == [1]


async def test_hard_limit_is_exact(engine: Engine) -> None:
    """Stored size plus incoming content may reach the quota but not pass it."""
    await engine.create_bucket("b", SettingsChange(QuotaType.HARD, quota_size=48))
    await put(engine, b"12345678", at=S)
    with pytest.raises(HardQuotaError, match=r"^Quota of 'b' exceeded$"):
        await engine.write_record("b", "e", 2 * S, 9)
    await put(engine, b"12345678", at=2 * S)
    assert await times(engine) == [1, 2]


async def test_hard_limit_of_zero(engine: Engine) -> None:
    """A quota of zero is a limit of zero bytes, not the absence of one."""
    await engine.create_bucket("b", SettingsChange(QuotaType.HARD))
    with pytest.raises(HardQuotaError):
        await engine.write_record("b", "e", S, 1)


async def test_hard_limit_holds_between_uploads(engine: Engine, folder: Path) -> None:
    """Two uploads that fit one by one but not together: the later commit is refused and leaves nothing."""
    await engine.create_bucket("b", SettingsChange(QuotaType.HARD, quota_size=150_000))
    content = payload(100_000)
    outcomes = await asyncio.gather(
        put(engine, content, at=S), put(engine, content, at=2 * S), return_exceptions=True
    )
    assert sorted(str(outcome) for outcome in outcomes) == ["None", "Quota of 'b' exceeded"]
    assert len(await times(engine)) == 1
    assert len(content_files(folder)) == 1


async def test_hard_limit_of_the_commit(engine: Engine, folder: Path) -> None:
    """A quota that was lowered during an upload holds at its commit."""
    await engine.create_bucket("b")
    async with await engine.write_record("b", "e", S, 100_000) as writer:
        await writer.write(payload(100_000))
        await engine.change_settings("b", SettingsChange(QuotaType.HARD, quota_size=99_999))
        with pytest.raises(HardQuotaError):
            await writer.commit()
    assert (await engine.bucket("b")).entries == ()
    assert content_files(folder) == []


async def test_fifo_evicts_the_oldest_until_it_fits(engine: Engine) -> None:
    """The oldest records of the whole bucket go, in order of time, and no more of them than needed."""
    await engine.create_bucket("b", SettingsChange(QuotaType.FIFO, quota_size=130))
    await put(engine, b"12345678", at=3 * S, entry="e")
    await put(engine, b"12345678", at=1 * S, entry="f")
    await put(engine, b"12345678", at=2 * S, entry="g")
    # stored 120: ten more bytes fit exactly
    await put(engine, b"1234567890", at=4 * S, entry="e")
    assert await times(engine, "f") == [1]
    # stored 120 + 44 = 164: 8 more need 42 bytes, the oldest two give 80
    await put(engine, b"12345678", at=5 * S, entry="g")
    assert await times(engine, "f") == []
    assert await times(engine, "g") == [5]
    assert await times(engine, "e") == [3, 4]


async def test_fifo_keeps_the_counters(engine: Engine) -> None:
    """After an eviction counts, sizes and times are those of what is left, and an emptied entry has zeros."""
    await engine.create_bucket("b", SettingsChange(QuotaType.FIFO, quota_size=100))
    await put(engine, b"12345678", at=1 * S, entry="e")
    await put(engine, b"12345678", at=2 * S, entry="f")
    await put(engine, b"12345678901234567890" * 5, at=3 * S, entry="f")
    # all the 80 bytes had to go for 100
    detail = await engine.bucket("b")
    assert detail.entries == (EntryInfo("e", 0, 0, 0, 0, 0), EntryInfo("f", 132, 1, 1, 3 * S, 3 * S))
    assert (detail.info.size_bytes, detail.info.oldest_record_us) == (132, 3 * S)
    with pytest.raises(RecordNotFoundError, match=r"^No records in entry b/e$"):
        await engine.read_record("b", "e")


async def test_fifo_unlinks_the_files(engine: Engine, folder: Path) -> None:
    """The content file of an evicted record is gone when the new record is acknowledged."""
    await engine.create_bucket("b", SettingsChange(QuotaType.FIFO, quota_size=250_000))
    await put(engine, payload(100_000), at=1 * S)
    first = content_files(folder)
    await put(engine, payload(100_000), at=2 * S)
    await put(engine, payload(100_000), at=3 * S)
    assert await times(engine) == [2, 3]
    assert len(content_files(folder)) == 2
    assert not set(first) & set(content_files(folder))


async def test_fifo_impossible(engine: Engine) -> None:
    """A record longer than the quota is refused before the upload, and nothing is evicted for it."""
    await engine.create_bucket("b", SettingsChange(QuotaType.FIFO, quota_size=50))
    await put(engine, b"12345678", at=S)
    with pytest.raises(FifoQuotaError, match=r"^Failed to keep quota of 'b'$"):
        await engine.write_record("b", "e", 2 * S, 51)
    assert await times(engine) == [1]


async def test_fifo_spares_system_entries(engine: Engine) -> None:
    """Attachments are not evicted; if only they are left, the record is refused and nothing is lost."""
    await engine.create_bucket("b", SettingsChange(QuotaType.FIFO, quota_size=100))
    await put(engine, b"12345678", at=1 * S, entry="e/$meta", labels={"key": "k"})
    await put(engine, b"12345678", at=2 * S)
    # stored 50 + 40: 30 more need 20 of them, and the older 50 may not go
    await put(engine, b"123456789012345678901234567890", at=3 * S)
    assert await times(engine) == [3]
    async with await engine.write_record("b", "e", 4 * S, 61) as writer:
        await writer.write(bytes(61))
        with pytest.raises(FifoQuotaError, match=r"^Failed to keep quota of 'b'$"):
            await writer.commit()
    assert await times(engine) == [3]
    assert await times(engine, "e/$meta") == [1]


async def test_smaller_quota_acts_at_the_next_upload(engine: Engine) -> None:
    """A changed quota removes nothing by itself."""
    await engine.create_bucket("b")
    for second in range(1, 5):
        await put(engine, b"12345678", at=second * S)
    await engine.change_settings("b", SettingsChange(QuotaType.FIFO, quota_size=60))
    assert await times(engine) == [1, 2, 3, 4]
    # stored 40 + 3 * 42 = 166: at most 52 may stay
    await put(engine, b"12345678", at=5 * S)
    assert await times(engine) == [4, 5]
