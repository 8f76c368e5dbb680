"""Batches of records of one entry that are written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientResponse
from multidict import CIMultiDict
from yarl import URL

from storage_demo.api.keys import ENGINE
from tests.reductauth.web.conftest import Caller
from tests.storage_demo.queried import ENTRY, begin, found, put, record_headers, refused

BATCH = f"{ENTRY}/batch"
OCTETS = "application/octet-stream"
MISMATCH = (422, "content-length header does not match the sum of the content-lengths in the headers")


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, and the bucket `home`."""
    await root("POST", "/api/v1/b/home")
    return root


def errors(response: ClientResponse) -> dict[str, str]:
    """The headers that tell of records that failed, as they stood on the wire."""
    return {
        name.decode(): value.decode()
        for name, value in response.raw_headers
        if name.lower().startswith(b"x-reduct-error")
    }


async def stored(caller: Caller) -> list[tuple[str, str]]:
    """Times and descriptions of the records in `log`, from a batch."""
    response = await caller("HEAD", f"{BATCH}?q={await begin(caller)}")
    return [(name.removeprefix("x-reduct-time-"), value) for name, value in record_headers(response)]


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_a_batch(home: Caller) -> None:
    """Contents follow each other in the numeric order of times, whatever the order of the headers."""
    headers = {
        "x-reduct-time-1000": "3,text/plain,b=2,a=1",
        "X-Reduct-Time-9": "4,",
        "x-reduct-time-10": ' 2 , image/png;q=1 , place = "Oslo, Norway" , k = v , e= ',
        "x-reduct-time-0": "0,,k=v",
    }
    response = await home("POST", BATCH, b"ninexythe", headers)
    assert (response.status, errors(response)) == (200, {})
    assert await response.read() == b""
    assert response.headers["content-length"] == "0"
    assert await stored(home) == [
        ("0", f"0,{OCTETS},k=v"),
        ("9", f"4,{OCTETS}"),
        ("10", '2,image/png;q=1,e=,k=v,place="Oslo, Norway"'),
        ("1000", "3,text/plain,a=1,b=2"),
    ]
    contents = [await (await home("GET", f"{ENTRY}?ts={ts}")).read() for ts in (0, 9, 10, 1000)]
    assert contents == [b"", b"nine", b"xy", b"the"]


async def test_entries_are_made(home: Caller) -> None:
    """With all above them, as for a single record."""
    headers = {"x-reduct-time-1": "1,"}
    assert (await home("POST", "/api/v1/b/home/a/b/c/batch", b"x", headers)).status == 200
    page = await (await home("GET", "/api/v1/b/home")).json()
    assert [entry["name"] for entry in page["entries"]] == ["a", "a/b", "a/b/c"]


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"x-reduct-time-1": "1"}, "Invalid batched header"),
        ({"x-reduct-time-1": ""}, "Invalid batched header"),
        ({"x-reduct-time-1": "1,,k"}, "Invalid batched header"),
        ({"x-reduct-time-1": '1,,k="v'}, "Invalid batched header"),
        ({"x-reduct-time-1": "x,"}, "Invalid content length"),
        ({"x-reduct-time-1": ","}, "Invalid content length"),
        ({"x-reduct-time-1": "-1,"}, "Invalid content length"),
        ({"x-reduct-time-1": "1.0,"}, "Invalid content length"),
        ({"x-reduct-time-1": "99999999999999999999,"}, "Invalid content length"),
        (
            {"x-reduct-time-x": "1,"},
            "Invalid header 'x-reduct-time-x': must be an unix timestamp in microseconds",
        ),
        (
            {"x-reduct-time--1": "1,"},
            "Invalid header 'x-reduct-time--1': must be an unix timestamp in microseconds",
        ),
        (
            {"x-reduct-time-": "1,"},
            "Invalid header 'x-reduct-time-': must be an unix timestamp in microseconds",
        ),
        (
            {"x-reduct-time-9223372036854775808": "1,"},
            "Invalid header 'x-reduct-time-9223372036854775808': must be an unix timestamp in microseconds",
        ),
        ({"x-reduct-time-1": "1,,@k=v"}, "Label names must not start with '@': reserved for computed labels"),
    ],
)
async def test_headers_that_are_refused(home: Caller, headers: dict[str, str], message: str) -> None:
    """422, and nothing of the batch is stored: not what has good headers either."""
    response = await home("POST", BATCH, b"xy", {**headers, "x-reduct-time-5": "1,"})
    assert refused(response) == (422, message)
    assert await response.json() == {"detail": message.replace('"', "'")}
    assert (await home("GET", ENTRY)).status == 404


@pytest.mark.parametrize("body", [b"", b"x", b"xyz"])
async def test_a_length_that_does_not_match(home: Caller, body: bytes) -> None:
    """The announced length must be the sum of all, whichever header announces it."""
    headers = {"x-reduct-time-1": "1,", "x-reduct-time-2": "1,"}
    assert refused(await home("POST", BATCH, body, headers)) == MISMATCH
    declared = {**headers, "x-reduct-content-length": str(len(body))}
    assert refused(await home("POST", BATCH, stream(body), declared)) == MISMATCH
    assert (await home("GET", ENTRY)).status == 404


async def test_a_body_without_records(home: Caller) -> None:
    """An empty batch is fine; bytes that belong to no record are not."""
    assert (await home("POST", BATCH)).status == 200
    assert refused(await home("POST", BATCH, b"x")) == MISMATCH


async def test_a_streamed_body(home: Caller) -> None:
    """Without an announced length the headers say where each record ends."""
    headers = {f"x-reduct-time-{time}": "3," for time in (1, 2, 3)}
    assert (await home("POST", BATCH, stream(b"a", b"aabb", b"bccc"), headers)).status == 200
    declared = {f"x-reduct-time-{time}": "3," for time in (4, 5)}
    declared["x-reduct-content-length"] = "6"
    assert (await home("POST", BATCH, stream(b"dddee", b"e"), declared)).status == 200
    contents = [await (await home("GET", f"{ENTRY}?ts={ts}")).read() for ts in range(1, 6)]
    assert contents == [b"aaa", b"bbb", b"ccc", b"ddd", b"eee"]


async def test_a_body_that_is_too_short_or_too_long(home: Caller) -> None:
    """400; the timestamp of a record that is not whole stays free, whole ones may be stored, and are right."""
    headers = {f"x-reduct-time-{time}": "3," for time in (1, 2)}
    response = await home("POST", BATCH, stream(b"aaab"), headers)
    assert refused(response) == (400, "Content is shorter than expected: no more data to read")
    assert (await home("GET", f"{ENTRY}?ts=2")).status == 404
    assert (await home("POST", f"{ENTRY}?ts=2", b"again")).status == 200
    longer = {f"x-reduct-time-{time}": "3," for time in (3, 4)}
    assert (await home("POST", BATCH, stream(b"cccddde"), longer)).status == 400
    for ts, content in ((1, b"aaa"), (3, b"ccc"), (4, b"ddd")):
        response = await home("GET", f"{ENTRY}?ts={ts}")
        assert response.status == 404 or await response.read() == content


async def test_records_that_fail(home: Caller) -> None:
    """Each has its header, those around it are stored, each with its own content."""
    await put(home, 2, "first")
    headers = {f"x-reduct-time-{time}": "3,text/plain" for time in (1, 2, 3)}
    response = await home("POST", BATCH, b"aaabbbccc", headers)
    assert response.status == 200
    assert errors(response) == {"x-reduct-error-2": "409,A record with timestamp 2 already exists"}
    contents = [await (await home("GET", f"{ENTRY}?ts={ts}")).read() for ts in (1, 2, 3)]
    assert contents == [b"aaa", b"first", b"ccc"]


async def test_places_that_are_not_there(home: Caller) -> None:
    """A missing bucket, or a name that no entry can have, is told for each record."""
    headers = {"x-reduct-time-1": "1,", "x-reduct-time-2": "1,"}
    response = await home("POST", "/api/v1/b/none/log/batch", b"xy", headers)
    assert (response.status, errors(response)) == (
        200,
        {
            "x-reduct-error-1": "404,Bucket 'none' is not found",
            "x-reduct-error-2": "404,Bucket 'none' is not found",
        },
    )
    response = await home("POST", URL("/api/v1/b/home/a%20b/batch", encoded=True), b"xy", headers)
    message = "422,Entry name can contain only letters, digits and [-,_,/] symbols or end with '/$meta'"
    assert (response.status, errors(response)) == (
        200,
        {"x-reduct-error-1": message, "x-reduct-error-2": message},
    )


async def test_one_header_for_each_record(home: Caller) -> None:
    """Two for one time contradict each other: nothing is stored."""
    lines = CIMultiDict([("x-reduct-time-1", "1,"), ("x-reduct-time-1", "1,")])
    lines.add("Authorization", f"Bearer {home.value}")
    async with home.client.post(BATCH, data=b"xy", headers=lines) as response:
        assert response.status == 422
    assert (await home("GET", ENTRY)).status == 404


async def test_times_at_the_edges(home: Caller) -> None:
    """0 and 2^63-1, written with leading zeros too."""
    headers = {"x-reduct-time-0": "1,", "x-reduct-time-9223372036854775807": "1,", "x-reduct-time-007": "1,"}
    response = await home("POST", BATCH, b"abc", headers)
    assert (response.status, errors(response)) == (200, {})
    assert await found(home) == [0, 7, 2**63 - 1]


async def test_a_quota_that_is_hard(home: Caller) -> None:
    """What fits is stored, the rest is told, and what is told is not stored."""
    await home("POST", "/api/v1/b/small", json.dumps({"quota_type": "HARD", "quota_size": 5_000}))
    headers = {f"x-reduct-time-{time}": "2000," for time in (1, 2, 3, 4)}
    response = await home("POST", "/api/v1/b/small/log/batch", b"x" * 8_000, headers)
    assert response.status == 200
    assert set(errors(response).values()) == {"400,Quota of 'small' exceeded"}
    failed = {int(name.rpartition("-")[2]) for name in errors(response)}
    assert len(failed) == 2
    statuses = {ts: (await home("GET", f"/api/v1/b/small/log?ts={ts}")).status for ts in (1, 2, 3, 4)}
    assert statuses == {ts: 404 if ts in failed else 200 for ts in (1, 2, 3, 4)}
    alone = {"x-reduct-time-9": "10000,"}
    response = await home("POST", "/api/v1/b/small/log/batch", b"x" * 10_000, alone)
    assert errors(response) == {"x-reduct-error-9": "400,Quota of 'small' exceeded"}


async def test_no_quota(home: Caller) -> None:
    """NONE takes everything, whatever size stands beside it."""
    await home("POST", "/api/v1/b/free", json.dumps({"quota_type": "NONE", "quota_size": 1}))
    headers = {f"x-reduct-time-{time}": "2000," for time in (1, 2)}
    response = await home("POST", "/api/v1/b/free/log/batch", b"x" * 4_000, headers)
    assert (response.status, errors(response)) == (200, {})


async def test_a_full_disk(home: Caller) -> None:
    """Each record that did not fit is told with 507; all others are there, and are right."""
    assert home.client.app is not None
    index = home.client.app[ENGINE]._database._writer
    (pages,) = index.execute("PRAGMA page_count").fetchone()
    index.execute(f"PRAGMA max_page_count = {pages + 60}")
    stored_at: set[int] = set()
    failed_at: set[int] = set()
    for first_us in range(0, 60, 10):
        times_us = range(first_us, first_us + 10)
        headers = {f"x-reduct-time-{ts}": "10000," for ts in times_us}
        body = b"".join(bytes([ts]) * 10_000 for ts in times_us)
        response = await home("POST", BATCH, body, headers)
        assert response.status == 200
        failed = {int(name.rpartition("-")[2]): text for name, text in errors(response).items()}
        assert set(failed.values()) <= {"507,Not enough space left on the disk of the storage"}
        failed_at |= failed.keys()
        stored_at |= set(times_us) - failed.keys()
    assert stored_at
    assert failed_at
    assert set(await found(home)) == stored_at
    for ts in stored_at:
        assert await (await home("GET", f"{ENTRY}?ts={ts}")).read() == bytes([ts]) * 10_000
    alone = await home("POST", f"{ENTRY}?ts=1000", b"x" * 60_000)
    assert refused(alone) == (507, "Not enough space left on the disk of the storage")
    index.execute("PRAGMA max_page_count = 1000000")
    again = await home("POST", BATCH, b"x", {f"x-reduct-time-{min(failed_at)}": "1,"})
    assert (again.status, errors(again)) == (200, {})


async def test_what_it_takes(home: Caller) -> None:
    """Write access to the bucket of the path, which is decided before anything else; nothing is left of a refusal."""
    reader = await home.make("reader", read=["home", "none"])
    writer = await home.make("writer", write=["home"])
    headers = {"x-reduct-time-1": "1,"}
    for bucket in ("home", "none"):
        refusal = (403, f"Token 'reader' doesn't have write access to bucket '{bucket}'")
        assert refused(await reader("POST", f"/api/v1/b/{bucket}/log/batch", b"x", headers)) == refusal
        assert (
            refused(await reader("POST", f"/api/v1/b/{bucket}/log/batch", b"x", {"x-reduct-time-x": ""}))
            == refusal
        )
    page = await (await home("GET", "/api/v1/b/home")).json()
    assert page["entries"] == []
    assert (await writer("POST", BATCH, b"x", headers)).status == 200


async def test_a_client_that_asks_first(home: Caller) -> None:
    """`Expect: 100-continue`: what the headers alone decide is answered without `100`, the rest after it."""
    refusals = [
        ("Authorization: Bearer x\r\n", "x-reduct-time-1: 5,\r\n", 401),
        (f"Authorization: Bearer {home.value}\r\n", "x-reduct-time-1: 4,\r\n", 422),
        (f"Authorization: Bearer {home.value}\r\n", "x-reduct-time-x: 5,\r\n", 422),
    ]
    for authorization, header, status in refusals:
        lines = await exchange(home, authorization, header)
        assert lines.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"x-reduct-api: 1.21\r\n" in lines
    lines = await exchange(home, f"Authorization: Bearer {home.value}\r\n", "x-reduct-time-1: 5,\r\n")
    assert lines.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert b"HTTP/1.1 200 OK\r\n" in lines
    assert await (await home("GET", f"{ENTRY}?ts=1")).read() == b"12345"


async def exchange(caller: Caller, authorization: str, header: str) -> bytes:
    """Send the head of a batch of 5 bytes and return the head of the answer; if it is `100`, go on to the last one."""
    reader, writer = await asyncio.open_connection(caller.client.host, caller.client.port)
    head = f"POST {BATCH} HTTP/1.1\r\nHost: a\r\n{authorization}{header}"
    writer.write(f"{head}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode())
    async with asyncio.timeout(5):
        received = await reader.readuntil(b"\r\n\r\n")
        if received.startswith(b"HTTP/1.1 100 "):
            writer.write(b"12345")
            received += await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return received


async def test_a_client_that_goes_away(home: Caller) -> None:
    """In the middle of a batch: whole records may be there, the broken one is not, and all times are free or whole."""
    head = (
        f"POST {BATCH} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {home.value}\r\n"
        "x-reduct-time-1: 3,\r\nx-reduct-time-2: 200000,\r\nx-reduct-time-3: 3,\r\nContent-Length: 200006\r\n\r\n"
    )
    _, writer = await asyncio.open_connection(home.client.host, home.client.port)
    writer.write(head.encode() + b"aaa" + b"b" * 100_000)
    await writer.drain()
    await asyncio.sleep(0.2)
    writer.close()
    async with asyncio.timeout(5):
        while (await home("POST", f"{ENTRY}?ts=2", b"second")).status != 200:
            await asyncio.sleep(0.02)
    assert (await home("GET", f"{ENTRY}?ts=3")).status == 404
    response = await home("GET", f"{ENTRY}?ts=1")
    assert response.status == 404 or await response.read() == b"aaa"
