"""Queries that wait for their next read: how long, for whom, and how many."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from storage_demo.engine import (
    BucketNotFoundError,
    Engine,
    EntryNotFoundError,
    InvalidError,
    OneRecord,
    QueryNotFoundError,
    Selection,
)
from storage_demo.engine.running import MAX_WEIGHT_BYTES, RunningQueries
from storage_demo.engine.scan import BYTES_PER_ENTRY
from tests.storage_demo.engine.transfers import put

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator
    from pathlib import Path

EVERYTHING = Selection()
LEAST_WEIGHT_BYTES = 4 * 1024


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_seconds = 1_000.0

    def __call__(self) -> float:
        return self.now_seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def stored(engine: Engine) -> Engine:
    """The bucket `b` with the records 1, 2, 3 of `e`, and the empty bucket `c`."""
    for bucket in ("b", "c"):
        await engine.create_bucket(bucket)
    for at in (1, 2, 3):
        await put(engine, b"x", at=at)
    return engine


@pytest_asyncio.fixture
async def queries(stored: Engine, clock: Clock) -> AsyncIterator[RunningQueries]:
    """Queries on the same bucket, with that clock."""
    yield RunningQueries(stored._database, stored._opener, stored._lookups, clock)


async def begin(
    queries: RunningQueries,
    selection: Selection = EVERYTHING,
    *,
    owner: str = "me",
    ttl_seconds: int = 60,
    weight_bytes: int = 0,
) -> int:
    return await queries.begin(
        "b", selection, owner=owner, ttl_seconds=ttl_seconds, weight_bytes=weight_bytes
    )


async def is_there(queries: RunningQueries, query_id: int, owner: str = "me") -> bool:
    """Tell whether a query can still be found; that is a use of it."""
    try:
        await queries.find(query_id, "b", None, owner=owner)
    except QueryNotFoundError:
        return False
    return True


async def test_numbers(queries: RunningQueries) -> None:
    """From 1 on, rising, for all owners together; a refused query takes none, a claimed one is not given."""
    assert await begin(queries) == 1
    with pytest.raises(EntryNotFoundError):
        await begin(queries, Selection(entry="nowhere"))
    assert await begin(queries, owner="you") == 2
    assert queries.claim_id() == 3
    assert await begin(queries) == 4


@pytest.mark.parametrize(
    ("waits_seconds", "is_found"),
    [([9.9], True), ([10.0], False), ([9.9, 9.9, 9.9], True), ([9.9, 10.0], False), ([0.0], True)],
)
async def test_ttl(
    queries: RunningQueries, clock: Clock, waits_seconds: list[float], *, is_found: bool
) -> None:
    """A query ends when it was idle for its ttl; every use begins it anew."""
    query_id = await begin(queries, ttl_seconds=10)
    for seconds in waits_seconds[:-1]:
        clock.now_seconds += seconds
        assert await is_there(queries, query_id)
    clock.now_seconds += waits_seconds[-1]
    assert await is_there(queries, query_id) is is_found
    # Once over, it is over, even if the clock were set back.
    clock.now_seconds -= 5
    assert await is_there(queries, query_id) is is_found


async def test_a_ttl_of_zero(queries: RunningQueries) -> None:
    """Is over at once."""
    assert not await is_there(queries, await begin(queries, ttl_seconds=0))


async def test_what_is_over_is_forgotten(queries: RunningQueries, clock: Clock) -> None:
    """Nobody has to ask for it: the next beginning sweeps, for every owner."""
    for number in range(5):
        await begin(queries, owner=f"owner-{number}", ttl_seconds=10)
    clock.now_seconds += 10
    last = await begin(queries, owner="last")
    assert list(queries._owned) == ["last"]
    assert list(queries._owned["last"]._queries) == [last]


async def test_owners(queries: RunningQueries) -> None:
    """A query is there for its owner only, and a stranger's question is no use of it."""
    query_id = await begin(queries, owner="me")
    assert not await is_there(queries, query_id, owner="you")
    assert not await is_there(queries, query_id, owner="")
    assert await is_there(queries, query_id, owner="me")


async def test_places(queries: RunningQueries) -> None:
    """A query is found in its bucket, and as what it was begun as: about one entry, or about several."""
    of_all = await begin(queries)
    of_one = await begin(queries, Selection(entry="e"))
    for query_id, bucket, entry in ((of_all, "b", "e"), (of_all, "c", None), (of_one, "b", None)):
        with pytest.raises(QueryNotFoundError):
            await queries.find(query_id, bucket, entry, owner="me")
    with pytest.raises(BucketNotFoundError):
        await queries.find(of_all, "gone", None, owner="me")
    with pytest.raises(EntryNotFoundError):
        await queries.find(of_one, "b", "gone", owner="me")
    found = await queries.find(of_one, "b", "e", owner="me")
    async with await queries.read(found, OneRecord()) as batch:
        assert [record.timestamp_us for record in batch.records] == [1]


async def test_the_weight_of_one_owner(queries: RunningQueries) -> None:
    """When it is too much, the queries that were not used for longest go; the newest stays, however heavy."""
    half = MAX_WEIGHT_BYTES // 2 - BYTES_PER_ENTRY
    first, second = [await begin(queries, weight_bytes=half) for _ in range(2)]
    of_another = await begin(queries, owner="you", weight_bytes=half)
    assert await is_there(queries, first)
    third = await begin(queries, weight_bytes=LEAST_WEIGHT_BYTES)
    assert [await is_there(queries, query_id) for query_id in (second, first, third)] == [False, True, True]
    heavy = await begin(queries, weight_bytes=10 * MAX_WEIGHT_BYTES)
    assert [await is_there(queries, query_id) for query_id in (first, third, heavy)] == [False, False, True]
    assert await is_there(queries, of_another, owner="you")


async def test_how_many_light_ones(queries: RunningQueries) -> None:
    """Even the lightest weighs something: an owner cannot have any number of them."""
    most = MAX_WEIGHT_BYTES // LEAST_WEIGHT_BYTES
    ids = [await begin(queries) for _ in range(20)]
    owned = queries._owned["me"]
    waiting = owned._queries
    for number in range(1_000, 1_000 + most - 20):
        owned.put(number, waiting[ids[0]])
    assert len(waiting) == most
    last = await begin(queries)
    assert len(waiting) == most
    assert not await is_there(queries, ids[0])
    assert await is_there(queries, ids[1])
    assert await is_there(queries, last)


async def test_a_bucket_of_many_entries(stored: Engine, queries: RunningQueries) -> None:
    """A query remembers how far it came in each, which counts: for one about all of them, not for one about one."""

    def fill(connection: sqlite3.Connection) -> None:
        names = [(f"e{number}",) for number in range(5_000)]
        connection.executemany("INSERT INTO entries (bucket_id, name, is_meta) VALUES (1, ?, 0)", names)

    await stored._change(fill)
    most = MAX_WEIGHT_BYTES // (5_001 * BYTES_PER_ENTRY)
    of_all = [await begin(queries) for _ in range(most + 1)]
    assert [await is_there(queries, query_id) for query_id in of_all] == [False, *[True] * most]
    of_one = [await begin(queries, Selection(entry="e"), owner="you") for _ in range(100)]
    assert len(queries._owned["you"]._queries) == len(of_one)


async def test_reads_take_turns(queries: RunningQueries) -> None:
    """Two reads at once share the records out: each comes once, in one of them."""
    query = await queries.find(await begin(queries), "b", None, owner="me")
    batches = await asyncio.gather(*(queries.read(query, OneRecord()) for _ in range(5)))
    times = sorted(record.timestamp_us for batch in batches for record in batch.records)
    assert times == [1, 2, 3]
    assert sum(batch.is_last for batch in batches) == 2


async def test_a_read_that_looks_for_long(
    queries: RunningQueries, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five seconds it gives what it has, and does not say that this was the end."""
    monkeypatch.setattr("storage_demo.engine.scan.MAX_EXAMINED", 1)
    query = await queries.find(await begin(queries), "b", None, owner="me")

    class Slow(OneRecord):
        """Is never full, and lets time pass."""

        is_full = False

        def add(self, record: object) -> None:  # noqa: ARG002 - the signature of the protocol
            clock.now_seconds += 3

    async with await queries.read(query, Slow()) as batch:
        assert [record.timestamp_us for record in batch.records] == [1, 2]
        assert not batch.is_last
    async with await queries.read(query, Slow()) as batch:
        assert [record.timestamp_us for record in batch.records] == [3]
        assert batch.is_last


async def test_refused_beginnings(queries: RunningQueries) -> None:
    """A query of one entry whose start is behind its stop, also where the stop is the latest record."""
    for selection in (Selection("e", start_us=3, stop_us=2), Selection("e", start_us=5)):
        with pytest.raises(InvalidError, match=r"^Start time must be before stop time$"):
            await begin(queries, selection)
    await begin(queries, Selection("e", start_us=5, is_continuous=True))
    await begin(queries, Selection("e", start_us=4))
    await begin(queries, Selection("e", start_us=2, stop_us=2))


async def test_a_removed_bucket(stored: Engine, queries: RunningQueries, folder: Path) -> None:
    """Ends the reads of its queries; a successor of the same name does not take them over."""
    query_id = await begin(queries)
    query = await queries.find(query_id, "b", None, owner="me")
    await stored.remove_bucket("b")
    with pytest.raises(BucketNotFoundError):
        await queries.read(query, OneRecord())
    await stored.create_bucket("b")
    with pytest.raises(QueryNotFoundError):
        await queries.find(query_id, "b", None, owner="me")
