"""Batches of records of one entry that are read."""

from __future__ import annotations

import asyncio
import errno
import io
import os
from pathlib import Path

import pytest

from tests.reductauth.web.conftest import Caller
from tests.storage_demo.queried import ENTRY, begin, put, record_headers, refused

OCTETS = "application/octet-stream"


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, and the bucket `home`."""
    await root("POST", "/api/v1/b/home")
    return root


async def fill(caller: Caller, contents: list[bytes], first_us: int = 1) -> None:
    """Write records, one behind the other, in batches."""
    for begin_at in range(0, len(contents), 80):
        some = contents[begin_at : begin_at + 80]
        headers = {
            f"x-reduct-time-{first_us + begin_at + number}": f"{len(content)},{OCTETS}"
            for number, content in enumerate(some)
        }
        response = await caller("POST", f"{ENTRY}/batch", io.BytesIO(b"".join(some)), headers)
        assert response.status == 200, response.headers
        assert not [name for name in response.headers if name.startswith("x-reduct-error")]


async def read_all(caller: Caller, query_id: int) -> list[tuple[int, str]]:
    """Read a query to its end; return for each batch how many records it had, and what it said of the end."""
    batches: list[tuple[int, str]] = []
    while True:
        response = await caller("GET", f"{ENTRY}/batch?q={query_id}")
        if response.status == 204:
            return batches
        assert response.status == 200, response.headers
        batches.append((len(record_headers(response)), response.headers["x-reduct-last"]))


async def test_a_batch(home: Caller) -> None:
    """A header for each record in the order of time, labels sorted; contents in that order; the sum as length."""
    await put(home, 1000, "thousand")
    await put(home, 9, "nine", b="2", a="1")
    await home("POST", f"{ENTRY}?ts=10", b"\x00\xff", {"Content-Type": "image/png; q=1"})
    await put(home, 11, "", place="Oslo, Norway", quote='say "no"', empty="")
    response = await home("GET", f"{ENTRY}/batch?q={await begin(home)}")
    assert response.status == 200
    assert record_headers(response) == [
        ("x-reduct-time-9", f"4,{OCTETS},a=1,b=2"),
        ("x-reduct-time-10", "2,image/png; q=1"),
        ("x-reduct-time-11", f'0,{OCTETS},empty=,place="Oslo, Norway",quote=say "no"'),
        ("x-reduct-time-1000", f"8,{OCTETS}"),
    ]
    assert response.headers["content-type"] == OCTETS
    assert response.headers["content-length"] == "14"
    assert response.headers["x-reduct-last"] == "true"
    assert response.headers["x-reduct-api"] == "1.21"
    assert await response.read() == b"nine\x00\xffthousand"


async def test_head(home: Caller) -> None:
    """The headers of GET with the real length and no body; it consumes."""
    await fill(home, [b"one", b"three"])
    get = await home("GET", f"{ENTRY}/batch?q={await begin(home)}")
    query_id = await begin(home, only_metadata=True)
    head = await home("HEAD", f"{ENTRY}/batch?q={query_id}")
    assert {**head.headers, "Date": ""} == {**get.headers, "Date": ""}
    assert head.headers["content-length"] == "8"
    assert await head.read() == b""
    assert (await home("GET", f"{ENTRY}/batch?q={query_id}")).status == 204


@pytest.mark.parametrize(
    ("count", "batches"),
    [
        (0, []),
        (1, [(1, "true")]),
        (84, [(84, "true")]),
        (85, [(85, "false")]),
        (86, [(85, "false"), (1, "true")]),
        (171, [(85, "false"), (85, "false"), (1, "true")]),
    ],
)
async def test_so_many_records(home: Caller, count: int, batches: list[tuple[int, str]]) -> None:
    """85 at most; the end is only told where it was met while filling."""
    await put(home, 0)
    await fill(home, [b"x"] * count)
    assert await read_all(home, await begin(home, start=1)) == batches


async def test_so_many_bytes(home: Caller) -> None:
    """A batch is closed behind the record with which it exceeds 8,000,000 bytes; HEAD does not count them."""
    await fill(home, [b"a" * 4_000_000, b"b" * 4_000_000, b"c", b"d" * 9_000_000, b"e"])
    assert await read_all(home, await begin(home)) == [(3, "false"), (1, "false"), (1, "true")]
    head = await home("HEAD", f"{ENTRY}/batch?q={await begin(home)}")
    assert len(record_headers(head)) == 5
    assert head.headers["content-length"] == "17000002"


async def test_both_ways_of_reading(home: Caller) -> None:
    """One query may be read record by record and in batches by turns."""
    await fill(home, [b"%d" % number for number in range(1, 91)])
    query_id = await begin(home)
    assert await (await home("GET", f"{ENTRY}?q={query_id}")).read() == b"1"
    batch = await home("GET", f"{ENTRY}/batch?q={query_id}")
    assert [record_headers(batch)[at][0] for at in (0, -1)] == ["x-reduct-time-2", "x-reduct-time-86"]
    assert (await home("HEAD", f"{ENTRY}?q={query_id}")).headers["x-reduct-time"] == "87"
    last = await home("GET", f"{ENTRY}/batch?q={query_id}")
    assert await last.read() == b"888990"


async def test_a_continuous_query(home: Caller) -> None:
    """`true` says that there is no more now; then 204 until there is."""
    await fill(home, [b"x"] * 86)
    query_id = await begin(home, continuous=True)
    assert await read_all(home, query_id) == [(85, "false"), (1, "true")]
    async with asyncio.timeout(1):
        assert refused(await home("GET", f"{ENTRY}/batch?q={query_id}")) == (204, "No content")
    await fill(home, [b"y", b"z"], first_us=1000)
    assert await read_all(home, query_id) == [(2, "true")]


async def test_names_of_headers_are_in_lower_case(home: Caller) -> None:
    """Some clients compare those that the protocol adds by case."""
    await home("POST", f"{ENTRY}/batch", "x", {"x-reduct-time-1": f"1,{OCTETS},Kind=A"})
    for path in (f"{ENTRY}/batch?q={await begin(home)}", f"{ENTRY}?ts=1"):
        response = await home("GET", path)
        names = [name for name, _ in response.raw_headers if name.lower().startswith(b"x-reduct-")]
        assert names
        assert names == [name.lower() for name in names]
        assert len(response.raw_headers) < 100


async def test_records_that_change_meanwhile(home: Caller) -> None:
    """Between two batches: removed ones are not there, new ones ahead are, rewritten ones are whole."""
    await fill(home, [b"old"] * 100)
    query_id = await begin(home)
    assert len(record_headers(await home("GET", f"{ENTRY}/batch?q={query_id}"))) == 85
    await home("DELETE", f"{ENTRY}?ts=86")
    await home("DELETE", f"{ENTRY}?ts=87")
    await put(home, 87, "rewritten", k="v")
    await home("PATCH", f"{ENTRY}?ts=88", None, {"x-reduct-label-k": "w"})
    response = await home("GET", f"{ENTRY}/batch?q={query_id}")
    headers = record_headers(response)
    assert headers[:3] == [
        ("x-reduct-time-87", f"9,{OCTETS},k=v"),
        ("x-reduct-time-88", f"3,{OCTETS},k=w"),
        ("x-reduct-time-89", f"3,{OCTETS}"),
    ]
    assert len(headers) == 14
    assert await response.read() == b"rewritten" + b"old" * 13


def content_file(folder: Path, content: bytes) -> Path:
    """The file in which this content is stored."""
    [path] = [path for path in (folder / "storage" / "contents").iterdir() if path.read_bytes() == content]
    return path


async def test_a_record_that_is_damaged(home: Caller, tmp_path: Path) -> None:
    """It fails the read that it would be first in, and takes none of its neighbours along."""
    for number in range(1, 6):
        await put(home, number, bytes([number]) * 70_000)
    content_file(tmp_path, b"\x04" * 70_000).unlink()
    os.truncate(content_file(tmp_path, b"\x02" * 70_000), 1_000)
    query_id = await begin(home)
    answers = []
    while (response := await home("GET", f"{ENTRY}/batch?q={query_id}")).status != 204:
        answers.append([name for name, _ in record_headers(response)] or refused(response))
    assert answers == [
        ["x-reduct-time-1"],
        (500, "Content of record 2 in entry home/log is damaged"),
        ["x-reduct-time-3"],
        (500, "Content of record 4 in entry home/log is damaged"),
        ["x-reduct-time-5"],
    ]
    single = await begin(home)
    statuses = [(await home("GET", f"{ENTRY}?q={single}")).status for _ in range(6)]
    assert statuses == [200, 500, 200, 500, 200, 204]


async def test_a_disk_that_fails_for_a_while(home: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be opened is neither left out nor takes its neighbours along: it comes with the next read."""
    for number in range(1, 6):
        await put(home, number, bytes([number]) * 70_000)
    query_id = await begin(home)
    opened: list[Path] = []
    system_open = os.open

    def fail_sometimes(path: Path, flags: int, mode: int = 0o777) -> int:
        if "contents" in str(path):
            opened.append(path)
            if len(opened) in {3, 4, 5}:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return system_open(path, flags, mode)

    monkeypatch.setattr(os, "open", fail_sometimes)
    answers = []
    while (response := await home("GET", f"{ENTRY}/batch?q={query_id}")).status != 204:
        answers.append([name.rpartition("-")[2] for name, _ in record_headers(response)] or response.status)
    assert answers == [["1", "2"], 503, 503, ["3", "4", "5"]]


async def test_a_content_that_ends_too_soon(home: Caller, tmp_path: Path) -> None:
    """When the answer has begun there is no other way to say so than to end the connection."""
    for number in (1, 2):
        headers = {f"x-reduct-time-{number}": "7900000,"}
        await home("POST", f"{ENTRY}/batch", io.BytesIO(bytes([number]) * 7_900_000), headers)
    path = f"{ENTRY}/batch?q={await begin(home)}"
    reader, writer = await asyncio.open_connection(home.client.host, home.client.port, limit=4_096)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {home.value}\r\n\r\n".encode())
    received = await reader.readuntil(b"\r\n\r\n")
    assert b"content-length: 15800000\r\n" in received.lower()
    os.truncate(content_file(tmp_path, b"\x02" * 7_900_000), 1_000)
    async with asyncio.timeout(10):
        content = await reader.read()
    assert len(content) < 15_800_000
    assert content.strip(b"\x01\x02") == b""
    writer.close()
