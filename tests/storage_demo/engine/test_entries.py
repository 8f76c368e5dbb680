"""Entries as trees: what is below one moves and goes with it, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from storage_demo.engine import (
    BucketNotFoundError,
    Engine,
    EntryExistsError,
    EntryNotFoundError,
    InvalidError,
)
from tests.storage_demo.engine.transfers import content_files, get, payload, put

if TYPE_CHECKING:
    from pathlib import Path

# Names that sort directly before and behind what is below `a`: "-" < "/" < "0".
TREE = ("a", "a-b", "a-b/c", "a/$meta", "a/b", "a/b/$meta", "a/b/c", "a0", "aa/b", "b/a")
ATTACHED = {"key": "k"}


@pytest_asyncio.fixture
async def tree(engine: Engine) -> Engine:
    """The bucket `b` with a record at 1 in each entry of `TREE`, whose content is the name."""
    await engine.create_bucket("b")
    for entry in TREE:
        await put(engine, entry.encode(), at=1, entry=entry, labels=ATTACHED)
    return engine


async def listed(engine: Engine) -> list[str]:
    return [entry.name for entry in (await engine.bucket("b")).entries]


@pytest.mark.parametrize(
    ("entry", "gone", "left"),
    [
        (
            "a",
            ["a", "a/$meta", "a/b", "a/b/$meta", "a/b/c"],
            ["a-b", "a-b/c", "a0", "aa", "aa/b", "b", "b/a"],
        ),
        (
            "a/b",
            ["a/b", "a/b/$meta", "a/b/c"],
            ["a", "a-b", "a-b/c", "a0", "aa", "aa/b", "b", "b/a"],
        ),
        ("b", ["b/a"], ["a", "a-b", "a-b/c", "a/b", "a/b/c", "a0", "aa", "aa/b"]),
    ],
)
async def test_removal(tree: Engine, entry: str, gone: list[str], left: list[str]) -> None:
    """The entry and all below it, system entries too; names that only begin alike stay, and so do parents."""
    before = (await tree.bucket("b")).info.size_bytes
    await tree.remove_entry("b", entry)
    assert await listed(tree) == left
    for name in gone:
        with pytest.raises(EntryNotFoundError):
            await get(tree, entry=name, at=1)
    for name in set(TREE) - set(gone):
        assert await get(tree, entry=name, at=1) == name.encode()
    # Each takes its name, 2 + 3 (a microsecond) + 2 (the end) + 26 + 10 (key=k).
    assert before - (await tree.bucket("b")).info.size_bytes == sum(len(name) + 43 for name in gone)


@pytest.mark.parametrize(
    ("old", "new", "moved", "entries"),
    [
        (
            "a",
            "x",
            {"a": "x", "a/$meta": "x/$meta", "a/b": "x/b", "a/b/$meta": "x/b/$meta", "a/b/c": "x/b/c"},
            ["a-b", "a-b/c", "a0", "aa", "aa/b", "b", "b/a", "x", "x/b", "x/b/c"],
        ),
        (
            "a/b",
            "new/deep/er",
            {"a/b": "new/deep/er", "a/b/$meta": "new/deep/er/$meta", "a/b/c": "new/deep/er/c"},
            [
                *["a", "a-b", "a-b/c", "a0", "aa", "aa/b", "b", "b/a"],
                *["new", "new/deep", "new/deep/er", "new/deep/er/c"],
            ],
        ),
        # up, and the text of the old name within the rest of it stays
        (
            "b/a",
            "ab",
            {"b/a": "ab"},
            ["a", "a-b", "a-b/c", "a/b", "a/b/c", "a0", "aa", "aa/b", "ab", "b"],
        ),
        # beside itself: a longer name that begins alike is not below it
        (
            "a",
            "a1",
            {"a": "a1", "a/$meta": "a1/$meta", "a/b": "a1/b", "a/b/$meta": "a1/b/$meta", "a/b/c": "a1/b/c"},
            ["a-b", "a-b/c", "a0", "a1", "a1/b", "a1/b/c", "aa", "aa/b", "b", "b/a"],
        ),
    ],
)
async def test_renaming(tree: Engine, old: str, new: str, moved: dict[str, str], entries: list[str]) -> None:
    """The entry and all below it, records and attachments with them; missing parents are made."""
    before = (await tree.bucket("b")).info.size_bytes
    await tree.rename_entry("b", old, new)
    assert await listed(tree) == entries
    for name in TREE:
        assert await get(tree, entry=moved.get(name, name), at=1) == name.encode()
        if name in moved:
            with pytest.raises(EntryNotFoundError):
                await get(tree, entry=name, at=1)
    assert (await tree.bucket("b")).info.size_bytes == before
    # What moved is still one thing with what comes: an attachment is replaced under the new name.
    for name in moved.values():
        if name.endswith("$meta"):
            await put(tree, b"new", at=2, entry=name, labels=ATTACHED)
            with pytest.raises(Exception, match=r"^Record 1 not found"):
                await get(tree, entry=name, at=1)


@pytest.mark.parametrize("new", ["a", "a/x", "a/b", "a/b/c", "b", "b/a", "aa", "a-b"])
async def test_names_that_are_taken(tree: Engine, new: str) -> None:
    """By another one, by a parent, by itself, or below itself."""
    with pytest.raises(EntryExistsError, match=rf"^Entry '{new}' already exists in bucket 'b'$"):
        await tree.rename_entry("b", "a", new)
    assert await get(tree, entry="a", at=1) == b"a"


@pytest.mark.parametrize(
    "new", ["", "x//y", "/x", "x/", "x y", "../x", "x/..", "$meta", "x/$meta", "x/$other"]
)
async def test_names_that_cannot_be(tree: Engine, new: str) -> None:
    """Such as no entry has, and those of system entries, which come with their parents."""
    before = await listed(tree)
    with pytest.raises(InvalidError):
        await tree.rename_entry("b", "a", new)
    assert await listed(tree) == before


async def test_what_is_not_there(tree: Engine) -> None:
    """An entry, a bucket; a name that cannot be is not there either."""
    for name in ("nowhere", "a/", "a%", "A", "../a"):
        with pytest.raises(EntryNotFoundError):
            await tree.remove_entry("b", name)
        with pytest.raises(EntryNotFoundError):
            await tree.rename_entry("b", name, "x")
    with pytest.raises(BucketNotFoundError):
        await tree.remove_entry("c", "a")
    with pytest.raises(BucketNotFoundError):
        await tree.rename_entry("c", "a", "x")


async def test_system_entries_stay_with_their_parents(tree: Engine) -> None:
    """They can neither be removed nor renamed by themselves."""
    with pytest.raises(
        InvalidError, match=r"^Can't delete system entry 'a/\$meta'; remove the parent entry instead$"
    ):
        await tree.remove_entry("b", "a/$meta")
    with pytest.raises(InvalidError):
        await tree.rename_entry("b", "a/$meta", "x")
    assert await get(tree, entry="a/$meta", at=1) == b"a/$meta"


async def test_content_files_go(engine: Engine, folder: Path) -> None:
    """Those of the whole tree, and no others; renaming moves none."""
    await engine.create_bucket("b")
    for entry in ("a", "a/b", "a-b"):
        await put(engine, payload(100_000), at=1, entry=entry)
    await put(engine, payload(100_000), at=1, entry="a/$meta", labels=ATTACHED)
    before = content_files(folder)
    assert len(before) == 4
    await engine.rename_entry("b", "a", "x")
    assert content_files(folder) == before
    await put(engine, payload(100_000, seed=8), at=2, entry="x/$meta", labels=ATTACHED)
    assert len(content_files(folder)) == 4
    await engine.remove_entry("b", "x")
    assert len(content_files(folder)) == 1
    assert await get(engine, entry="a-b", at=1) == payload(100_000)


async def test_an_upload_to_a_tree_that_goes(tree: Engine) -> None:
    """It brings its entry back, with the parents, when it is complete."""
    async with await tree.write_record("b", "a/b/c", 5, 4) as writer:
        await tree.remove_entry("b", "a")
        await writer.write(b"late")
        await writer.commit()
    assert await get(tree, entry="a/b/c") == b"late"
    assert [name for name in await listed(tree) if name.startswith("a/") or name == "a"] == [
        "a",
        "a/b",
        "a/b/c",
    ]


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [("a" * 1_024, True), ("a" * 1_025, False), ("/".join("a" * 64), True), ("/".join("a" * 65), False)],
)
async def test_long_names(engine: Engine, name: str, is_taken: bool) -> None:
    """Each segment makes an entry, whose name has all before it: 1,024 characters and 64 segments are enough."""
    await engine.create_bucket("b")
    if is_taken:
        await put(engine, b"x", at=1, entry=name)
        return
    with pytest.raises(
        InvalidError, match=r"^Entry name must not have more than 1024 characters or 64 segments$"
    ):
        await engine.write_record("b", name, 1, 1)
    await put(engine, b"x", at=1, entry="short")
    with pytest.raises(InvalidError, match=r"^Entry name must not have more than"):
        await engine.rename_entry("b", "short", name)


async def test_a_tree_is_not_renamed_to_where_its_names_are_too_long(engine: Engine) -> None:
    """What lies below counts; nothing is moved then."""
    await engine.create_bucket("b")
    await put(engine, b"x", at=1, entry=f"a/{'c' * 1_000}")
    with pytest.raises(InvalidError, match=r"^Entry name must not have more than"):
        await engine.rename_entry("b", "a", "b" * 100)
    deep = "/".join("d" * 60)
    await put(engine, b"x", at=1, entry=deep)
    with pytest.raises(InvalidError, match=r"^Entry name must not have more than"):
        await engine.rename_entry("b", "d", "e/e/e/e/e/e")
    assert {entry.name for entry in (await engine.bucket("b")).entries} >= {"a", f"a/{'c' * 1_000}", deep}
