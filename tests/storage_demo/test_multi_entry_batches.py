"""Batches of several entries, as the protocol reads: write, change labels, remove."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from aiohttp import ClientResponse

from tests.reductauth.web.conftest import Caller
from tests.storage_demo.multi_entry_calls import IO, bucket_page, find, places, put

OCTETS = "application/octet-stream"


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, and the bucket `home`."""
    await root("POST", "/api/v1/b/home")
    return root


async def write(caller: Caller, headers: Mapping[str, str], body: bytes = b"") -> ClientResponse:
    return await caller("POST", f"{IO}/write", body, headers)


async def update(caller: Caller, headers: Mapping[str, str]) -> ClientResponse:
    return await caller("PATCH", f"{IO}/update", None, headers)


async def remove(caller: Caller, headers: Mapping[str, str]) -> ClientResponse:
    return await caller("DELETE", f"{IO}/remove", None, headers)


def of_protocol(response: ClientResponse) -> dict[str, str]:
    """What an answer says of the batch, without the version that is on every answer."""
    return {
        name: value
        for name, value in response.headers.items()
        if name.startswith("x-reduct-") and name != "x-reduct-api"
    }


async def labels_at(caller: Caller, entry: str, timestamp_us: int) -> dict[str, str]:
    response = await caller("HEAD", f"/api/v1/b/home/{entry}?ts={timestamp_us}")
    assert response.status == 200
    prefix = "x-reduct-label-"
    return {
        name.removeprefix(prefix): value
        for name, value in response.headers.items()
        if name.startswith(prefix)
    }


async def test_write(home: Caller) -> None:
    """Contents by entry index, then by time, wherever the headers stand; type and labels stick within an entry."""
    headers = {
        "x-reduct-1-0": "2,",
        "x-reduct-0-10": "1",
        "x-reduct-0-2": "3,,1=,n=2",
        "x-reduct-0-0": '0,text/plain,0=a,1="b,c"',
        "x-reduct-entries": "z/deep,a",
        "x-reduct-start-ts": "1000",
        "x-reduct-labels": "kind,place",
        "content-type": OCTETS,
    }
    response = await write(home, headers, b"222" + b"1" + b"aa")
    assert (response.status, await response.read()) == (200, b"")
    assert of_protocol(response) == {"x-reduct-entries": "z/deep,a", "x-reduct-start-ts": "1000"}
    assert await find(home) == [
        ("a", 1000, b"aa"),
        ("z/deep", 1000, b""),
        ("z/deep", 1002, b"222"),
        ("z/deep", 1010, b"1"),
    ]
    assert await labels_at(home, "z/deep", 1000) == {"kind": "a", "place": "b,c"}
    assert await labels_at(home, "z/deep", 1002) == {"kind": "a", "n": "2"}
    assert await labels_at(home, "z/deep", 1010) == {"kind": "a", "n": "2"}
    assert await labels_at(home, "a", 1000) == {}
    types = [
        (await home("HEAD", f"/api/v1/b/home/{place}")).headers["content-type"]
        for place in ("z/deep?ts=1000", "z/deep?ts=1010", "a?ts=1000")
    ]
    assert types == ["text/plain", "text/plain", OCTETS]
    _, entries = await bucket_page(home)
    assert list(entries) == ["a", "z", "z/deep"]
    assert entries["z"]["record_count"] == 0


async def test_every_name_is_literal_without_a_list(home: Caller) -> None:
    """Without `x-reduct-labels` a number is a name like any other."""
    headers = {"x-reduct-entries": "a", "x-reduct-start-ts": "5", "x-reduct-0-0": "0,,0=zero,b=1"}
    assert (await write(home, headers)).status == 200
    assert await labels_at(home, "a", 5) == {"0": "zero", "b": "1"}


async def test_what_fails_alone(home: Caller) -> None:
    """Each refused record has a line of its own with index and delta of the request; the others are stored."""
    await put(home, "a", 11, b"old")
    headers = {
        "x-reduct-entries": "a,..%2Fb,b%2F,c%2F$meta,d",
        "x-reduct-start-ts": "10",
        "x-reduct-0-0": "1,",
        "x-reduct-0-1": "1,",
        "x-reduct-0-2": "1,",
        "x-reduct-1-0": "1,",
        "x-reduct-2-5": "1,",
        "x-reduct-3-0": "1,",
        "x-reduct-4-0": "1,",
    }
    response = await write(home, headers, b"1234567")
    assert response.status == 200
    assert of_protocol(response) == {
        "x-reduct-entries": "a,..%2Fb,b%2F,c%2F$meta,d",
        "x-reduct-start-ts": "10",
        "x-reduct-error-0-1": "409,A record with timestamp 11 already exists",
        "x-reduct-error-1-0": "422,Entry name can contain only letters, digits and [-,_,/] symbols "
        "or end with '/$meta'",
        "x-reduct-error-2-5": "422,Entry name must be non-empty and must not contain empty path segments",
        "x-reduct-error-3-0": "422,System entry 'c/$meta' records must contain label 'key'",
    }
    expected = [("a", 10, b"1"), ("d", 10, b"7"), ("a", 11, b"old"), ("a", 12, b"3")]
    assert await find(home) == expected


async def test_a_declared_length(home: Caller) -> None:
    """A body in chunks is announced by `x-reduct-content-length`; without any announcement it is refused."""

    async def body() -> object:
        yield b"ab"
        yield b"c"

    headers = {"x-reduct-entries": "a", "x-reduct-start-ts": "1", "x-reduct-0-0": "1,", "x-reduct-0-1": "2,"}
    refused = await home("POST", f"{IO}/write", body(), headers)
    assert (refused.status, refused.headers["x-reduct-error"]) == (422, "content-length header is required")
    told = await home("POST", f"{IO}/write", body(), {**headers, "x-reduct-content-length": "3"})
    assert told.status == 200
    assert await find(home) == [("a", 1, b"a"), ("a", 2, b"bc")]


BASE = {"x-reduct-entries": "a,b", "x-reduct-start-ts": "1"}
RANGE = "entry index out of range"
FIRST = "Content-type and labels must be provided for the first record of an entry"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"x-reduct-entries": "a", "x-reduct-0-0": "0,"}, "x-reduct-start-ts header is required"),
        ({**BASE, "x-reduct-start-ts": "x"}, "Invalid x-reduct-start-ts header"),
        ({**BASE, "x-reduct-start-ts": "-1"}, "Invalid x-reduct-start-ts header"),
        ({"x-reduct-start-ts": "1", "x-reduct-0-0": "0,"}, "x-reduct-entries header is required"),
        ({**BASE, "x-reduct-2-0": "0,"}, f"Invalid header 'x-reduct-2-0': {RANGE}"),
        ({**BASE, "x-reduct-0-0": "0,", "x-reduct-7-1": "0,"}, f"Invalid header 'x-reduct-7-1': {RANGE}"),
        ({**BASE, "x-reduct-0-0": "0"}, FIRST),
        ({**BASE, "x-reduct-0-0": "0,", "x-reduct-1-0": "0"}, FIRST),
        ({**BASE, "x-reduct-0-0": "0,,novalue"}, "Invalid batched header"),
        ({**BASE, "x-reduct-0-0": "x,"}, "Invalid content length"),
        (
            {**BASE, "x-reduct-labels": "k", "x-reduct-0-0": "0,,1=v"},
            "Label index '1' is out of range",
        ),
        (
            {**BASE, "x-reduct-0-0": "0,,@k=v"},
            "Label names must not start with '@': reserved for computed labels",
        ),
        (
            {**BASE, "x-reduct-labels": "@k", "x-reduct-0-0": "0,,0=v"},
            "Label names must not start with '@': reserved for computed labels",
        ),
        (
            {**BASE, "x-reduct-0-0": "1,"},
            "content-length header does not match the sum of the content-lengths in the headers",
        ),
    ],
)
async def test_batches_that_are_refused(home: Caller, headers: dict[str, str], message: str) -> None:
    """422 with the protocol's words, and nothing is stored."""
    response = await write(home, headers)
    assert (response.status, response.headers["x-reduct-error"]) == (422, message)
    assert await places(home) == []


async def test_other_headers_are_no_records(home: Caller) -> None:
    """Only names that end in a number speak of records."""
    headers = {**BASE, "x-reduct-0-x": "garbage", "x-reduct-note": "1", "x-reduct-0-0": "0,"}
    assert (await write(home, headers)).status == 200
    assert await places(home) == [("a", 1)]


@pytest.mark.parametrize("call", [write, update, remove])
async def test_an_empty_batch(home: Caller, call: object) -> None:
    """SDKs send one when nothing matched: 200, and the headers come back."""
    assert callable(call)
    response = await call(home, {"x-reduct-entries": "", "x-reduct-start-ts": "0"})
    assert response.status == 200
    assert response.headers["x-reduct-start-ts"] == "0"


@pytest.mark.parametrize("call", [write, update, remove])
async def test_a_missing_bucket(root: Caller, call: object) -> None:
    """404 for the whole batch."""
    assert callable(call)
    headers = {"x-reduct-entries": "a", "x-reduct-start-ts": "0", "x-reduct-0-0": "0,"}
    response = await call(root, headers)
    assert (response.status, response.headers["x-reduct-error"]) == (404, "Bucket 'home' is not found")


async def test_update(home: Caller) -> None:
    """What is set or dropped adds up over the records of an entry; what is not mentioned stays."""
    for timestamp_us in (1, 2, 3):
        await put(home, "a", timestamp_us, labels={"keep": "k", "old": str(timestamp_us)})
    await put(home, "b", 1, labels={"keep": "k", "old": "1"})
    headers = {
        "x-reduct-entries": "a,b,c",
        "x-reduct-start-ts": "1",
        "x-reduct-labels": "new,old",
        "x-reduct-0-0": "0,,0=x",
        "x-reduct-0-1": "77,image/png,1=",
        "x-reduct-0-2": "0",
        "x-reduct-1-0": '0,,0="y,z",absent=',
        "x-reduct-1-9": "0",
        "x-reduct-2-0": "0,,0=1",
    }
    response = await update(home, headers)
    assert response.status == 200
    assert of_protocol(response) == {
        "x-reduct-entries": "a,b,c",
        "x-reduct-start-ts": "1",
        "x-reduct-error-1-9": "404,Record 10 not found in entry home/b",
        "x-reduct-error-2-0": "404,Entry 'c' not found in bucket 'home'",
    }
    assert await labels_at(home, "a", 1) == {"keep": "k", "old": "1", "new": "x"}
    assert await labels_at(home, "a", 2) == {"keep": "k", "new": "x"}
    assert await labels_at(home, "a", 3) == {"keep": "k", "new": "x"}
    assert await labels_at(home, "b", 1) == {"keep": "k", "old": "1", "new": "y,z"}
    assert (await home("HEAD", "/api/v1/b/home/a?ts=2")).headers["content-type"] == OCTETS
    _, entries = await bucket_page(home)
    assert list(entries) == ["a", "b"]


async def test_remove(home: Caller) -> None:
    """Values are not looked at and may be empty; each record that is not there has its line."""
    for entry, timestamp_us in (("a", 1), ("a", 2), ("b", 2)):
        await put(home, entry, timestamp_us)
    headers = {
        "x-reduct-entries": "b,a,c",
        "x-reduct-start-ts": "1",
        "x-reduct-0-1": "",
        "x-reduct-1-0": "what,ever",
        "x-reduct-1-8": "",
        "x-reduct-2-0": "",
    }
    response = await remove(home, headers)
    assert response.status == 200
    assert of_protocol(response) == {
        "x-reduct-entries": "b,a,c",
        "x-reduct-start-ts": "1",
        "x-reduct-error-1-8": "404,Record 9 not found in entry home/a",
        "x-reduct-error-2-0": "404,Entry 'c' not found in bucket 'home'",
    }
    assert await places(home) == [("a", 2)]


@pytest.mark.parametrize(("sent", "status"), [(b"abc", 400), (b"abcdef", 400)])
async def test_a_body_of_another_length(home: Caller, sent: bytes, status: int) -> None:
    """Shorter or longer than declared is 400; a record that was not complete leaves its time free."""

    async def body() -> object:
        yield sent

    headers = {
        **BASE,
        "x-reduct-0-0": "2,",
        "x-reduct-0-1": "3,",
        "x-reduct-content-length": "5",
    }
    response = await home("POST", f"{IO}/write", body(), headers)
    assert response.status == status
    if len(sent) < 5:
        assert response.headers["x-reduct-error"] == "Content is shorter than expected: no more data to read"
        await put(home, "a", 2)
