"""Queries of several entries, as the protocol reads: which entries, in which order, in which batches."""

from __future__ import annotations

import asyncio
import io
import time
from typing import Any

import orjson
import pytest

from tests.reductauth.web.conftest import Caller
from tests.storage_demo.multi_entry_calls import (
    IO,
    begin,
    bucket_page,
    content_of_batch,
    find,
    next_batch,
    places,
    put,
)
from tests.storage_demo.test_buckets import refusal

ENTRIES = ("acc-a", "acc-a/x", "acc-b", "b", "b/acc-c", "b/x/y")


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, and the bucket `home`."""
    await root("POST", "/api/v1/b/home")
    return root


@pytest.fixture
async def filled(home: Caller) -> Caller:
    """The bucket `home` with a record in each of `ENTRIES`, all at 1, and an attachment."""
    for entry in ENTRIES:
        await put(home, entry, 1)
    await put(home, "b/$meta", 1, labels={"key": "k"})
    return home


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        # absent, null, empty and the star: all visible entries
        (None, ENTRIES),
        ([], ENTRIES),
        (["*"], ENTRIES),
        # exact names
        (["b"], ("b",)),
        (["b", "acc-a/x"], ("acc-a/x", "b")),
        (["acc-"], ()),
        (["nowhere"], ()),
        # with a star and no slash: a trailing one is a prefix of the whole path
        (["acc-*"], ("acc-a", "acc-a/x", "acc-b")),
        (["b*"], ("b", "b/acc-c", "b/x/y")),
        # a star elsewhere stays in its segment
        (["*-a"], ("acc-a",)),
        (["a*c-b"], ("acc-b",)),
        (["*/x"], ("acc-a/x",)),
        (["b/*"], ("b/acc-c",)),
        (["*/acc-*"], ("b/acc-c",)),
        (["b/*/y"], ("b/x/y",)),
        # two stars are any number of segments
        (["**"], ENTRIES),
        (["b/**/y"], ("b/x/y",)),
        (["**/acc-*"], ("acc-a", "acc-b", "b/acc-c")),
        (["**/x"], ("acc-a/x",)),
        # a leading slash is ignored, but is a slash: per segment
        (["/acc-*"], ("acc-a", "acc-b")),
        (["/b/*"], ("b/acc-c",)),
        (["/b"], ("b",)),
        # exclusions
        (["!b"], ("acc-a", "acc-a/x", "acc-b", "b/acc-c", "b/x/y")),
        (["*", "!acc-*"], ("b", "b/acc-c", "b/x/y")),
        (["!acc-*", "!b/**"], ()),
        (["acc-*", "!acc-b"], ("acc-a", "acc-a/x")),
        (["!acc-b", "acc-*"], ("acc-a", "acc-a/x")),
        (["b", "!b"], ()),
        (["!/acc-*"], ("acc-a/x", "b", "b/acc-c", "b/x/y")),
        # system entries: by exact name only
        (["b/$meta"], ("b/$meta",)),
        (["b", "b/$meta"], ("b", "b/$meta")),
        (["b/$*"], ()),
        (["b/$m*"], ()),
        (["**/$meta"], ()),
        (["$meta"], ()),
    ],
)
async def test_patterns(filled: Caller, patterns: list[str] | None, expected: tuple[str, ...]) -> None:
    """Which entries a query finds records in; names without an entry are no error."""
    assert await places(filled, entries=patterns) == [(entry, 1) for entry in expected]


async def test_absent_entries(filled: Caller) -> None:
    """A body without `entries` asks for all that are visible."""
    assert await places(filled) == [(entry, 1) for entry in ENTRIES]


async def test_the_order_is_time_then_name(home: Caller) -> None:
    """A merge of the entries by time, in byte order of their names where times are equal."""
    for entry, timestamp_us in (("b", 3), ("b", 1), ("a", 3), ("B", 3), ("a/x", 2), ("a-x", 3), ("a", 5)):
        await put(home, entry, timestamp_us, f"{entry}@{timestamp_us}".encode())
    expected = [("b", 1), ("a/x", 2), ("B", 3), ("a", 3), ("a-x", 3), ("b", 3), ("a", 5)]
    assert await find(home) == [(entry, at, f"{entry}@{at}".encode()) for entry, at in expected]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"start": 2}, [("a", 2), ("b", 2), ("a", 3), ("b", 4)]),
        ({"stop": 2}, [("a", 1)]),
        ({"start": 2, "stop": 4}, [("a", 2), ("b", 2), ("a", 3)]),
        ({"start": 2, "stop": 2}, []),
        ({"start": 4, "stop": 2, "entries": ["a"]}, []),
        ({"start": 9}, []),
        ({"start": 0, "stop": None, "when": None}, [("a", 1), ("a", 2), ("b", 2), ("a", 3), ("b", 4)]),
        ({"when": {"&n": {"$gt": 2}}}, [("a", 3), ("b", 4)]),
        # what an evaluation remembers, it remembers for each entry by itself
        ({"when": {"$limit": 1}}, [("a", 1), ("b", 2)]),
        ({"when": {"$each_n": 2}}, [("a", 2), ("b", 4)]),
        ({"when": {}}, [("a", 1), ("a", 2), ("b", 2), ("a", 3), ("b", 4)]),
    ],
)
async def test_times_and_conditions(
    home: Caller, fields: dict[str, Any], expected: list[tuple[str, int]]
) -> None:
    """`start` belongs to the result and `stop` does not; what cannot be is empty, for each entry by itself."""
    for entry, timestamp_us in (("a", 1), ("a", 2), ("a", 3), ("b", 2), ("b", 4)):
        await put(home, entry, timestamp_us, labels={"n": str(timestamp_us)})
    assert await places(home, **fields) == expected


async def test_headers_of_a_batch(home: Caller) -> None:
    """Entries by their first time, encoded; labels as changes, by number; the body in the order of the headers."""
    await put(home, "z/1", 1_000, b"one", {"kind": "a,b", "n": "1"})
    await put(home, "z/1", 1_001, b"three", {"kind": "a,b"})
    await put(home, "a", 1_002, b"", {})
    response = await next_batch(home, await begin(home))
    assert await response.read() == b"onethree"
    batch = {
        name: value
        for name, value in response.headers.items()
        if name.startswith("x-reduct-") and name != "x-reduct-api"
    }
    assert batch == {
        "x-reduct-entries": "z%2F1,a",
        "x-reduct-start-ts": "1000",
        "x-reduct-labels": "kind,n",
        "x-reduct-0-0": '3,application/octet-stream,0="a,b",1=1',
        "x-reduct-0-1": "5,,1=",
        "x-reduct-1-2": "0,application/octet-stream",
        "x-reduct-last": "true",
    }
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-length"] == "8"


async def test_no_labels(home: Caller) -> None:
    """Without labels there is no list of them; a system entry's name keeps its dollar."""
    await put(home, "a", 1)
    plain = await next_batch(home, await begin(home))
    assert "x-reduct-labels" not in plain.headers
    await put(home, "a/$meta", 1, labels={"key": "k"})
    system = await next_batch(home, await begin(home, entries=["a/$meta"]))
    assert system.headers["x-reduct-entries"] == "a%2F$meta"


async def test_an_entry_that_comes_back_closes_the_batch(home: Caller) -> None:
    """Before it: so both readings of the order, (index, time) and (time, index), are one."""
    for entry, timestamp_us in (
        ("a", 1),
        ("a", 2),
        ("b", 2),
        ("b", 3),
        ("c", 4),
        ("a", 5),
        ("a", 6),
        ("c", 6),
    ):
        await put(home, entry, timestamp_us, f"{entry}{timestamp_us}".encode())
    query_id = await begin(home)
    batches = []
    while (response := await next_batch(home, query_id)).status == 200:
        found = await content_of_batch(response)
        batches.append(([content.decode() for *_, content in found], response.headers["x-reduct-last"]))
    assert batches == [
        (["a1", "a2", "b2", "b3", "c4"], "false"),
        (["a5", "a6", "c6"], "true"),
    ]


async def test_85_records_close_a_batch(home: Caller) -> None:
    """The end was not met with the 85th, so `false`, and then 204; 86 are `false` and `true`."""
    for timestamp_us in range(86):
        await put(home, "a", timestamp_us, b"")
    exact = await begin(home, stop=85)
    response = await next_batch(home, exact)
    assert (len(await content_of_batch(response)), response.headers["x-reduct-last"]) == (85, "false")
    for _ in range(2):
        assert (await next_batch(home, exact)).status == 204
    more = await begin(home)
    batches = [await next_batch(home, more) for _ in range(3)]
    assert [batch.status for batch in batches] == [200, 200, 204]
    assert [batch.headers["x-reduct-last"] for batch in batches[:2]] == ["false", "true"]
    assert await content_of_batch(batches[1]) == [("a", 85, b"")]


@pytest.mark.parametrize(("method", "counts"), [("GET", [2, 1]), ("HEAD", [3])])
async def test_8_million_bytes_close_a_batch(home: Caller, method: str, counts: list[int]) -> None:
    """When the body exceeds them, the record that did it included; nothing of it where no body is sent."""
    large = io.BytesIO(bytes(8_000_000))
    assert (await home("POST", "/api/v1/b/home/a?ts=1", large)).status == 200
    for timestamp_us in (2, 3):
        await put(home, "a", timestamp_us)
    query_id = await begin(home)
    batches = [await next_batch(home, query_id, method) for _ in counts]
    assert [sum(name.startswith("x-reduct-0-") for name in batch.headers) for batch in batches] == counts
    assert [batch.headers["x-reduct-last"] for batch in batches] == ["false"] * (len(counts) - 1) + ["true"]
    assert sum(int(batch.headers["content-length"]) for batch in batches) == 8_000_002


async def test_head_consumes(home: Caller) -> None:
    """HEAD gives the headers of GET, with the real sizes, and the records are read with it."""
    await put(home, "a", 1, b"12345")
    got = await next_batch(home, await begin(home))
    query_id = await begin(home, only_metadata=True)
    head = await next_batch(home, query_id, "HEAD")
    assert {**head.headers, "Date": ""} == {**got.headers, "Date": ""}
    assert (head.headers["x-reduct-0-0"], head.headers["content-length"]) == (
        "5,application/octet-stream",
        "5",
    )
    assert await head.read() == b""
    assert (await next_batch(home, query_id)).status == 204
    end = await next_batch(home, query_id, "HEAD")
    assert (end.status, end.headers["x-reduct-error"]) == (204, "No content")


async def test_numbers_rise(home: Caller) -> None:
    """From 1, process-wide, for queries of one entry too, and across buckets."""
    await home("POST", "/api/v1/b/away")
    await put(home, "a", 1)
    assert [await begin(home), await begin(home, "away")] == [1, 2]
    one = await home("GET", "/api/v1/b/home/a/q")
    assert await one.json() == {"id": 3}


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({}, 422, "x-reduct-query-id header is required for batched reads"),
        ({"x-reduct-query-id": ""}, 422, "Invalid query id"),
        ({"x-reduct-query-id": "x"}, 422, "Invalid query id"),
        ({"x-reduct-query-id": "-1"}, 422, "Invalid query id"),
        (
            {"x-reduct-query-id": "77"},
            404,
            "Query 77 not found and it might have expired. Check TTL in your query request.",
        ),
    ],
)
async def test_refused_reads(home: Caller, headers: dict[str, str], status: int, message: str) -> None:
    """Without a number, with something else, and with one that nobody began."""
    for method in ("GET", "HEAD"):
        response = await home(method, f"{IO}/read", headers=headers)
        assert (response.status, response.headers["x-reduct-error"]) == (status, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"query_type": "REMOVE"}, "Define at least one query parameter to delete records"),
        (
            {"query_type": "REMOVE", "entries": ["*"], "start": None},
            "Define at least one query parameter to delete records",
        ),
        ({"query_type": "QUERY", "when": {"$nope": []}}, "Operator '$nope' not supported"),
        ({"query_type": "QUERY", "ext": {"ros": {}}}, "Unknown extension 'ros' in query id=1"),
    ],
)
async def test_refused_queries(home: Caller, body: dict[str, Any], message: str) -> None:
    """422 with the protocol's words."""
    assert await refusal(home, "POST", f"{IO}/q", orjson.dumps(body)) == (422, message)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"query_type": "query"}',
        b'{"query_type": "QUERY", "entries": "a"}',
        b'{"query_type": "QUERY", "entries": [1]}',
        b'{"query_type": "QUERY", "start": -1}',
        b'{"query_type": "QUERY", "start": "1"}',
        b'{"query_type": "QUERY", "when": []}',
        b'{"query_type": "QUERY", "continuous": 1}',
    ],
)
async def test_bodies_that_are_no_query(home: Caller, body: bytes) -> None:
    """422, and it says that the JSON is at fault."""
    status, message = await refusal(home, "POST", f"{IO}/q", body)
    assert (status, message[:14]) == (422, "Invalid JSON: ")


async def test_a_missing_bucket(home: Caller) -> None:
    """404 for beginning, removing and reading."""
    missing = (404, "Bucket 'gone' is not found")
    assert await refusal(home, "POST", "/api/v1/io/gone/q", '{"query_type": "QUERY"}') == missing
    assert await refusal(home, "POST", "/api/v1/io/gone/q", '{"query_type": "REMOVE", "start": 1}') == missing
    response = await next_batch(home, await begin(home), bucket="gone")
    assert (response.status, response.headers["x-reduct-error"]) == missing


async def test_a_query_belongs_to_its_bucket(filled: Caller) -> None:
    """It cannot be read in another one, nor as a query of one entry, nor the other way round."""
    await filled("POST", "/api/v1/b/away")
    of_all = await begin(filled)
    assert (await next_batch(filled, of_all, bucket="away")).status == 404
    assert (await filled("GET", f"/api/v1/b/home/b/batch?q={of_all}")).status == 404
    assert (await filled("GET", f"/api/v1/b/home/b?q={of_all}")).status == 404
    of_one = (await (await filled("GET", "/api/v1/b/home/b/q")).json())["id"]
    assert (await next_batch(filled, of_one)).status == 404
    assert (await next_batch(filled, of_all)).status == 200


async def test_ttl(home: Caller) -> None:
    """0 is over at once; any read, an empty one too, keeps a query alive; then it is gone for good."""
    await put(home, "a", 1)
    assert (await next_batch(home, await begin(home, ttl=0))).status == 404
    query_id = await begin(home, ttl=1)
    for expected in (200, 204, 204):
        assert (await next_batch(home, query_id)).status == expected
        await asyncio.sleep(0.6)
    await asyncio.sleep(0.6)
    assert (await next_batch(home, query_id)).status == 404


async def test_a_continuous_query(home: Caller) -> None:
    """It begins with what is there, knows no stop, never says it is over, and answers at once without news."""
    await put(home, "a", 5)
    query_id = await begin(home, continuous=True, stop=1, entries=["a", "b"])
    first = await next_batch(home, query_id)
    assert await content_of_batch(first) == [("a", 5, b"x")]
    assert first.headers["x-reduct-last"] == "false"
    started = time.monotonic()
    assert (await next_batch(home, query_id)).status == 204
    assert time.monotonic() - started < 1
    # A new entry, a late record of an entry that gave nothing yet, and one of no interest.
    await put(home, "b", 3)
    await put(home, "a", 6)
    await put(home, "c", 7)
    later = await next_batch(home, query_id)
    assert await content_of_batch(later) == [("b", 3, b"x"), ("a", 6, b"x")]
    assert later.headers["x-reduct-last"] == "false"
    assert (await next_batch(home, query_id)).status == 204


async def test_a_strict_condition(home: Caller) -> None:
    """Fails the read that meets a record without the label; what came before is delivered first."""
    await put(home, "a", 1, labels={"n": "1"})
    await put(home, "a", 2)
    when = {"&n": {"$gt": 0}}
    assert await places(home, when=when) == [("a", 1)]
    query_id = await begin(home, when=when, strict=True)
    assert await content_of_batch(await next_batch(home, query_id)) == [("a", 1, b"x")]
    for _ in range(2):
        failed = await next_batch(home, query_id)
        assert (failed.status, failed.headers["x-reduct-error"]) == (404, "Reference 'n' not found")


@pytest.mark.parametrize(
    ("body", "removed", "left"),
    [
        ({"start": 2}, 3, [("a", 1), ("b", 1)]),
        ({"stop": 2}, 2, [("a", 2), ("b", 2), ("a", 3)]),
        ({"entries": ["a"]}, 3, [("b", 1), ("b", 2)]),
        ({"entries": ["!a"], "start": 2}, 1, [("a", 1), ("b", 1), ("a", 2), ("a", 3)]),
        ({"entries": ["*"], "when": {"&n": {"$eq": 2}}}, 2, [("a", 1), ("b", 1), ("a", 3)]),
        ({"when": {"$limit": 1}}, 2, [("a", 2), ("b", 2), ("a", 3)]),
        ({"entries": ["nowhere"]}, 0, [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3)]),
        ({"start": 3, "stop": 1}, 0, [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3)]),
    ],
)
async def test_removal(home: Caller, body: dict[str, Any], removed: int, left: list[tuple[str, int]]) -> None:
    """A query of the type REMOVE removes what it would find and says how many; emptied entries stay."""
    for entry, timestamp_us in (("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2)):
        await put(home, entry, timestamp_us, labels={"n": str(timestamp_us)})
    response = await home("POST", f"{IO}/q", orjson.dumps({"query_type": "REMOVE", **body}))
    assert (response.status, await response.json()) == (200, {"removed_records": removed})
    assert await places(home) == left
    _, entries = await bucket_page(home)
    assert {name: entry["record_count"] for name, entry in entries.items()} == {
        name: sum(place[0] == name for place in left) for name in ("a", "b")
    }


async def test_removal_of_many(home: Caller) -> None:
    """More records than one slice looks at are removed all the same."""
    names = [f"x-reduct-time-{timestamp_us}" for timestamp_us in range(100)]
    for number in range(21):
        written = await home("POST", f"/api/v1/b/home/e{number}/batch", b"", dict.fromkeys(names, "0,"))
        assert written.status == 200
    response = await home("POST", f"{IO}/q", '{"query_type": "REMOVE", "entries": ["e*"]}')
    assert await response.json() == {"removed_records": 2_100}
    info, entries = await bucket_page(home)
    assert (info["size"], info["entry_count"], info["latest_record"]) == (0, 21, 0)
    assert {entry["block_count"] for entry in entries.values()} == {0}


async def test_a_late_record_before_one_that_waits(home: Caller) -> None:
    """What is written behind a record that waits for the next batch closes that batch; nothing fails or is lost."""
    await home("POST", "/api/v1/b/home")
    for entry, timestamp_us in (("a", 100), ("b", 150), ("a", 200), ("b", 250)):
        await put(home, entry, timestamp_us)
    query_id = await begin(home)
    found = await content_of_batch(await next_batch(home, query_id))
    assert [place[:2] for place in found] == [("a", 100), ("b", 150)]
    await put(home, "b", 180)
    await put(home, "c", 50)
    while (response := await next_batch(home, query_id)).status == 200:
        found += await content_of_batch(response)
    assert sorted(place[:2] for place in found) == [
        *(("a", 100), ("a", 200)),
        *(("b", 150), ("b", 180), ("b", 250)),
        ("c", 50),
    ]
