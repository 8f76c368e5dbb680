"""A folder of schema 1, as the first release left it, in the engine of today."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from storage_demo.engine import Engine, EntryPatterns, LabelChange, OneRecord, Selection
from storage_demo.engine.schema import MIGRATIONS
from tests.storage_demo.engine.transfers import get, put

if TYPE_CHECKING:
    from pathlib import Path

# Entry, time, labels, content. Schema 1 took any record in a system entry, with a key twice or without one.
RECORDS: tuple[tuple[str, int, dict[str, str], bytes], ...] = (
    ("cam", 1, {"key": "ordinary"}, b"12345678"),
    ("cam/$meta", 1, {"key": "one"}, b"old"),
    ("cam/$meta", 2, {"key": "one", "other": "x"}, b"newer"),
    ("cam/$meta", 3, {"key": "two"}, b"two"),
    ("cam/$meta", 4, {"other": "key"}, b"keyless"),
    ("cam/$meta", 5, {}, b"bare"),
)
SIZE_BYTES = 50


def make_schema_1(folder: Path) -> None:
    """Write by hand what the first release would have written, with a round size for each record."""
    (folder / "contents").mkdir(parents=True)
    with closing(sqlite3.connect(folder / "engine.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            "INSERT INTO buckets VALUES (1, 'b', 'NONE', 0, 64000000, 1024, ?, 0)",
            (len(RECORDS) * SIZE_BYTES,),
        )
        for entry_id, name in ((1, "cam"), (2, "cam/$meta")):
            connection.execute("INSERT INTO entries VALUES (?, 1, ?, ?)", (entry_id, name, entry_id == 2))
            contents = [content for entry, _, _, content in RECORDS if entry == name]
            connection.execute(
                "INSERT INTO blocks VALUES (?, ?, 1, ?, ?, ?)",
                (entry_id, entry_id, len(b"".join(contents)), len(contents) * SIZE_BYTES, len(contents)),
            )
        for entry, at, labels, content in RECORDS:
            entry_id = 1 if entry == "cam" else 2
            connection.execute(
                """
                INSERT INTO records (bucket_id, entry_id, block_id, timestamp_us, length_bytes, size_bytes,
                    content_type, labels, file_name, content)
                VALUES (1, ?, ?, ?, ?, ?, 'text/plain', ?, NULL, ?)
                """,
                (entry_id, entry_id, at, len(content), SIZE_BYTES, json.dumps(list(labels.items())), content),
            )


async def attached(engine: Engine) -> list[tuple[int, dict[str, str]]]:
    selection = Selection(patterns=EntryPatterns.parse(["cam/$meta"]))
    query_id = await engine.queries.begin("b", selection, owner="", ttl_seconds=60)
    query = await engine.queries.find(query_id, "b", None, owner="")
    found: list[tuple[int, dict[str, str]]] = []
    while True:
        async with await engine.queries.read(query, OneRecord(), with_contents=False) as batch:
            if not batch.records:
                return found
            found += [(record.timestamp_us, dict(record.labels)) for record in batch.records]


async def test_everything_is_still_there(folder: Path) -> None:
    """Records, labels, contents, sizes; the version is the new one, and the next start changes nothing."""
    make_schema_1(folder)
    for _ in range(2):
        engine = await Engine.open(folder)
        for entry, at, labels, content in RECORDS:
            assert await get(engine, entry=entry, at=at) == content
            async with await engine.read_record("b", entry, at) as reader:
                assert dict(reader.record.labels) == labels
        info = (await engine.bucket("b")).info
        assert (info.size_bytes, info.entry_count, info.latest_record_us) == (300, 1, 1)
        await engine.close()
        with closing(sqlite3.connect(folder / "engine.db")) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


async def test_attachments_become_replaceable(folder: Path) -> None:
    """A new record takes the place of all with its key; those without a key, and ordinary records, stay."""
    make_schema_1(folder)
    engine = await Engine.open(folder)
    await put(engine, b"newest", at=6, entry="cam/$meta", labels={"key": "one"})
    await put(engine, b"", at=7, entry="cam/$meta", labels={"key": "ordinary"})
    assert [at for at, _ in await attached(engine)] == [3, 4, 5, 6, 7]
    assert await get(engine, entry="cam", at=1) == b"12345678"
    await engine.close()


async def test_a_record_without_key_gets_one(folder: Path) -> None:
    """By a change of its labels, which may not leave it without."""
    make_schema_1(folder)
    engine = await Engine.open(folder)
    refusals = await engine.update_labels(
        "b",
        [LabelChange("cam/$meta", 4, {"key": "late"}), LabelChange("cam/$meta", 5, {"other": "y"})],
    )
    assert [str(refusal) for refusal in refusals] == [
        "None",
        "System entry 'cam/$meta' records must contain label 'key'",
    ]
    await put(engine, b"", at=8, entry="cam/$meta", labels={"key": "late"})
    assert [at for at, _ in await attached(engine)] == [1, 2, 3, 5, 8]
    await engine.close()
