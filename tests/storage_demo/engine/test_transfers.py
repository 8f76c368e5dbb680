"""Records up and down, and everything that can go wrong on the way up."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import time
import tracemalloc
from functools import partial
from typing import TYPE_CHECKING

import pytest

from storage_demo.engine import (
    BucketNotFoundError,
    ContentDamagedError,
    Engine,
    EntryNotFoundError,
    InvalidError,
    LengthMismatchError,
    Record,
    RecordExistsError,
    RecordNotFoundError,
    StorageError,
    StorageFullError,
    UploadOverError,
)
from tests.storage_demo.engine.transfers import INLINE_BYTES, content_files, get, payload, put

if TYPE_CHECKING:
    from pathlib import Path

SHORT = "Content is shorter than expected: no more data to read"
LONG = "Content is longer than expected: more data than announced"

FAULTS = {errno.ENOSPC: StorageFullError, errno.EDQUOT: StorageFullError, errno.EIO: StorageError}

# Around the border between the index and files, around the buffer of an upload, and several pieces long.
LENGTHS = [0, 1, INLINE_BYTES - 1, INLINE_BYTES, INLINE_BYTES + 1, 524_287, 524_288, 524_289, 3_000_001]


@pytest.fixture(autouse=True)
async def _bucket(engine: Engine) -> None:
    await engine.create_bucket("b")


@pytest.mark.parametrize("length_bytes", LENGTHS)
async def test_content_comes_back(engine: Engine, length_bytes: int) -> None:
    """What was written is read, in pieces of at most 512 KiB, none of them empty."""
    await put(engine, payload(length_bytes), at=1)
    async with await engine.read_record("b", "e", 1) as reader:
        pieces = [piece async for piece in reader.chunks()]
    assert b"".join(pieces) == payload(length_bytes)
    assert all(0 < len(piece) <= 512 * 1024 for piece in pieces)


@pytest.mark.parametrize(("length_bytes", "file_count"), [(INLINE_BYTES, 0), (INLINE_BYTES + 1, 1)])
async def test_where_content_is_kept(
    engine: Engine, folder: Path, length_bytes: int, file_count: int
) -> None:
    """Content up to 64 KiB makes no file, longer content makes one that only its owner may read."""
    await put(engine, payload(length_bytes), at=1)
    assert len(content_files(folder)) == file_count
    for path in (folder / "contents").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("chunk_bytes", [1_000, 65_536, 3_000_000])
async def test_size_of_chunks_does_not_matter(engine: Engine, chunk_bytes: int) -> None:
    """An upload may come in small pieces or in one, with empty ones between."""
    content = payload(1_500_000)
    async with await engine.write_record("b", "e", 1, len(content)) as writer:
        for start in range(0, len(content), chunk_bytes):
            await writer.write(content[start : start + chunk_bytes])
            await writer.write(b"")
        await writer.commit()
    assert await get(engine, at=1) == content


async def test_metadata(engine: Engine) -> None:
    """Type, labels, length and names come back with the record, labels sorted by name."""
    await put(engine, b"xyz", at=7, entry="a/b", content_type="text/plain", labels={"z": "1", "a": "é,=\n"})
    async with await engine.read_record("b", "a/b", 7) as reader:
        assert reader.record == Record("b", "a/b", 7, 3, "text/plain", (("a", "é,=\n"), ("z", "1")))


async def test_latest(engine: Engine) -> None:
    """Without a timestamp the record with the greatest one is read, whatever the order of uploads."""
    for at in (2, 9, 5):
        await put(engine, str(at).encode(), at=at)
    assert await get(engine) == b"9"


@pytest.mark.parametrize("at", [0, 2**63 - 1])
async def test_ends_of_time(engine: Engine, at: int) -> None:
    """The smallest and the greatest timestamp can be written and read."""
    await put(engine, b"x", at=at)
    assert await get(engine, at=at) == b"x"


async def test_missing_records(engine: Engine) -> None:
    """A missing entry and a missing record are told apart."""
    await put(engine, b"x", at=1)
    with pytest.raises(EntryNotFoundError, match=r"^Entry 'nope' not found in bucket 'b'$"):
        await engine.read_record("b", "nope", 1)
    with pytest.raises(EntryNotFoundError):
        await engine.read_record("b", "\udcff", 1)
    with pytest.raises(RecordNotFoundError, match=r"^Record 2 not found in entry b/e$"):
        await engine.read_record("b", "e", 2)


@pytest.mark.parametrize("number", [-1, 2**63, 2**64])
async def test_numbers_out_of_range(engine: Engine, number: int) -> None:
    """Times and lengths outside 0 ... 2^63-1 are refused before they reach the database."""
    with pytest.raises(InvalidError, match=r"^'ts' must be an unix timestamp in microseconds$"):
        await engine.write_record("b", "e", number, 1)
    with pytest.raises(InvalidError, match=r"^'ts' must be an unix timestamp in microseconds$"):
        await engine.read_record("b", "e", number)
    with pytest.raises(InvalidError, match=r"^Content length must be"):
        await engine.write_record("b", "e", 1, number)


async def test_text_that_is_not_unicode(engine: Engine) -> None:
    """A lone surrogate in type or label is refused."""
    with pytest.raises(InvalidError):
        await engine.write_record("b", "e", 1, 1, "\udcff")
    with pytest.raises(InvalidError):
        await engine.write_record("b", "e", 1, 1, labels={"\udcff": "x"})
    with pytest.raises(InvalidError, match=r"^Label values for k must be valid UTF-8 strings$"):
        await engine.write_record("b", "e", 1, 1, labels={"k": "\udcff"})


async def test_bad_entry_name(engine: Engine) -> None:
    """An upload to a name that cannot exist is refused and creates no entry."""
    with pytest.raises(InvalidError):
        await engine.write_record("b", "a//b", 1, 1)
    assert (await engine.bucket("b")).entries == ()


async def test_duplicate(engine: Engine) -> None:
    """A taken timestamp is refused before the upload, in its own entry only."""
    await put(engine, b"first", at=1)
    with pytest.raises(RecordExistsError, match=r"^A record with timestamp 1 already exists$"):
        await engine.write_record("b", "e", 1, 5)
    await put(engine, b"other", at=1, entry="f")
    assert await get(engine, at=1) == b"first"


async def test_two_uploads_at_once(engine: Engine) -> None:
    """A timestamp that is being uploaded is taken; the first upload wins."""
    async with await engine.write_record("b", "e", 1, 5) as writer:
        with pytest.raises(RecordExistsError, match=r"^A record with timestamp 1 already exists$"):
            await engine.write_record("b", "e", 1, 5)
        await writer.write(b"first")
        await writer.commit()
    assert await get(engine, at=1) == b"first"


async def test_many_uploads_race_for_one_timestamp(engine: Engine) -> None:
    """Of uploads begun together exactly one is stored."""
    outcomes = await asyncio.gather(
        *(put(engine, b"%d" % number, at=1) for number in range(10)), return_exceptions=True
    )
    refusals = [outcome for outcome in outcomes if outcome is not None]
    assert len(refusals) == 9
    assert all(isinstance(refusal, RecordExistsError) for refusal in refusals)
    assert (await engine.bucket("b")).entries[0].record_count == 1


async def test_two_engines_race_for_one_timestamp(engine: Engine, folder: Path) -> None:
    """Between engines that do not know each other's uploads the first commit wins."""
    other = await Engine.open(folder)
    content = payload(100_000)
    async with (
        await engine.write_record("b", "e", 1, len(content)) as slow,
        await other.write_record("b", "e", 1, 5) as fast,
    ):
        await slow.write(content)
        await fast.write(b"first")
        await fast.commit()
        with pytest.raises(RecordExistsError):
            await slow.commit()
    await other.close()
    assert await get(engine, at=1) == b"first"
    assert content_files(folder) == []


async def test_uploads_side_by_side(engine: Engine) -> None:
    """Many uploads at once, long and short, are all stored as they were sent."""
    contents = {at: payload(at * 9_000, seed=at) for at in range(1, 25)}
    await asyncio.gather(*(put(engine, content, at=at) for at, content in contents.items()))
    for at, content in contents.items():
        assert await get(engine, at=at) == content


@pytest.mark.parametrize("length_bytes", [10, 1_000_000])
async def test_short_upload(engine: Engine, folder: Path, length_bytes: int) -> None:
    """Missing bytes are an error at commit; nothing is left and the timestamp is free again."""
    async with await engine.write_record("b", "e", 1, length_bytes) as writer:
        await writer.write(payload(length_bytes - 1))
        with pytest.raises(LengthMismatchError) as refusal:
            await writer.commit()
    assert str(refusal.value) == SHORT
    await assert_untouched(engine, folder)


@pytest.mark.parametrize("length_bytes", [0, 10, 1_000_000])
async def test_long_upload(engine: Engine, folder: Path, length_bytes: int) -> None:
    """A byte too much is an error at once, and the upload cannot be committed any more."""
    async with await engine.write_record("b", "e", 1, length_bytes) as writer:
        await writer.write(payload(length_bytes))
        with pytest.raises(LengthMismatchError) as refusal:
            await writer.write(b"x")
        with pytest.raises(LengthMismatchError):
            await writer.commit()
    assert str(refusal.value) == LONG
    await assert_untouched(engine, folder)


async def assert_untouched(engine: Engine, folder: Path) -> None:
    """Check that a failed upload at time 1 left nothing and that its timestamp can be written."""
    assert content_files(folder) == []
    assert (await engine.bucket("b")).entries == ()
    await put(engine, b"again", at=1)
    assert await get(engine, at=1) == b"again"


@pytest.mark.parametrize("received_bytes", [0, 10, 900_000])
async def test_abort(engine: Engine, folder: Path, received_bytes: int) -> None:
    """Leaving without a commit leaves nothing, not even the entry."""
    async with await engine.write_record("b", "e", 1, 1_000_000) as writer:
        await writer.write(payload(received_bytes))
    await assert_untouched(engine, folder)


async def test_error_in_the_caller(engine: Engine, folder: Path) -> None:
    """An exception of the caller aborts the upload and goes on."""

    async def lose_the_connection() -> None:
        async with await engine.write_record("b", "e", 1, 1_000_000) as writer:
            await writer.write(payload(900_000))
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await lose_the_connection()
    await assert_untouched(engine, folder)


async def test_cancelled_upload(engine: Engine, folder: Path) -> None:
    """A cancelled task leaves nothing, wherever it was in its upload."""

    async def upload() -> None:
        async with await engine.write_record("b", "e", 1, 100_000_000) as writer:
            for _ in range(100):
                await writer.write(bytes(1_000_000))

    for turns in range(0, 60, 3):
        task = asyncio.create_task(upload())
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await assert_untouched(engine, folder)


async def test_cancelled_commit_is_all_or_nothing(engine: Engine, folder: Path) -> None:
    """Cancelled in its commit, a record is complete or absent, and its file agrees with that."""
    content = payload(200_000)

    async def upload(at: int) -> None:
        async with await engine.write_record("b", "e", at, len(content)) as writer:
            await writer.write(content)
            await writer.commit()

    stored_count = 0
    for at in range(1, 30):
        task = asyncio.create_task(upload(at))
        await asyncio.sleep(at * 0.0003)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        with contextlib.suppress(EntryNotFoundError, RecordNotFoundError):
            assert await get(engine, at=at) == content
            stored_count += 1
    assert len(content_files(folder)) == stored_count


async def test_cancelled_abort_still_cleans_up(engine: Engine, folder: Path) -> None:
    """An abort that waits for a free thread happens although its caller was cancelled meanwhile."""
    writer = await engine.write_record("b", "e", 1, 1_000_000)
    await writer.write(payload(900_000))
    busy = [asyncio.create_task(engine._files.run(partial(time.sleep, 0.2))) for _ in range(16)]
    await asyncio.sleep(0)
    leaving = asyncio.create_task(writer.__aexit__(None, None, None))
    await asyncio.sleep(0.02)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert len(content_files(folder)) == 1
    await asyncio.gather(*busy)
    async with asyncio.timeout(2):
        while content_files(folder):
            await asyncio.sleep(0.01)
    await assert_untouched(engine, folder)


async def test_an_upload_ends_once(engine: Engine) -> None:
    """After its commit an upload takes nothing more."""
    async with await engine.write_record("b", "e", 1, 1) as writer:
        await writer.write(b"x")
        await writer.commit()
        with pytest.raises(UploadOverError):
            await writer.write(b"y")
        with pytest.raises(UploadOverError):
            await writer.commit()
    assert await get(engine, at=1) == b"x"


async def test_closing_the_engine_aborts_uploads(folder: Path) -> None:
    """An upload that is open when its engine closes leaves nothing and cannot go on."""
    engine = await Engine.open(folder)
    async with await engine.write_record("b", "e", 1, 1_000_000) as writer:
        await writer.write(payload(900_000))
        assert len(content_files(folder)) == 1
        await engine.close()
        assert content_files(folder) == []
        with pytest.raises(UploadOverError):
            await writer.write(b"x")


@pytest.mark.parametrize("length_bytes", [10, 100_000])
async def test_bucket_removed_during_an_upload(engine: Engine, folder: Path, length_bytes: int) -> None:
    """The upload fails, and does not land in a new bucket of the same name."""
    async with await engine.write_record("b", "e", 1, length_bytes) as writer:
        await writer.write(payload(length_bytes))
        await engine.remove_bucket("b")
        await engine.create_bucket("b")
        with pytest.raises(BucketNotFoundError, match=r"^Bucket 'b' is not found$"):
            await writer.commit()
    await assert_untouched(engine, folder)


async def test_bucket_renamed_during_an_upload(engine: Engine) -> None:
    """The upload lands in its bucket under the new name, not in a new bucket with the old one."""
    async with await engine.write_record("b", "e", 1, 5) as writer:
        await writer.write(b"hello")
        await engine.rename_bucket("b", "c")
        await engine.create_bucket("b")
        await writer.commit()
    assert await get(engine, bucket="c") == b"hello"
    assert (await engine.bucket("b")).entries == ()


async def test_removed_while_it_is_read(engine: Engine, folder: Path) -> None:
    """A reader that is open goes on to the end of a record that was removed."""
    content = payload(1_000_000)
    await put(engine, content, at=1)
    async with await engine.read_record("b", "e", 1) as reader:
        pieces = reader.chunks()
        received = await anext(pieces)
        await engine.remove_bucket("b")
        assert content_files(folder) == []
        received += b"".join([piece async for piece in pieces])
    assert received == content


async def test_no_transaction_is_open_between_chunks(engine: Engine) -> None:
    """An upload and a download that stand still keep nobody from changing and reading."""
    await put(engine, payload(1_000_000), at=1)
    async with (
        await engine.read_record("b", "e", 1) as reader,
        await engine.write_record("b", "e", 2, 1_000_000) as writer,
    ):
        pieces = reader.chunks()
        await anext(pieces)
        await writer.write(payload(900_000))
        async with asyncio.timeout(4):
            await engine.create_bucket("other")
            await put(engine, b"x", at=3, bucket="other")
        assert await get(engine, bucket="other") == b"x"


@pytest.mark.parametrize("damage", ["missing", "shorter"])
async def test_damaged_content(engine: Engine, folder: Path, damage: str) -> None:
    """Content that somebody took away or cut is an error at once, not a short reply."""
    await put(engine, payload(100_000), at=1)
    (path,) = (folder / "contents").iterdir()
    if damage == "missing":
        path.unlink()
    else:
        os.truncate(path, 99_999)
    with pytest.raises(ContentDamagedError, match=r"^Content of record 1 in entry b/e is damaged$"):
        await engine.read_record("b", "e", 1)


async def test_streams_with_constant_memory(engine: Engine) -> None:
    """A record of 48 MB needs less than 8 MB of memory, up and down."""
    chunk = payload(65_536)
    tracemalloc.start()
    try:
        async with await engine.write_record("b", "e", 1, 750 * len(chunk)) as writer:
            for _ in range(750):
                await writer.write(chunk)
            await writer.commit()
        received_bytes = 0
        async with await engine.read_record("b", "e", 1) as reader:
            async for piece in reader.chunks():
                received_bytes += len(piece)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert received_bytes == 750 * 65_536
    assert peak_bytes < 8_000_000


async def test_file_and_folder_are_synced_before_the_row(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the row appears, the complete file and its name have been synced, in this order."""
    synced: list[tuple[str, int]] = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        status = os.fstat(descriptor)
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "file"
        # The final name must be there when the folder is synced, and not before the file was.
        named = [name for name in content_files(folder) if not name.endswith(".part")]
        synced.append((kind, len(named)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    await put(engine, payload(100_000), at=1)
    assert synced == [("file", 0), ("folder", 1)]


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("code", FAULTS)
async def test_disk_fails_for_a_file(
    engine: Engine,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
) -> None:
    """A full or failing disk fails the upload alone, and leaves nothing."""
    await put(engine, b"before", at=9, entry="kept")

    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail)
        with pytest.raises(StorageError) as failure:
            await put(engine, payload(1_000_000), at=1)
    assert type(failure.value) is FAULTS[code]
    assert content_files(folder) == []
    await put(engine, b"again", at=1)
    assert await get(engine, at=1) == b"again"
    assert await get(engine, at=9, entry="kept") == b"before"


async def test_a_failed_write_cannot_be_committed(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once bytes were lost, the upload stays broken although the count of bytes is right."""
    calls = 0
    write = os.write

    def fail_once(descriptor: int, data: memoryview) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError(errno.EIO, "broken")
        return write(descriptor, data)

    content = payload(1_200_000)
    async with await engine.write_record("b", "e", 1, len(content)) as writer:
        with monkeypatch.context() as broken:
            broken.setattr(os, "write", fail_once)
            with pytest.raises(StorageError):
                await writer.write(content)
        with pytest.raises(UploadOverError):
            await writer.commit()
    await assert_untouched(engine, folder)
