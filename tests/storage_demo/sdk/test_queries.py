"""Queries: which records, in which order, under which conditions, for how long."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest
from reduct.batch.batch_v2 import RecordBatch
from reduct.bucket import Bucket
from reduct.error import ReductError

from tests.storage_demo.sdk.client import contents, refused, times

ENTRIES = ("arm", "arm/camera", "arm/camera/left", "armada", "leg/camera")


async def fill(bucket: Bucket, entry: str, numbers: range) -> None:
    """Write records at times that are their numbers, with labels, fifty in a request."""
    for start in range(0, len(numbers), 50):
        batch = RecordBatch()
        for number in numbers[start : start + 50]:
            labels = {"n": str(number), "even": str(number % 2 == 0).lower(), "of": entry}
            batch.add(entry, number, f"{entry}{number}".encode(), labels=labels)
        assert await bucket.write_record_batch(batch) == {}


async def test_the_order_of_several_entries(bucket: Bucket) -> None:
    """By time, and at the same time by entry."""
    await fill(bucket, "b", range(1, 4))
    await fill(bucket, "a", range(2, 6))
    assert await contents(bucket.query(["a", "b"])) == [
        ("b", 1, b"b1"),
        ("a", 2, b"a2"),
        ("b", 2, b"b2"),
        ("a", 3, b"a3"),
        ("b", 3, b"b3"),
        ("a", 4, b"a4"),
        ("a", 5, b"a5"),
    ]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ("arm", ["arm"]),
        ("*", ["arm", "arm/camera", "arm/camera/left", "armada", "leg/camera"]),
        ("arm*", ["arm", "arm/camera", "arm/camera/left", "armada"]),
        ("arm/*", ["arm/camera"]),
        ("**/left", ["arm/camera/left"]),
        ("*/camera", ["arm/camera", "leg/camera"]),
        (["armada", "leg/camera"], ["armada", "leg/camera"]),
        (["*", "!arm"], ["arm/camera", "arm/camera/left", "armada", "leg/camera"]),
        (["!arm*"], ["leg/camera"]),
        (["arm", "none"], ["arm"]),
        ("none", []),
    ],
)
async def test_which_entries(bucket: Bucket, patterns: str | list[str], found: list[str]) -> None:
    """Names, patterns and exclusions select entries; what matches none is no error."""
    for number, name in enumerate(ENTRIES, 1):
        await bucket.write(name, b"x", timestamp=number)
    assert [entry for entry, _, _ in await contents(bucket.query(patterns))] == found


@pytest.mark.parametrize(
    ("start", "stop", "found"),
    [
        (None, None, [1, 2, 3, 4, 5]),
        (2, None, [2, 3, 4, 5]),
        (None, 4, [1, 2, 3]),
        (2, 4, [2, 3]),
        (3, 4, [3]),
        (6, 100, []),
    ],
)
async def test_from_when_to_when(
    bucket: Bucket, start: int | None, stop: int | None, found: list[int]
) -> None:
    """The start is in, the stop is out."""
    await fill(bucket, "e", range(1, 6))
    assert await times(bucket.query("e", start=start, stop=stop)) == found


@pytest.mark.parametrize(
    ("when", "found"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"&n": {"$gt": 4}}, [5, 6]),
        ({"&n": {"$gte": 4}, "&even": {"$eq": False}}, [5]),
        ({"$or": [{"&n": {"$lt": 2}}, {"&n": {"$eq": 6}}]}, [1, 6]),
        ({"$not": [{"&even": {"$eq": True}}]}, [1, 3, 5]),
        ({"$in": ["&n", 2, 3, 9]}, [2, 3]),
        ({"$nin": ["&n", 1, 2, 3]}, [4, 5, 6]),
        ({"&of": {"$eq": "e"}}, [1, 2, 3, 4, 5, 6]),
        ({"&of": {"$ne": "e"}}, []),
        ({"$exists": ["n", "even"]}, [1, 2, 3, 4, 5, 6]),
        ({"$exists": "missing"}, []),
        ({"&missing": {"$eq": 1}}, []),
        ({"$limit": 2}, [1, 2]),
        ({"&even": {"$eq": True}, "$limit": 2}, [2, 4]),
        ({"$each_n": 2}, [2, 4, 6]),
    ],
)
async def test_conditions(bucket: Bucket, when: dict[str, object], found: list[int]) -> None:
    """Labels are compared as what their text says; counting starts afresh with each query."""
    await fill(bucket, "e", range(1, 7))
    for _ in range(2):
        assert await times(bucket.query("e", when=when)) == found


async def test_counting_is_per_entry(bucket: Bucket) -> None:
    """Every second record of each entry, not of all of them together."""
    await fill(bucket, "a", range(1, 6))
    await fill(bucket, "b", range(1, 4))
    found = await contents(bucket.query("*", when={"$each_n": 2}))
    assert [(entry, time) for entry, time, _ in found] == [("a", 2), ("b", 2), ("a", 4)]


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"$foo": [1]}, "Operator '$foo' not supported"),
        ({"foo": [1]}, "Operator 'foo' must start with '$'"),
        ({"$in": ["&n"]}, "$in operator requires at least two operands"),
        ({"&n": {"$gt": 1, "$lt": 3}}, "Object notation must have exactly one operator"),
        ({"#foo": 1}, "Directive '#foo' is not supported"),
    ],
)
async def test_conditions_that_say_nothing(bucket: Bucket, when: dict[str, object], message: str) -> None:
    """They are refused before anything is read, or removed."""
    await fill(bucket, "e", range(1, 3))
    await refused(times(bucket.query("e", when=when)), 422, message)
    await refused(bucket.remove_query("e", when=when), 422, message)
    assert await times(bucket.query("e")) == [1, 2]


async def test_strict(bucket: Bucket) -> None:
    """A condition over a label that is not there is no match, or an error to those who ask for it."""
    await bucket.write("e", b"x", timestamp=1)
    when = {"&missing": {"$gt": 1}}
    assert await times(bucket.query("e", when=when)) == []
    await refused(times(bucket.query("e", when=when, strict=True)), 404, "Reference 'missing' not found")


async def test_extensions(bucket: Bucket) -> None:
    """There are none."""
    await fill(bucket, "e", range(1, 2))
    with pytest.raises(ReductError) as error:
        await times(bucket.query("e", ext={"ros": {}}))
    assert error.value.status_code == 422
    assert re.fullmatch(r"Unknown extension 'ros' in query id=\d+", error.value.message)


async def test_heads_only(bucket: Bucket) -> None:
    """Sizes, types and labels without contents."""
    await fill(bucket, "a", range(1, 3))
    await bucket.write("b", b"longer", timestamp=3, content_type="text/plain", labels={"k": "v,w"})
    assert [
        (record.entry, record.size, record.content_type, record.labels, await record.read_all())
        async for record in bucket.query("*", head=True)
    ] == [
        ("a", 2, "application/octet-stream", {"n": "1", "even": "false", "of": "a"}, b""),
        ("a", 2, "application/octet-stream", {"n": "2", "even": "true", "of": "a"}, b""),
        ("b", 6, "text/plain", {"k": "v,w"}, b""),
    ]


@pytest.mark.parametrize(("count", "last"), [(84, True), (85, False), (86, True), (200, True)])
async def test_many_records(bucket: Bucket, count: int, last: bool) -> None:
    """All come, in order. The SDK hears of the end in the last batch, unless that batch was just full."""
    await fill(bucket, "e", range(1, count + 1))
    found = [(record.timestamp, await record.read_all(), record.last) async for record in bucket.query("e")]
    assert found == [
        (number, f"e{number}".encode(), last and number == count) for number in range(1, count + 1)
    ]


async def stream(byte: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, 100_000):
        yield byte * min(100_000, size - start)


async def test_large_records(bucket: Bucket) -> None:
    """Contents larger than a batch is long come whole."""
    sizes = {1: 3_000_000, 2: 5_500_000, 3: 9_000_000, 4: 0, 5: 1}
    for timestamp, size in sizes.items():
        content = stream(bytes([timestamp]), size)
        await bucket.write("e", content, timestamp=timestamp, content_length=size)
    async for record in bucket.query("e"):
        size = sizes.pop(record.timestamp)
        assert record.size == size
        assert await record.read_all() == bytes([record.timestamp]) * size
    assert sizes == {}


async def test_large_labels(bucket: Bucket) -> None:
    """Labels that are larger than all contents come whole, in however many answers."""
    texts = {number: f"{number:03}-" * 1_500 for number in range(60)}  # 360,000 bytes in all
    for number, text in texts.items():
        await bucket.write("e", b"x", timestamp=number + 1, labels={"text": text})
    found = {record.timestamp - 1: record.labels["text"] async for record in bucket.query("e")}
    assert found == texts


async def test_a_query_that_nobody_reads_on(bucket: Bucket) -> None:
    """It is forgotten after its idle time, and the reader is told how to have more."""
    await fill(bucket, "e", range(1, 101))
    read = 0
    with pytest.raises(ReductError) as error:  # noqa: PT012 - the second batch is what fails
        async for _ in bucket.query("e", ttl=2):
            read += 1
            if read == 85:
                await asyncio.sleep(4)
    assert (read, error.value.status_code) == (85, 404)
    assert re.fullmatch(
        r"Query \d+ not found and it might have expired\. Check TTL in your query request\.",
        error.value.message,
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what has to come, but not forever."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.05)


async def test_subscribe(bucket: Bucket) -> None:
    """Records come as they are written, also after a silence longer than the query would live unread."""
    await fill(bucket, "a", range(1, 3))
    await fill(bucket, "b", range(1, 2))
    seen: list[tuple[str, int, bytes]] = []

    async def listen() -> None:
        async with aclosing(bucket.subscribe(["a", "b"], start=2, poll_interval=1.0)) as records:
            async for record in records:
                seen.append((record.entry, record.timestamp, await record.read_all()))
                if record.timestamp == 8:
                    return

    listening = asyncio.create_task(listen())
    await asyncio.sleep(5)  # the SDK asks for an idle time of three seconds
    assert seen == [("a", 2, b"a2")]
    await fill(bucket, "b", range(3, 5))
    await until(lambda: len(seen) >= 3)
    assert seen[1:] == [("b", 3, b"b3"), ("b", 4, b"b4")]
    await fill(bucket, "a", range(5, 9))
    await asyncio.wait_for(listening, 20)
    assert seen[3:] == [("a", 5, b"a5"), ("a", 6, b"a6"), ("a", 7, b"a7"), ("a", 8, b"a8")]


async def test_subscribe_with_a_condition(bucket: Bucket) -> None:
    """Only what matches comes, of the records that were there and of those that follow."""
    await fill(bucket, "e", range(1, 6))
    seen = []
    even = {"&even": {"$eq": True}}
    async with aclosing(bucket.subscribe("e", poll_interval=1.0, when=even)) as records:
        async for record in records:
            seen.append(record.timestamp)
            if record.timestamp == 4:
                await fill(bucket, "e", range(6, 8))
            if record.timestamp == 6:
                break
    assert seen == [2, 4, 6]


@pytest.mark.parametrize(
    ("entries", "start", "stop", "when", "removed", "left"),
    [
        ("a", 2, 4, None, 2, [("a", 1), ("b", 1), ("b", 2), ("a", 4)]),
        (["a", "b"], 2, None, None, 4, [("a", 1), ("b", 1)]),
        ("*", None, None, {"&even": {"$eq": False}}, 3, [("a", 2), ("b", 2), ("a", 4)]),
        ("none", 1, None, None, 0, [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3), ("a", 4)]),
    ],
)
async def test_remove_query(
    bucket: Bucket,
    entries: str | list[str],
    start: int | None,
    stop: int | None,
    when: dict[str, object] | None,
    removed: int,
    left: list[tuple[str, int]],
) -> None:
    """What a query would find is removed and counted."""
    await fill(bucket, "a", range(1, 5))
    await fill(bucket, "b", range(1, 3))
    assert await bucket.remove_query(entries, start=start, stop=stop, when=when) == removed
    assert [(entry, time) for entry, time, _ in await contents(bucket.query("*"))] == left
