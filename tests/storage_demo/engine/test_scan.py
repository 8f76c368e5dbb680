"""One pass over the records of a bucket: slices, late records, and a comparison with a model in memory."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage_demo.engine import (
    BucketNotFoundError,
    Engine,
    EntryPatterns,
    LabelChange,
    OneRecord,
    ReferenceNotFoundError,
    Selection,
    scan,
)
from storage_demo.engine.conditions import parse_condition
from tests.storage_demo.engine.transfers import put

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage_demo.engine import Query

Place = tuple[str, int]
Stored = tuple[str, int, dict[str, str]]


@pytest_asyncio.fixture
async def bucket(engine: Engine) -> Engine:
    """The empty bucket `b`."""
    await engine.create_bucket("b")
    return engine


class UpTo(OneRecord):
    """The rule for a batch of so many records."""

    def __init__(self, count: int) -> None:
        self._left = count

    @property
    def is_full(self) -> bool:  # type: ignore[override]
        """Whether that many are in."""
        return self._left <= 0

    def add(self, record: object) -> None:  # noqa: ARG002 - the signature of the protocol
        """Count it."""
        self._left -= 1


async def begin(engine: Engine, selection: Selection) -> Query:
    query_id = await engine.queries.begin("b", selection, owner="", ttl_seconds=60)
    return await engine.queries.find(query_id, "b", selection.entry, owner="")


async def read(engine: Engine, query: Query, count: int = 1_000) -> list[Place]:
    """Read the next records, up to *count*."""
    async with await engine.queries.read(query, UpTo(count), with_contents=False) as batch:
        return [(record.entry, record.timestamp_us) for record in batch.records]


async def find(engine: Engine, selection: Selection, count: int = 1_000) -> list[Place]:
    """Read a query to its end, in batches of *count*."""
    query = await begin(engine, selection)
    found: list[Place] = []
    while batch := await read(engine, query, count):
        found += batch
    return found


async def fill(engine: Engine, places: Sequence[Place]) -> None:
    for entry, at in places:
        await put(engine, b"", at=at, entry=entry)


def selection(*patterns: str, when: dict[str, Any] | None = None, **fields: Any) -> Selection:
    condition = None if when is None else parse_condition(when)
    return Selection(patterns=EntryPatterns.parse(patterns), condition=condition, **fields)


@pytest.mark.parametrize("max_examined", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 100])
async def test_slices_join_without_a_seam(
    bucket: Engine, monkeypatch: pytest.MonkeyPatch, max_examined: int, count: int
) -> None:
    """However few records a slice looks at, and a batch takes: nothing twice, nothing left out, the order kept."""
    monkeypatch.setattr(scan, "MAX_EXAMINED", max_examined)
    places = [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("c", 2), ("b", 3), ("a", 4), ("a", 5), ("b", 5)]
    await fill(bucket, places[::-1])
    assert await find(bucket, selection(), count) == places
    even = {"$each_n": 2}
    assert await find(bucket, selection(when=even), count) == [("a", 2), ("c", 2), ("b", 3), ("a", 5)]


async def test_a_slice_looks_at_no_more_than_it_may(bucket: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that do not fit count too; the end is met only where nothing is left to look at."""
    monkeypatch.setattr(scan, "MAX_EXAMINED", 2)
    await fill(bucket, [("e", at) for at in range(4)])
    found = bucket._database.read(
        lambda connection: scan.begin_scan(connection, 1, "b", selection(when={"$timestamp": {"$gt": 2}}))
    )
    slices = []
    for _ in range(3):
        keys = bucket._database.read(lambda connection: list(found.slice(connection)))
        slices.append(([key.timestamp_us for key in keys], found.is_at_end))
    assert slices == [([], False), ([3], False), ([], True)]


async def test_late_records(bucket: Engine) -> None:
    """What is written ahead of the point where an entry was looked through is seen, what is behind it is not."""
    await fill(bucket, [("a", 10), ("a", 20), ("a", 30), ("b", 25)])
    query = await begin(bucket, selection())
    assert await read(bucket, query, 2) == [("a", 10), ("a", 20)]
    await fill(bucket, [("a", 15), ("a", 21), ("b", 5), ("c", 1), ("a", 31)])
    # `b` and `c` were not looked through yet; 31 is after the latest one at the time of asking.
    assert await read(bucket, query) == [("c", 1), ("b", 5), ("a", 21), ("b", 25), ("a", 30)]
    assert await read(bucket, query) == []


async def test_a_stop_in_the_future(bucket: Engine) -> None:
    """With a stop, records that come meanwhile are seen up to it; without one, up to the latest of the beginning."""
    await fill(bucket, [("a", 10)])
    bounded, open_ended = [await begin(bucket, selection(stop_us=stop)) for stop in (30, None)]
    await fill(bucket, [("a", 20), ("a", 30)])
    assert await read(bucket, bounded) == [("a", 10), ("a", 20)]
    assert await read(bucket, open_ended) == [("a", 10)]


async def test_a_continuous_pass(bucket: Engine) -> None:
    """Begins at its start, meets the end again and again, and goes on where it was."""
    await fill(bucket, [("a", 10), ("a", 20)])
    query = await begin(bucket, selection(start_us=15, stop_us=16, is_continuous=True))
    assert await read(bucket, query) == [("a", 20)]
    assert await read(bucket, query) == []
    await fill(bucket, [("a", 5), ("a", 19), ("a", 21), ("b", 14), ("b", 15)])
    assert await read(bucket, query) == [("b", 15), ("a", 21)]
    assert await read(bucket, query) == []


async def test_what_is_removed_meanwhile(bucket: Engine) -> None:
    """Records, entries: they are not seen any more, and nothing else is disturbed."""
    await fill(bucket, [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5)])
    query = await begin(bucket, selection())
    assert await read(bucket, query, 1) == [("a", 1)]
    assert await bucket.remove_records("b", [("a", 2)]) == [None]
    await bucket.remove_entry("b", "b")
    assert await read(bucket, query) == [("a", 3), ("c", 5)]


async def test_an_entry_that_is_removed_and_made_again(bucket: Engine) -> None:
    """Is a new one: what was looked through of the old one says nothing about it."""
    await fill(bucket, [("a", 1), ("a", 9)])
    query = await begin(bucket, selection())
    assert await read(bucket, query, 1) == [("a", 1)]
    await bucket.remove_entry("b", "a")
    await fill(bucket, [("a", 1), ("a", 2)])
    assert await read(bucket, query) == [("a", 1), ("a", 2)]


async def test_an_entry_that_is_renamed(bucket: Engine) -> None:
    """Goes on under its new name, if that is asked for; it is not given twice."""
    await fill(bucket, [("acc-a", 1), ("acc-a", 2), ("acc-a", 3), ("acc-b", 1), ("acc-b", 2)])
    query = await begin(bucket, selection("acc-*"))
    assert await read(bucket, query, 2) == [("acc-a", 1), ("acc-b", 1)]
    await bucket.rename_entry("b", "acc-a", "acc-z")
    await bucket.rename_entry("b", "acc-b", "other")
    assert await read(bucket, query) == [("acc-z", 2), ("acc-z", 3)]


async def test_the_state_of_a_condition(bucket: Engine) -> None:
    """Each entry has its own, and keeps it from one batch to the next; a used up limit ends its entry only."""
    await fill(bucket, [(entry, at) for at in range(6) for entry in ("a", "b")])
    query = await begin(bucket, selection(when={"$limit": 2}))
    assert await read(bucket, query, 1) == [("a", 0)]
    assert await read(bucket, query, 2) == [("b", 0), ("a", 1)]
    await fill(bucket, [("c", at) for at in range(2, 5)])
    assert await read(bucket, query) == [("b", 1), ("c", 2), ("c", 3)]
    assert await read(bucket, query) == []


async def test_labels_are_those_of_the_moment(bucket: Engine) -> None:
    """A record is judged when the pass comes to it."""
    await fill(bucket, [("a", 1), ("a", 2)])
    query = await begin(bucket, selection(when={"$exists": ["k"]}))
    await bucket.update_labels("b", [LabelChange("a", 2, {"k": "v"})])
    assert await read(bucket, query) == [("a", 2)]


async def test_a_strict_pass(bucket: Engine) -> None:
    """What came before the failure is given; the failure stays, whatever is changed about its cause."""
    await put(bucket, b"", at=1, labels={"n": "1"})
    await put(bucket, b"", at=2)
    query = await begin(bucket, selection(when={"&n": {"$eq": 1}}, is_strict=True))
    assert await read(bucket, query) == [("e", 1)]
    await bucket.update_labels("b", [LabelChange("e", 2, {"n": "1"})])
    for _ in range(2):
        with pytest.raises(ReferenceNotFoundError):
            await read(bucket, query)


async def test_a_bucket_that_is_removed(bucket: Engine) -> None:
    """Ends the pass, also when another one took its name."""
    await fill(bucket, [("a", 1)])
    query = await begin(bucket, selection())
    await bucket.remove_bucket("b")
    await bucket.create_bucket("b")
    await fill(bucket, [("a", 1)])
    with pytest.raises(BucketNotFoundError):
        await read(bucket, query)


ENTRIES = st.sampled_from(["a", "a-b", "a/b", "a/b/c", "B", "ab", "b/$meta", "$meta"])
TIMES = st.integers(0, 6)
LABELS = st.fixed_dictionaries({}, optional={"n": st.sampled_from(["1", "2"]), "remove": st.just("true")})
# Pattern and the entries above that it chooses, by hand.
PATTERNS: dict[str, set[str]] = {
    "*": {"a", "a-b", "a/b", "a/b/c", "B", "ab"},
    "a": {"a"},
    "a*": {"a", "a-b", "a/b", "a/b/c", "ab"},
    "a/*": {"a/b"},
    "**/b": {"a/b"},
    "a/**": {"a", "a/b", "a/b/c"},
    "b/$meta": {"b/$meta"},
    "$meta": {"$meta"},
    "nowhere": set(),
}


def expected(
    stored: list[Stored], patterns: list[str], excluded: list[str], start: int | None, stop: int | None
) -> list[Place]:
    """The model: all records in a list, filtered and sorted."""
    chosen = set[str]().union(*(PATTERNS[pattern] for pattern in patterns or ["*"]))
    chosen = chosen.difference(*(PATTERNS[pattern] for pattern in excluded))
    found = [
        (at, entry)
        for entry, at, labels in stored
        if entry in chosen
        and (start is None or at >= start)
        and (stop is None or at < stop)
        and not (entry.endswith("$meta") and labels.get("remove") == "true")
        and labels.get("n") == "1"
    ]
    return [(entry, at) for at, entry in sorted(found)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    stored=st.dictionaries(st.tuples(ENTRIES, TIMES), LABELS, max_size=20),
    patterns=st.lists(st.sampled_from(sorted(PATTERNS)), max_size=3),
    excluded=st.lists(st.sampled_from(sorted(PATTERNS)), max_size=2),
    start=st.none() | TIMES,
    stop=st.none() | TIMES,
    count=st.integers(1, 4),
    max_examined=st.integers(1, 5),
)
def test_against_a_model(
    stored: dict[Place, dict[str, str]],
    patterns: list[str],
    excluded: list[str],
    start: int | None,
    stop: int | None,
    count: int,
    max_examined: int,
) -> None:
    """Whatever is stored and asked for, in whichever slices: the records and the order of the model."""

    async def found(folder: Path) -> list[Place]:
        engine = await Engine.open(folder)
        await engine.create_bucket("b")
        for (entry, at), labels in stored.items():
            # A key of its own, and `remove` by an update: a system entry takes it in no other way.
            kept = {name: value for name, value in labels.items() if name != "remove"}
            await put(engine, b"", at=at, entry=entry, labels={"key": str(at), **kept})
            await engine.update_labels("b", [LabelChange(entry, at, dict(labels))])
        chosen = selection(
            *patterns,
            *(f"!{pattern}" for pattern in excluded),
            when={"&n": {"$eq": 1}},
            start_us=start,
            stop_us=stop,
        )
        places = await find(engine, chosen, count)
        await engine.close()
        return places

    model = expected(
        [(entry, at, labels) for (entry, at), labels in stored.items()], patterns, excluded, start, stop
    )
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(scan, "MAX_EXAMINED", max_examined)
        assert asyncio.run(found(Path(folder))) == model


async def test_choosing_entries_takes_slices_too(bucket: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long patterns take for many entries, no slice does, and all are found in the end."""
    for number in range(30):
        await put(bucket, b"x", at=number, entry=f"e{number}")
    monkeypatch.setattr(scan, "MAX_SLICE_SECONDS", 0.0)
    selection = Selection(patterns=EntryPatterns.parse(["e1*", "!e19"]))
    query_id = await bucket.queries.begin("b", selection, owner="o", ttl_seconds=60)
    query = await bucket.queries.find(query_id, "b", None, owner="o")
    found = []
    while not (batch := await bucket.queries.read(query, UpTo(1))).is_last:
        found += [record.entry for record in batch.records]
        batch.close()
    assert found == ["e1", *(f"e{number}" for number in range(10, 19))]
