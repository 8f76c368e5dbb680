"""Records and entries that are removed: one by one, in batches, by query, and with all that is below them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from tests.reductauth.web.conftest import Caller
from tests.storage_demo.queried import ENTRY, ask, found, put, refused

BATCH = f"{ENTRY}/batch"
NOTHING_SAID = (422, "Define at least one query parameter to delete records")
NO_TS = (422, "'ts' parameter is required")
BAD_TS = (422, "'ts' must be an unix timestamp in microseconds")
ZEROS = {
    "name": "log",
    "size": 0,
    "record_count": 0,
    "block_count": 0,
    "oldest_record": 0,
    "latest_record": 0,
    "status": "READY",
}


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, and records at 10, 20, 30 and 40 in `log`, with a label `n`."""
    await root("POST", "/api/v1/b/home")
    for timestamp_us in (10, 20, 30, 40):
        await put(root, timestamp_us, n=str(timestamp_us))
    return root


async def entries(caller: Caller) -> list[dict[str, Any]]:
    page = await (await caller("GET", "/api/v1/b/home")).json()
    found_entries: list[dict[str, Any]] = page["entries"]
    assert page["info"]["size"] == sum(entry["size"] for entry in found_entries)
    return found_entries


async def removed(caller: Caller, **fields: Any) -> int:
    """Remove by a query in a body and return the number that it answers."""
    response = await ask(caller, query_type="REMOVE", **fields)
    assert response.status == 200, response.headers
    answer = await response.json()
    assert list(answer) == ["removed_records"]
    count: int = answer["removed_records"]
    return count


async def test_one_record(home: Caller) -> None:
    """It is gone, the others are not; a second time it is not found; its time is free."""
    response = await home("DELETE", f"{ENTRY}?ts=20")
    assert (response.status, await response.read()) == (200, b"")
    assert await found(home) == [10, 30, 40]
    assert refused(await home("DELETE", f"{ENTRY}?ts=20")) == (404, "Record 20 not found in entry home/log")
    assert (await home("GET", f"{ENTRY}?ts=20")).status == 404
    await put(home, 20, "again")
    assert await found(home) == [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        (f"{ENTRY}?ts=", BAD_TS),
        (f"{ENTRY}?ts", BAD_TS),
        (f"{ENTRY}?ts=x", BAD_TS),
        (f"{ENTRY}?ts=-1", BAD_TS),
        (f"{ENTRY}?other=1", NO_TS),
        (f"{ENTRY}?TS=10", NO_TS),
        (f"{ENTRY}?start=0&stop=100", NO_TS),
        (f"{ENTRY}?=", NO_TS),
        ("/api/v1/b/home/none?ts=1", (404, "Entry 'none' not found in bucket 'home'")),
        ("/api/v1/b/none/log?ts=1", (404, "Bucket 'none' is not found")),
        ("/api/v1/b/home/none", (404, "Entry 'none' not found in bucket 'home'")),
        ("/api/v1/b/none/log", (404, "Bucket 'none' is not found")),
    ],
)
async def test_refusals(home: Caller, path: str, refusal: tuple[int, str]) -> None:
    """A parameter that is not `ts` never removes the entry."""
    assert refused(await home("DELETE", URL(path, encoded=True))) == refusal
    assert await found(home) == [10, 20, 30, 40]


async def test_a_batch(home: Caller) -> None:
    """Values of the headers do not count; what is not there is told, the rest is gone."""
    headers = {"x-reduct-time-20": "", "x-reduct-time-30": "0,", "x-reduct-time-25": "whatever"}
    response = await home("DELETE", BATCH, None, headers)
    assert (response.status, await response.read()) == (200, b"")
    assert {name: value for name, value in response.headers.items() if "x-reduct-error" in name} == {
        "x-reduct-error-25": "404,Record 25 not found in entry home/log"
    }
    assert await found(home) == [10, 40]


async def test_refusals_of_a_batch(home: Caller) -> None:
    """None at all is fine; a missing entry or bucket, or a bad time, fails the whole."""
    assert (await home("DELETE", BATCH)).status == 200
    headers = {"x-reduct-time-10": ""}
    for place, refusal in (
        ("home/none", (404, "Entry 'none' not found in bucket 'home'")),
        ("none/log", (404, "Bucket 'none' is not found")),
    ):
        assert refused(await home("DELETE", f"/api/v1/b/{place}/batch", None, headers)) == refusal
    assert refused(await home("DELETE", BATCH, None, {**headers, "x-reduct-time-x": ""})) == (
        422,
        "Invalid header 'x-reduct-time-x': must be an unix timestamp in microseconds",
    )
    assert await found(home) == [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("parameters", "left"),
    [
        ("start=20&stop=40", [10, 40]),
        ("start=20", [10]),
        ("stop=40", [40]),
        ("start=0", []),
        ("start=20&stop=20", [10, 20, 30, 40]),
    ],
)
async def test_by_parameters_and_by_body(home: Caller, parameters: str, left: list[int]) -> None:
    """`[start, stop)`; the answer is how many there were."""
    response = await home("DELETE", f"{ENTRY}/q?{parameters}")
    assert response.headers["content-type"] == "application/json"
    assert (response.status, await response.json()) == (200, {"removed_records": 4 - len(left)})
    assert await found(home) == left
    for timestamp_us in {10, 20, 30, 40} - set(left):
        await put(home, timestamp_us)
    fields = {name: int(value) for name, value in URL(f"?{parameters}").query.items()}
    assert await removed(home, **fields) == 4 - len(left)
    assert await found(home) == left


@pytest.mark.parametrize(
    ("when", "left"),
    [
        ({"&n": {"$gt": 20}}, [10, 20]),
        ({"$limit": 3}, [40]),
        ({"$each_n": 2}, [10, 30]),
        ({"&absent": {"$eq": 1}}, [10, 20, 30, 40]),
        ({"&n": {"$gt": 20}, "$limit": 1}, [10, 20, 40]),
    ],
)
async def test_by_condition(home: Caller, when: Any, left: list[int]) -> None:
    """What a query would have found is gone."""
    assert await removed(home, when=when) == 4 - len(left)
    assert await found(home) == left


async def test_nothing_said(home: Caller) -> None:
    """Without any parameter or filter nothing is removed."""
    for fields in ({}, {"start": None, "stop": None, "when": None, "ttl": None}):
        assert refused(await ask(home, query_type="REMOVE", **fields)) == NOTHING_SAID
    for path in (f"{ENTRY}/q", f"{ENTRY}/q?"):
        assert refused(await home("DELETE", URL(path, encoded=True))) == NOTHING_SAID
    assert await found(home) == [10, 20, 30, 40]


async def test_bad_parameters(home: Caller) -> None:
    """Refused as those of a query that is read."""
    for name in ("start", "stop"):
        assert refused(await home("DELETE", f"{ENTRY}/q?{name}=x")) == (
            422,
            f"'{name}' must be an unix timestamp in microseconds",
        )
    refusal = (422, "Start time must be before stop time")
    assert refused(await home("DELETE", f"{ENTRY}/q?start=2&stop=1")) == refusal
    assert refused(await ask(home, query_type="REMOVE", start=2, stop=1)) == refusal
    assert await found(home) == [10, 20, 30, 40]


async def test_an_entry_that_is_not_there(home: Caller) -> None:
    """Has nothing to remove; a bucket must be there."""
    response = await home("DELETE", "/api/v1/b/home/none/q?start=0")
    assert (response.status, await response.json()) == (200, {"removed_records": 0})
    response = await ask(home, "/api/v1/b/home/none", query_type="REMOVE", start=0)
    assert (response.status, await response.json()) == (200, {"removed_records": 0})
    assert refused(await home("DELETE", "/api/v1/b/none/log/q?start=0")) == (
        404,
        "Bucket 'none' is not found",
    )


async def test_more_than_one_slice(home: Caller, tmp_path: Path) -> None:
    """Thousands are removed at once, with their files; what is not meant stays."""
    for first in range(1_000, 4_000, 100):
        headers = {f"x-reduct-time-{ts}": "1," for ts in range(first, first + 100)}
        assert (await home("POST", BATCH, b"x" * 100, headers)).status == 200
    await put(home, 5_000, b"x" * 70_000)
    assert len(list((tmp_path / "storage" / "contents").iterdir())) == 1
    assert await removed(home, start=20, stop=3_999) == 3 + 2_999
    assert await found(home) == [10, 3_999, 5_000]
    assert await removed(home, start=5_000) == 1
    assert list((tmp_path / "storage" / "contents").iterdir()) == []


async def test_an_entry_that_was_emptied(home: Caller) -> None:
    """It stays listed with zeros, and has no latest record; its neighbours are as they were."""
    assert await removed(home, start=0) == 4
    assert await entries(home) == [ZEROS]
    assert (await home("GET", ENTRY)).status == 404
    assert (await home("GET", f"{ENTRY}/q")).status == 200


async def test_an_entry(home: Caller, tmp_path: Path) -> None:
    """It goes with all below it, their contents and attachments, and not with what is only called alike."""
    for name in ("log/below", "log/below/deep", "log2", "log-", "log0", "lo", "other/log"):
        await home("POST", f"/api/v1/b/home/{name}?ts=1", b"x" * 70_000)
    await home("POST", "/api/v1/b/home/log/$meta?ts=1", b"{}", {"x-reduct-label-key": "k"})
    assert (await home("DELETE", ENTRY)).status == 200
    assert [entry["name"] for entry in await entries(home)] == [
        "lo",
        "log-",
        "log0",
        "log2",
        "other",
        "other/log",
    ]
    assert len(list((tmp_path / "storage" / "contents").iterdir())) == 5
    for path in ("log?ts=10", "log/below?ts=1", "log/$meta?ts=1"):
        assert (await home("GET", f"/api/v1/b/home/{path}")).status == 404
    assert refused(await home("DELETE", ENTRY)) == (404, "Entry 'log' not found in bucket 'home'")


async def test_a_bare_question_mark(home: Caller) -> None:
    """Is no parameter: the entry goes."""
    assert (await home("DELETE", URL(f"{ENTRY}?", encoded=True))).status == 200
    assert await entries(home) == []


async def test_what_it_takes(home: Caller) -> None:
    """Write access for each way, also for the one whose body says it; decided before what exists."""
    reader = await home.make("reader", read=["home", "none"])
    writer = await home.make("writer", write=["home"])
    for bucket in ("home", "none"):
        refusal = (403, f"Token 'reader' doesn't have write access to bucket '{bucket}'")
        entry = f"/api/v1/b/{bucket}/log"
        for path in (f"{entry}?ts=10", entry, f"{entry}/batch", f"{entry}/q?start=0", f"{entry}/q"):
            assert refused(await reader("DELETE", path)) == refusal
        assert refused(await ask(reader, entry, query_type="REMOVE", start=0)) == refusal
    assert await found(home) == [10, 20, 30, 40]
    assert await removed(writer, start=40) == 1
    assert (await writer("DELETE", f"{ENTRY}/q?start=30")).status == 200
    assert (await writer("DELETE", BATCH, None, {"x-reduct-time-20": ""})).status == 200
    assert await found(home) == [10]
    assert (await writer("DELETE", f"{ENTRY}?ts=10")).status == 200
    assert (await writer("DELETE", ENTRY)).status == 200


async def test_a_strict_condition_that_fails(home: Caller) -> None:
    """What it found before the record that it can't be evaluated for is removed; the rest stays."""
    for timestamp, label in ((11, "1"), (12, "2"), (13, None), (14, "4")):
        headers = {} if label is None else {"x-reduct-label-n": label}
        assert (await home("POST", f"/api/v1/b/home/strict?ts={timestamp}", "x", headers)).status == 200
    body = '{"query_type": "REMOVE", "when": {"&n": {"$gt": 0}}, "strict": true}'
    failed = await home("POST", "/api/v1/b/home/strict/q", body)
    assert (failed.status, failed.headers["x-reduct-error"]) == (404, "Reference 'n' not found")
    statuses = [
        (await home("GET", f"/api/v1/b/home/strict?ts={timestamp}")).status for timestamp in (11, 12, 13, 14)
    ]
    assert statuses == [404, 404, 200, 200]
