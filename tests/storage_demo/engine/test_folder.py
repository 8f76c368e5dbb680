"""The folder of an engine: restart, orphans, neighbours, faults of disk and database."""

from __future__ import annotations

import asyncio
import doctest
import os
import sqlite3
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import storage_demo.engine
from storage_demo.engine import (
    BucketExistsError,
    BucketSettings,
    Engine,
    QuotaType,
    SchemaTooNewError,
    SettingsChange,
    StorageBusyError,
    StorageError,
    StorageFullError,
    bucket_changes,
    database,
    records,
    schema,
)
from tests.storage_demo.engine.transfers import content_files, get, payload, put

if TYPE_CHECKING:
    from pathlib import Path


async def test_everything_survives_a_restart(folder: Path) -> None:
    """Settings, records, labels and counters are the same in the next engine."""
    first = await Engine.open(folder)
    await first.create_bucket("b", SettingsChange(QuotaType.HARD, 1_000_000, 2, 3))
    await put(first, b"small", at=1, entry="a/b", content_type="text/plain", labels={"k": "v"})
    await put(first, payload(200_000), at=2)
    before = await first.bucket("b")
    await first.close()

    second = await Engine.open(folder)
    assert await second.bucket("b") == before
    assert await get(second, at=2) == payload(200_000)
    async with await second.read_record("b", "a/b", 1) as reader:
        assert [piece async for piece in reader.chunks()] == [b"small"]
        assert (reader.record.content_type, reader.record.labels) == ("text/plain", (("k", "v"),))
    await second.close()


async def test_only_the_owner_may_look(folder: Path) -> None:
    """Folders are 0700 and files 0600, whatever the umask says."""
    before = os.umask(0)
    try:
        engine = await Engine.open(folder / "deeper")
        await engine.create_bucket("b")
        await put(engine, payload(100_000), at=1)
        modes = modes_below(folder / "deeper")
        await engine.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "deeper").stat().st_mode) == 0o700
    assert {"engine.db", "engine.db-wal", "engine.db-shm", "engine.lock", "contents"} <= set(modes)
    assert len(modes) == 6
    for mode in modes.values():
        assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600)


async def test_orphans_are_swept_at_start(folder: Path) -> None:
    """Temporary files and files without a record go at the start, contents of records stay."""
    engine = await Engine.open(folder)
    await engine.create_bucket("b")
    await put(engine, payload(100_000), at=1)
    await engine.close()
    kept = content_files(folder)
    for name in ("0" * 32, f"{'1' * 32}.part", f"{kept[0]}.part"):
        write_file(folder / "contents" / name, b"x")
    draft = write_file(folder / "engine.db.0123.new", b"")

    engine = await Engine.open(folder)
    assert content_files(folder) == kept
    assert await get(engine, at=1) == payload(100_000)
    assert not draft.exists()
    await engine.close()


async def test_no_sweep_beside_another_engine(engine: Engine, folder: Path) -> None:
    """A second engine leaves the open upload of the first alone."""
    await engine.create_bucket("b")
    content = payload(900_000)
    async with await engine.write_record("b", "e", 1, len(content)) as writer:
        await writer.write(content[:600_000])
        assert len(content_files(folder)) == 1
        other = await Engine.open(folder)
        assert len(content_files(folder)) == 1
        await writer.write(content[600_000:])
        await writer.commit()
    assert await get(other, at=1) == content
    await other.close()


async def test_the_first_engine_may_leave_first(folder: Path) -> None:
    """An engine that started second still protects its uploads when the first has gone."""
    first = await Engine.open(folder)
    second = await Engine.open(folder)
    await first.close()
    orphan = write_file(folder / "contents" / "orphan", b"x")
    third = await Engine.open(folder)
    assert orphan.exists()
    await second.close()
    await third.close()


async def test_engines_see_the_changes_of_each_other(engine: Engine, folder: Path) -> None:
    """What one engine acknowledged, the other shows."""
    other = await Engine.open(folder)
    await engine.create_bucket("b")
    await put(other, b"hello", at=1)
    assert await get(engine, at=1) == b"hello"
    await engine.rename_bucket("b", "c")
    assert await other.bucket_names() == {"c"}
    with pytest.raises(BucketExistsError):
        await other.create_bucket("c")
    await other.close()


async def test_engines_start_together(folder: Path) -> None:
    """Engines that race for a folder that is not there yet all come up and share it."""
    engines = await asyncio.gather(*(Engine.open(folder) for _ in range(5)))
    await asyncio.gather(*(opened.create_bucket(f"b{at}") for at, opened in enumerate(engines)))
    for opened in engines:
        assert await opened.bucket_names() == {"b0", "b1", "b2", "b3", "b4"}
        await opened.close()


async def test_newer_schema_is_refused(folder: Path) -> None:
    """A folder of a newer version is not opened, not changed, and not kept locked."""
    await (await Engine.open(folder)).close()
    with_version(folder, 1000)
    for _ in range(2):
        with pytest.raises(SchemaTooNewError, match=r"schema version 1000") as refusal:
            await Engine.open(folder)
    assert (refusal.value.found, refusal.value.supported) == (1000, schema.VERSION)
    orphan = write_file(folder / "contents" / "orphan", b"x")
    with_version(folder, schema.VERSION)
    await (await Engine.open(folder)).close()
    # It was alone, so the refused starts did not keep their lock.
    assert not orphan.exists()


def write_file(path: Path, content: bytes) -> Path:
    """Put a file of somebody else into the way."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def modes_below(folder: Path) -> dict[str, int]:
    """Return name and mode of everything in the folder and the folders in it."""
    return {path.name: path.stat().st_mode for path in folder.rglob("*")}


def with_version(folder: Path, version: int) -> None:
    """Write another schema version into the database."""
    connection = sqlite3.connect(folder / "engine.db")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


async def test_not_a_database(folder: Path) -> None:
    """A file that is no database is an error with a cause, and is left as it is."""
    file = write_file(folder / "engine.db", b"precious " * 1000)
    with pytest.raises(StorageError, match=r"file is not a database"):
        await Engine.open(folder)
    assert file.read_bytes() == b"precious " * 1000


async def test_a_removed_bucket_leaves_no_rows(engine: Engine) -> None:
    """The index holds nothing of a removed bucket, so it does not grow by what is gone."""
    await engine.create_bucket("b")
    await put(engine, b"small", at=1, entry="a/b")
    await engine.remove_bucket("b")
    tables = ("buckets", "entries", "blocks", "records")
    counts = engine._database.read(
        lambda reading: [reading.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables]
    )
    assert counts == [0, 0, 0, 0]


@pytest.mark.parametrize("length_bytes", [60_000, 100_000])
async def test_full_database(engine: Engine, folder: Path, length_bytes: int) -> None:
    """When the index cannot grow, uploads fail one by one, and what was acknowledged stays."""
    await engine.create_bucket("b")
    writing = engine._database._writer  # the only way to a full disk without one
    (pages,) = writing.execute("PRAGMA page_count").fetchone()
    writing.execute(f"PRAGMA max_page_count = {pages + 8 + 3 * 16}")
    outcomes = []
    for at in range(1, 400):
        try:
            await put(engine, payload(length_bytes, seed=at), at=at, labels={"k": "v" * 5_000})
        except StorageFullError:
            outcomes.append(False)
            if len(outcomes) - sum(outcomes) == 3:
                break
        else:
            outcomes.append(True)
    assert sum(outcomes) > 0
    assert outcomes.count(False) == 3
    for at, is_stored in enumerate(outcomes, start=1):
        if is_stored:
            assert await get(engine, at=at) == payload(length_bytes, seed=at)
    assert (await engine.bucket("b")).entries[0].record_count == sum(outcomes)
    assert len(content_files(folder)) == (sum(outcomes) if length_bytes > 65_536 else 0)
    writing.execute("PRAGMA max_page_count = 1000000")
    failed_at = outcomes.index(False) + 1
    await put(engine, b"again", at=failed_at)
    assert await get(engine, at=failed_at) == b"again"


async def test_busy_database(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes that wait too long for another process fail together, and reading goes on."""
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_S", 0.05)
    engine = await Engine.open(folder)
    await engine.create_bucket("b")
    blocker = sqlite3.connect(folder / "engine.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    outcomes = await asyncio.gather(
        *(put(engine, payload(100_000), at=at) for at in range(5)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [StorageBusyError] * 5
    assert (await engine.bucket("b")).entries == ()
    assert content_files(folder) == []
    blocker.execute("ROLLBACK")
    blocker.close()
    await put(engine, b"again", at=1)
    await engine.close()


async def test_a_refusal_does_not_touch_its_neighbours(engine: Engine) -> None:
    """Changes that share a commit succeed and fail each on its own."""
    await engine.create_bucket("taken")
    names = [f"b{number}" for number in range(20)]
    outcomes = await asyncio.gather(
        *(engine.create_bucket(name) for pair in names for name in (pair, "taken")), return_exceptions=True
    )
    assert [outcome for outcome in outcomes[::2] if outcome is not None] == []
    assert all(isinstance(outcome, BucketExistsError) for outcome in outcomes[1::2])
    assert await engine.bucket_names() == {"taken", *names}


async def test_a_change_that_fails_half_way_leaves_nothing(engine: Engine) -> None:
    """What a change did before it failed is undone, and the next one finds the writer in order."""

    def create_and_fail(writing: sqlite3.Connection) -> None:
        bucket_changes.create_bucket(writing, "half", BucketSettings())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine._database.change(create_and_fail)
    await engine.create_bucket("whole")
    assert await engine.bucket_names() == {"whole"}


async def test_commits_are_synced(engine: Engine) -> None:
    """The index runs with a write-ahead log and syncs it at each commit."""
    writing = engine._database._writer  # a power loss cannot be tried here
    assert writing.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert writing.execute("PRAGMA synchronous").fetchone() == (2,)


def test_knows_nothing_of_the_web() -> None:
    """Importing the engine does not import aiohttp or the token module."""
    code = "import sys, storage_demo.engine; print({'aiohttp', 'reductauth'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_exported_names() -> None:
    """Every public name exists."""
    assert all(hasattr(storage_demo.engine, name) for name in storage_demo.engine.__all__)


def test_examples_in_docstrings() -> None:
    """The examples in the docstrings run."""
    assert doctest.testmod(records) == (0, 1)
