"""Single records, as the protocol reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientResponse
from multidict import CIMultiDict
from yarl import URL

from tests.reductauth.web.conftest import Caller
from tests.storage_demo.test_buckets import refusal

ENTRY = "/api/v1/b/home/log"


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, and the bucket `home`."""
    await root("POST", "/api/v1/b/home")
    return root


async def content(response: ClientResponse) -> bytes:
    assert response.status == 200
    return await response.read()


async def test_write_and_read(home: Caller) -> None:
    """Content, type, time, entry and labels come back; label names in lower case."""
    headers = {"Content-Type": "image/png; a=b", "x-reduct-label-Kind": "test", "X-Reduct-Label-n": "1"}
    written = await home("POST", f"{ENTRY}?ts=1000", b"\x00\xff", headers)
    assert (written.status, await written.read()) == (200, b"")
    response = await home("GET", f"{ENTRY}?ts=1000")
    assert await content(response) == b"\x00\xff"
    expected = {
        "content-type": "image/png; a=b",
        "content-length": "2",
        "content-disposition": "attachment",
        "x-reduct-time": "1000",
        "x-reduct-entry": "log",
        "x-reduct-label-kind": "test",
        "x-reduct-label-n": "1",
    }
    assert {name: response.headers[name] for name in expected} == expected
    head = await home("HEAD", f"{ENTRY}?ts=1000")
    assert {name: head.headers[name] for name in expected} == expected
    assert await head.read() == b""
    assert {name for name, _ in response.raw_headers if name.lower().startswith(b"x-reduct")} == {
        b"x-reduct-time",
        b"x-reduct-entry",
        b"x-reduct-label-kind",
        b"x-reduct-label-n",
        b"x-reduct-api",
    }


async def test_the_latest_record(home: Caller) -> None:
    """No parameter, a bare `?` and unknown parameters mean the latest by time, not by arrival."""
    for timestamp, body in ((5, "five"), (9, "nine"), (7, "seven")):
        await home("POST", f"{ENTRY}?ts={timestamp}", body)
    for path in (ENTRY, f"{ENTRY}?", f"{ENTRY}?unknown=1"):
        assert await content(await home("GET", URL(path, encoded=True))) == b"nine"


@pytest.mark.parametrize("entry", ["a", "a/b/c", "A-_0", "batchless", "x/$meta", "%61"])
async def test_entry_names_that_are_accepted(home: Caller, entry: str) -> None:
    """Segments of letters, digits, dash and underscore; `$meta` at the end; escapes are decoded once."""
    path = URL(f"/api/v1/b/home/{entry}?ts=1", encoded=True)
    assert (await home("POST", path, "x", {"x-reduct-label-key": "k"})).status == 200
    assert await content(await home("GET", path)) == b"x"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("a//b", "Entry name must be non-empty and must not contain empty path segments"),
        ("a/", "Entry name must be non-empty and must not contain empty path segments"),
        ("a%20b", "Entry name can contain only letters, digits and [-,_,/] symbols or end with '/$meta'"),
        ("%C3%A9", "Unparsable message"),
        ("a%0A", "Entry name can contain only letters, digits and [-,_,/] symbols or end with '/$meta'"),
        ("$meta/a", "Entry name can contain only letters, digits and [-,_,/] symbols or end with '/$meta'"),
        ("a/$other", "Entry name can contain only letters, digits and [-,_,/] symbols or end with '/$meta'"),
        ("%2561", "Entry name can contain only letters, digits and [-,_,/] symbols or end with '/$meta'"),
    ],
)
async def test_entry_names_that_are_refused(home: Caller, entry: str, message: str) -> None:
    """422 with the protocol's words."""
    response = await home("POST", URL(f"/api/v1/b/home/{entry}?ts=1", encoded=True), "x")
    assert response.status == 422
    if message != "Unparsable message":
        assert response.headers["x-reduct-error"] == message


@pytest.mark.parametrize(
    "ts", ["", "x", "-1", "1.5", "%2B1", "9223372036854775808", "1e3", "%D9%A1", "99999999999999999999"]
)
async def test_times_that_are_refused(home: Caller, ts: str) -> None:
    """Microseconds in ASCII digits, up to 2^63-1, for writing and reading."""
    for method in ("POST", "GET"):
        path = URL(f"{ENTRY}?ts={ts}", encoded=True)
        body = "x" if method == "POST" else None
        assert await refusal(home, method, path, body) == (
            422,
            "'ts' must be an unix timestamp in microseconds",
        )


async def test_refusals(home: Caller) -> None:
    """Each with the protocol's words."""
    assert await refusal(home, "POST", ENTRY, "x") == (422, "'ts' parameter is required")
    assert await refusal(home, "GET", ENTRY) == (404, "Entry 'log' not found in bucket 'home'")
    await home("POST", f"{ENTRY}?ts=1", "x")
    assert await refusal(home, "GET", f"{ENTRY}?ts=2") == (404, "Record 2 not found in entry home/log")
    assert await refusal(home, "POST", f"{ENTRY}?ts=1", "y") == (
        409,
        "A record with timestamp 1 already exists",
    )
    assert await content(await home("GET", f"{ENTRY}?ts=1")) == b"x"
    response = await home("POST", f"{ENTRY}?ts=3", "x", {"x-reduct-label-a": "é"})
    assert (response.status, response.headers["x-reduct-error"]) == (
        422,
        "Label values for x-reduct-label-a must be valid UTF-8 strings",
    )


async def test_lengths(home: Caller) -> None:
    """A streamed upload says its length in a header of the protocol's own; without any length it is refused."""

    async def stream() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"def"

    assert await refusal(home, "POST", f"{ENTRY}?ts=1", stream()) == (
        422,
        "content-length header is required",
    )
    for text in ("x", "-1", "1.5"):
        response = await home("POST", f"{ENTRY}?ts=1", stream(), {"x-reduct-content-length": text})
        assert (response.status, response.headers["x-reduct-error"]) == (
            422,
            "content-length header must be a number",
        )
    for length in ("5", "7"):
        response = await home("POST", f"{ENTRY}?ts=1", stream(), {"x-reduct-content-length": length})
        assert response.status == 400
        assert (await home("GET", ENTRY)).status == 404
    assert (await home("POST", f"{ENTRY}?ts=1", stream(), {"x-reduct-content-length": "6"})).status == 200
    assert await content(await home("GET", ENTRY)) == b"abcdef"
    assert (await home("POST", f"{ENTRY}?ts=2", b"")).status == 200
    assert await content(await home("GET", f"{ENTRY}?ts=2")) == b""


async def test_one_upload_at_a_time_for_a_timestamp(home: Caller, tmp_path: Path) -> None:
    """While an upload is open its timestamp is taken; when it breaks, it is free again and nothing is left."""
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * 1_000_000
        await go_on.wait()
        raise ConnectionError("the client goes away")

    def files() -> list[Path]:
        return list((tmp_path / "storage" / "contents").iterdir())

    headers = {"x-reduct-content-length": "2000000"}
    upload = asyncio.create_task(home("POST", f"{ENTRY}?ts=1", slow(), headers))
    async with asyncio.timeout(5):
        while not files():
            await asyncio.sleep(0.01)
    response = await home("POST", f"{ENTRY}?ts=1", b"second")
    assert response.headers["x-reduct-error"] == "A record with timestamp 1 already exists"
    assert (await home("GET", f"{ENTRY}?ts=1")).status == 404
    go_on.set()
    with pytest.raises(ClientError):
        await upload
    async with asyncio.timeout(5):
        while (await home("POST", f"{ENTRY}?ts=1", b"second")).status != 200:
            await asyncio.sleep(0.01)
    assert files() == []
    assert await content(await home("GET", f"{ENTRY}?ts=1")) == b"second"


async def test_a_writer_may_not_read_nor_a_reader_write(home: Caller, tmp_path: Path) -> None:
    """A refused upload leaves no entry and no file behind."""
    reader = await home.make("reader", '{"read": ["home"]}')
    writer = await home.make("writer", '{"write": ["home"]}')
    assert (await reader("POST", f"{ENTRY}?ts=1", b"x" * 200_000)).status == 403
    assert (await (await home("GET", "/api/v1/b/home")).json())["entries"] == []
    assert [path for path in (tmp_path / "storage").rglob("*") if path.stat().st_size > 150_000] == []
    assert (await writer("POST", f"{ENTRY}?ts=1", b"x")).status == 200
    assert (await writer("GET", ENTRY)).status == 403
    assert (await writer("HEAD", ENTRY)).status == 403


@pytest.mark.parametrize(("count", "status"), [(80, 200), (81, 422)])
async def test_so_many_labels(home: Caller, count: int, status: int) -> None:
    """No more than clients can read back: many take no more than 100 header lines."""
    headers = {f"x-reduct-label-l{number}": "x" for number in range(count)}
    assert (await home("POST", f"{ENTRY}?ts=1", "x", headers)).status == status
    if status == 200:
        assert len((await home("GET", ENTRY)).raw_headers) < 100


async def test_label_headers_are_not_confused(home: Caller) -> None:
    """The last of two lines for one label counts; a label that looks like another header is only a label."""
    lines = CIMultiDict(
        [("x-reduct-label-a", "1"), ("x-reduct-label-a", "2"), ("x-reduct-label-content-type", "evil")]
    )
    headers = {"Authorization": f"Bearer {home.value}"}
    lines.update(headers)
    async with home.client.post(f"{ENTRY}?ts=1", data=b"x", headers=lines) as response:
        assert response.status == 200
    found = await home("GET", ENTRY)
    assert found.headers["x-reduct-label-a"] == "2"
    assert found.headers["content-type"] == "application/octet-stream"
