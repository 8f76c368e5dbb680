"""Batches and queries of large records pass through the server, not into it, whatever its clients do in the middle.

Nothing that a client keeps waiting holds a lock, a snapshot of the index or more memory than a few pieces.
"""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, ClientTimeout
from yarl import URL

from tests.forked import forked
from tests.servers import ServerProcess
from tests.storage_demo.test_streaming import (
    RECORD_BYTES,
    ROOT,
    content_files,
    peak_bytes,
    upload,
    write_and_read_small,
)

PEAK_LIMIT_BYTES = 200 * 1024 * 1024
LENGTH_BYTES = 8_000_000  # what a batch may reach and not exceed: two of them are one batch
PIECE_BYTES = 500_000
COUNT = 12
PROTOCOLS = ("one", "several")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with forked(tmp_path) as process:
        yield process


@pytest.fixture
async def session(server: ServerProcess) -> AsyncIterator[ClientSession]:
    async with ClientSession(server.url, headers=ROOT, timeout=ClientTimeout(120)) as session:
        async with session.post("/api/v1/b/home") as made:
            assert made.status == 200
        yield session


def write_request(protocol: str, count: int) -> tuple[str, dict[str, str]]:
    """Path and headers of a batch of `count` records of the entry `e`, at 0, 1, 2 ..."""
    value = f"{LENGTH_BYTES},application/octet-stream"
    if protocol == "one":
        return "/api/v1/b/home/e/batch", {f"x-reduct-time-{at}": value for at in range(count)}
    records = {f"x-reduct-0-{at}": value for at in range(count)}
    return "/api/v1/io/home/write", {"x-reduct-entries": "e", "x-reduct-start-ts": "0", **records}


async def contents(count: int) -> AsyncIterator[bytes]:
    """The body of such a batch: in each record the byte that is its time."""
    for at in range(count):
        for _ in range(LENGTH_BYTES // PIECE_BYTES):
            yield bytes([at]) * PIECE_BYTES


async def write_batch(session: ClientSession, protocol: str, count: int) -> None:
    path, headers = write_request(protocol, count)
    length = {"x-reduct-content-length": str(count * LENGTH_BYTES)}
    async with session.post(path, data=contents(count), headers={**headers, **length}) as response:
        assert response.status == 200
        assert not [name for name in response.headers if name.startswith("x-reduct-error")]


async def begin(session: ClientSession, protocol: str, **fields: Any) -> tuple[str, dict[str, str]]:
    """Begin a query of `e`; return path and headers for reading it in batches."""
    path = "/api/v1/b/home/e/q" if protocol == "one" else "/api/v1/io/home/q"
    body = orjson.dumps({"query_type": "QUERY", "entries": ["e"], **fields})
    async with session.post(path, data=body) as response:
        assert response.status == 200
        number = (await response.json())["id"]
    if protocol == "one":
        return f"/api/v1/b/home/e/batch?q={number}", {}
    return "/api/v1/io/home/read", {"x-reduct-query-id": str(number)}


async def read_all(session: ClientSession, protocol: str, first: int = 0, count: int = COUNT) -> None:
    """Read the records from `first` on by a query of their own, and check every byte."""
    path, headers = await begin(session, protocol, start=first)
    at, offset_bytes = first, 0
    while True:
        async with session.get(path, headers=headers) as response:
            if response.status == 204:
                break
            assert response.status == 200
            async for piece in response.content.iter_chunked(PIECE_BYTES):
                rest = piece
                while rest:
                    taken = min(len(rest), LENGTH_BYTES - offset_bytes)
                    assert rest[:taken] == bytes([at]) * taken
                    rest = rest[taken:]
                    offset_bytes += taken
                    if offset_bytes == LENGTH_BYTES:
                        at, offset_bytes = at + 1, 0
    assert (at, offset_bytes) == (count, 0)


@contextmanager
def raw(server: ServerProcess, method: str, path: str, headers: dict[str, str]) -> Iterator[socket.socket]:
    """A connection on which the head of a request was sent, and nothing else happens by itself."""
    url = URL(server.url)
    lines = [f"{method} {path} HTTP/1.1", "Host: a"]
    lines += [f"{name}: {value}" for name, value in {**ROOT, **headers}.items()]
    with socket.create_connection((str(url.host), int(url.port or 0)), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        yield connection


def index_of(folder: Path) -> Path:
    return folder / "data" / "storage" / "engine.db"


def assert_no_snapshot(folder: Path) -> None:
    """Whatever is in the journal can be moved into the database at once: nobody reads, nobody writes."""
    connection = sqlite3.connect(index_of(folder), timeout=2)
    try:
        is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.close()
    assert not is_busy
    assert index_of(folder).with_name("engine.db-wal").stat().st_size == 0


def open_contents(server: ServerProcess) -> list[str]:
    """The content files that the process has open."""
    descriptors = Path(f"/proc/{server.pid}/fd")
    links = [str(link.readlink()) for link in descriptors.iterdir() if link.is_symlink()]
    return [link for link in links if "/contents/" in link]


async def until_closed(server: ServerProcess) -> None:
    async with asyncio.timeout(10):
        while open_contents(server):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_batches_both_ways(server: ServerProcess, session: ClientSession, protocol: str) -> None:
    """96 MB in one batch, read back by four at once in batches of 16 MB, whole and right."""
    await write_batch(session, protocol, COUNT)
    await asyncio.gather(*(read_all(session, PROTOCOLS[number % 2]) for number in range(4)))
    assert peak_bytes(server) < PEAK_LIMIT_BYTES
    assert open_contents(server) == []


async def test_a_query_over_a_large_record(server: ServerProcess, session: ClientSession) -> None:
    """256 MB come as a batch of their own by either protocol, and as a record by itself; HEAD reads none of it."""
    assert await upload(session, "e", RECORD_BYTES, RECORD_BYTES) == 200
    ways = [await begin(session, protocol) for protocol in PROTOCOLS]
    one = (await begin(session, "one"))[0].replace("/batch", "")
    for path, headers in [*ways, (one, {})]:
        received = 0
        async with session.get(path, headers=headers) as response:
            assert (response.status, response.content_length) == (200, RECORD_BYTES)
            async for piece in response.content.iter_chunked(1024 * 1024):
                received += len(piece)
        assert received == RECORD_BYTES
    path, headers = await begin(session, "several")
    async with session.head(path, headers=headers) as response:
        assert (response.status, response.content_length) == (200, RECORD_BYTES)
    assert peak_bytes(server) < PEAK_LIMIT_BYTES
    assert open_contents(server) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_reader_that_stalls(
    server: ServerProcess, session: ClientSession, tmp_path: Path, protocol: str
) -> None:
    """In the middle of a batch: others read and write, the journal is free, the records and the bucket can go."""
    await write_batch(session, protocol, 4)
    path, headers = await begin(session, protocol)
    with raw(server, "GET", path, {**headers, "connection": "close"}) as stalled:
        answer = stalled.recv(1_000)
        assert answer.startswith(b"HTTP/1.1 200")
        assert await write_and_read_small(session, 20) < 5
        assert_no_snapshot(tmp_path)
        await read_all(session, protocol, count=4)
        async with session.delete("/api/v1/b/home/e/q?start=0") as removed:
            assert await removed.json() == {"removed_records": 4}
        async with session.delete("/api/v1/b/home") as gone:
            assert gone.status == 200
        assert content_files(tmp_path) == []
        # What it does take in the end is still right: the records were removed, not their contents under it.
        while piece := await asyncio.to_thread(stalled.recv, 1024 * 1024):
            answer += piece
    body = answer.partition(b"\r\n\r\n")[2]
    assert body == bytes(LENGTH_BYTES) + bytes([1]) * LENGTH_BYTES
    await until_closed(server)
    assert peak_bytes(server) < PEAK_LIMIT_BYTES
    assert "Traceback" not in server.log


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_readers_that_go_away(
    server: ServerProcess, session: ClientSession, tmp_path: Path, protocol: str
) -> None:
    """In the middle of the first record of a batch: no file stays open, and the query is still readable."""
    await write_batch(session, protocol, 4)
    for _ in range(5):
        path, headers = await begin(session, protocol)
        with raw(server, "GET", path, headers) as vanishing:
            assert vanishing.recv(1_000).startswith(b"HTTP/1.1 200")
    await until_closed(server)
    assert_no_snapshot(tmp_path)
    # The batch that was cut off is consumed; the next one has the other half.
    received = 0
    async with session.get(path, headers=headers) as response:
        async for piece in response.content.iter_chunked(PIECE_BYTES):
            assert set(piece) <= {2, 3}
            received += len(piece)
    assert received == 2 * LENGTH_BYTES
    assert peak_bytes(server) < PEAK_LIMIT_BYTES
    assert "Traceback" not in server.log


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_writer_that_stalls_and_goes_away(
    server: ServerProcess, session: ClientSession, tmp_path: Path, protocol: str
) -> None:
    """In the middle of the second record: it holds nobody up, and nothing of that record stays."""
    path, headers = write_request(protocol, 3)
    length = {"content-length": str(3 * LENGTH_BYTES)}
    with raw(server, "POST", path, {**headers, **length}) as stalled:
        body = bytes(LENGTH_BYTES) + bytes([1]) * (LENGTH_BYTES // 2)
        await asyncio.to_thread(stalled.sendall, body)
        async with asyncio.timeout(10):
            while len(content_files(tmp_path)) < 2:
                await asyncio.sleep(0.05)
        assert await write_and_read_small(session, 20) < 5
        assert_no_snapshot(tmp_path)
        async with session.post("/api/v1/b/home/e?ts=1", data=b"x") as taken:
            assert taken.status == 409
        async with session.get("/api/v1/b/home/e?ts=1") as half:
            assert half.status == 404
        # The first record is complete, and need not wait for the others.
        async with session.get("/api/v1/b/home/e?ts=0") as whole:
            assert await whole.read() == bytes(LENGTH_BYTES)
    async with asyncio.timeout(10):
        while len(content_files(tmp_path)) > 1:
            await asyncio.sleep(0.05)
    await until_closed(server)
    for timestamp_us in (1, 2):
        async with session.post(f"/api/v1/b/home/e?ts={timestamp_us}", data=b"x") as free:
            assert free.status == 200
    async with session.get("/api/v1/b/home") as response:
        entries = (await response.json())["entries"]
    assert {entry["name"]: entry["record_count"] for entry in entries} == {"e": 3, "small": 20}
    assert_no_snapshot(tmp_path)
    assert peak_bytes(server) < PEAK_LIMIT_BYTES
    assert "Traceback" not in server.log


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_bucket_that_goes_under_a_writer(
    server: ServerProcess, session: ClientSession, tmp_path: Path, protocol: str
) -> None:
    """Its removal does not wait for the batch, of which the rest is refused record by record."""
    path, headers = write_request(protocol, 2)
    length = {"content-length": str(2 * LENGTH_BYTES)}
    with raw(server, "POST", path, {**headers, **length}) as slow:
        await asyncio.to_thread(slow.sendall, bytes(LENGTH_BYTES // 2))
        async with asyncio.timeout(10):
            while not content_files(tmp_path):
                await asyncio.sleep(0.05)
        async with session.delete("/api/v1/b/home") as gone:
            assert gone.status == 200
        await asyncio.to_thread(slow.sendall, bytes(2 * LENGTH_BYTES - LENGTH_BYTES // 2))
        answer = (await asyncio.to_thread(slow.recv, 10_000)).decode()
    assert answer.startswith("HTTP/1.1 200")
    assert answer.count("404,Bucket 'home' is not found") == 2
    assert content_files(tmp_path) == []
    assert "Traceback" not in server.log


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_writers_that_go_away_again_and_again(
    server: ServerProcess, session: ClientSession, tmp_path: Path, protocol: str
) -> None:
    """Each in the middle of the first record: memory stays small, and no file or time stays taken."""
    path, headers = write_request(protocol, 2)
    length = {"content-length": str(2 * LENGTH_BYTES)}
    for _ in range(20):
        with raw(server, "POST", path, {**headers, **length}) as vanishing:
            await asyncio.to_thread(vanishing.sendall, bytes(LENGTH_BYTES // 4))
    async with asyncio.timeout(10):
        while content_files(tmp_path):
            await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        while True:
            async with session.post("/api/v1/b/home/e?ts=0", data=b"x") as response:
                if response.status == 200:
                    break
            await asyncio.sleep(0.05)
    assert content_files(tmp_path) == []
    assert peak_bytes(server) < PEAK_LIMIT_BYTES
    assert "Traceback" not in server.log
