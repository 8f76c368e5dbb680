"""Labels of stored records that are changed: of one record, and of many in a batch."""

from __future__ import annotations

import pytest

from tests.reductauth.web.conftest import Caller
from tests.storage_demo.queried import ENTRY, put, refused

BATCH = f"{ENTRY}/batch"


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, and records at 1, 2 and 3 in `log`, with labels `a` and `b`."""
    await root("POST", "/api/v1/b/home")
    for timestamp_us in (1, 2, 3):
        await put(root, timestamp_us, "content", a="1", b="2")
    return root


async def labels(caller: Caller, timestamp_us: int) -> dict[str, str]:
    """The labels of a record, whose content and type must be as they were."""
    response = await caller("GET", f"{ENTRY}?ts={timestamp_us}")
    assert await response.read() == b"content"
    assert response.headers["content-type"] == "application/octet-stream"
    prefix = "x-reduct-label-"
    return {
        name.removeprefix(prefix): value
        for name, value in response.headers.items()
        if name.startswith(prefix)
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"a": "1", "b": "2"}),
        ({"a": "9"}, {"a": "9", "b": "2"}),
        ({"A": "9"}, {"a": "9", "b": "2"}),
        ({"c": "3"}, {"a": "1", "b": "2", "c": "3"}),
        ({"a": ""}, {"b": "2"}),
        ({"a": "", "b": ""}, {}),
        ({"absent": ""}, {"a": "1", "b": "2"}),
        ({"a": "", "c": "Oslo, Norway", "b": 'say "no"'}, {"b": 'say "no"', "c": "Oslo, Norway"}),
    ],
)
async def test_labels_of_one_record(home: Caller, changes: dict[str, str], expected: dict[str, str]) -> None:
    """Headers set, empty ones remove, also what is not there; the rest is kept, and other records are."""
    headers = {f"x-reduct-label-{name}": value for name, value in changes.items()}
    response = await home("PATCH", f"{ENTRY}?ts=2", None, headers)
    assert (response.status, await response.read()) == (200, b"")
    assert response.headers["content-length"] == "0"
    assert await labels(home, 2) == expected
    assert await labels(home, 1) == {"a": "1", "b": "2"}


async def test_refusals_for_one_record(home: Caller) -> None:
    """Each with the protocol's words."""
    times = (422, "'ts' must be an unix timestamp in microseconds")
    for path, refusal in (
        (ENTRY, (422, "'ts' parameter is required")),
        (f"{ENTRY}?ts=", times),
        (f"{ENTRY}?ts=x", times),
        (f"{ENTRY}?ts=9223372036854775808", times),
        (f"{ENTRY}?ts=9", (404, "Record 9 not found in entry home/log")),
        ("/api/v1/b/home/none?ts=1", (404, "Entry 'none' not found in bucket 'home'")),
        ("/api/v1/b/none/log?ts=1", (404, "Bucket 'none' is not found")),
    ):
        assert refused(await home("PATCH", path, None, {"x-reduct-label-a": "x"})) == refusal
    response = await home("PATCH", f"{ENTRY}?ts=1", None, {"x-reduct-label-a": "é"})
    assert refused(response) == (422, "Label values for x-reduct-label-a must be valid UTF-8 strings")
    assert await labels(home, 1) == {"a": "1", "b": "2"}


async def test_a_body_does_not_count(home: Caller) -> None:
    """Some clients send one, with a type of its own."""
    headers = {"x-reduct-label-a": "9", "Content-Type": "text/plain"}
    assert (await home("PATCH", f"{ENTRY}?ts=1", "ignored", headers)).status == 200
    assert await labels(home, 1) == {"a": "9", "b": "2"}


async def test_a_batch(home: Caller) -> None:
    """Each record by itself; length and type are not looked at; failures are told in headers."""
    headers = {
        "x-reduct-time-1": "0,,a=9,b=",
        "x-reduct-time-2": 'x,image/png,c="Oslo, Norway",absent=',
        "x-reduct-time-3": "0,application/octet-stream",
        "x-reduct-time-9": "0,,a=9",
    }
    response = await home("PATCH", BATCH, None, headers)
    assert (response.status, await response.read()) == (200, b"")
    assert {name: value for name, value in response.headers.items() if "x-reduct-error" in name} == {
        "x-reduct-error-9": "404,Record 9 not found in entry home/log"
    }
    assert await labels(home, 1) == {"a": "9"}
    assert await labels(home, 2) == {"a": "1", "b": "2", "c": "Oslo, Norway"}
    assert await labels(home, 3) == {"a": "1", "b": "2"}


async def test_refusals_of_a_batch(home: Caller) -> None:
    """A missing entry or bucket fails the whole, as bad headers do."""
    headers = {"x-reduct-time-1": "0,,a=9"}
    for place, refusal in (
        ("home/none", (404, "Entry 'none' not found in bucket 'home'")),
        ("none/log", (404, "Bucket 'none' is not found")),
    ):
        assert refused(await home("PATCH", f"/api/v1/b/{place}/batch", None, headers)) == refusal
    for bad, message in (
        ({"x-reduct-time-2": "0"}, "Invalid batched header"),
        ({"x-reduct-time-2": "0,,k"}, "Invalid batched header"),
        (
            {"x-reduct-time-x": "0,,k=v"},
            "Invalid header 'x-reduct-time-x': must be an unix timestamp in microseconds",
        ),
    ):
        assert refused(await home("PATCH", BATCH, None, {**headers, **bad})) == (422, message)
    assert await labels(home, 1) == {"a": "1", "b": "2"}
    assert (await home("PATCH", BATCH)).status == 200


@pytest.mark.parametrize("path", [f"{ENTRY}?ts=1", BATCH])
async def test_what_it_takes(home: Caller, path: str) -> None:
    """Write access, which is decided before what exists."""
    reader = await home.make("reader", read=["home", "none"])
    writer = await home.make("writer", write=["home"])
    headers = {"x-reduct-label-a": "9", "x-reduct-time-1": "0,,a=9"}
    for bucket in ("home", "none"):
        refusal = (403, f"Token 'reader' doesn't have write access to bucket '{bucket}'")
        there = path.replace("/home/", f"/{bucket}/")
        assert refused(await reader("PATCH", there, None, headers)) == refusal
    assert await labels(home, 1) == {"a": "1", "b": "2"}
    assert (await writer("PATCH", path, None, headers)).status == 200
    assert await labels(home, 1) == {"a": "9", "b": "2"}


async def test_sizes_follow(home: Caller) -> None:
    """A record that is changed takes as much as one that was written like that."""
    await home("POST", "/api/v1/b/other")
    for timestamp_us in (1, 2, 3):
        headers = {"x-reduct-label-a": "1", "x-reduct-label-longer": "value"}
        await home("POST", f"/api/v1/b/other/log?ts={timestamp_us}", b"content", headers)
        await home("PATCH", f"{ENTRY}?ts={timestamp_us}", None, {"x-reduct-label-b": "", **headers})
    pages = [await (await home("GET", f"/api/v1/b/{bucket}")).json() for bucket in ("home", "other")]
    assert pages[0]["info"]["size"] == pages[1]["info"]["size"]
    assert pages[0]["entries"] == pages[1]["entries"]


@pytest.mark.parametrize(("count", "status"), [(80, 200), (81, 422)])
async def test_so_many_labels(home: Caller, count: int, status: int) -> None:
    """What a new record may not have, a changed one may not either; it stays as it was."""
    await home("PATCH", f"{ENTRY}?ts=1", None, {"x-reduct-label-a": "", "x-reduct-label-b": ""})
    for first in (0, 40):
        some = range(first, min(first + 41, count) if first else 40)
        headers = {f"x-reduct-label-l{number}": "x" for number in some}
        response = await home("PATCH", f"{ENTRY}?ts=1", None, headers)
    assert response.status == status
    assert len(await labels(home, 1)) == (count if status == 200 else 40)


async def test_labels_do_not_outgrow_a_quota(home: Caller) -> None:
    """In a bucket with a HARD quota longer labels count like contents; shorter ones are always taken."""
    await home("PUT", "/api/v1/b/home", '{"quota_type": "HARD", "quota_size": 2000}')
    path = "/api/v1/b/home/quota?ts=1"
    assert (await home("POST", path, "x", {"x-reduct-label-a": "v" * 500})).status == 200
    grown = await home("PATCH", path, None, {"x-reduct-label-a": "v" * 4_000})
    assert (grown.status, grown.headers["x-reduct-error"]) == (400, "Quota of 'home' exceeded")
    kept = await home("GET", path)
    assert kept.headers["x-reduct-label-a"] == "v" * 500
    await home("PUT", "/api/v1/b/home", '{"quota_size": 1}')
    assert (await home("PATCH", path, None, {"x-reduct-label-a": "w"})).status == 200
