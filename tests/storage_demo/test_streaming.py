"""Large records pass through the server, not into it: its peak memory stays small, whatever its clients do."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

from tests.forked import forked
from tests.servers import ROOT_VALUE, ServerProcess

RECORD_BYTES = 256 * 1024 * 1024
PEAK_LIMIT_BYTES = 150 * 1024 * 1024
PIECE = bytes(range(256)) * 4096
ROOT = {"Authorization": f"Bearer {ROOT_VALUE}"}


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


def peak_bytes(server: ServerProcess) -> int:
    """The most memory that the process ever had resident (VmHWM)."""
    status = Path(f"/proc/{server.pid}/status").read_text("ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


async def pieces(total_bytes: int) -> AsyncIterator[bytes]:
    for _ in range(total_bytes // len(PIECE)):
        yield PIECE


async def upload(session: ClientSession, entry: str, announced_bytes: int, sent_bytes: int) -> int:
    headers = {"x-reduct-content-length": str(announced_bytes)}
    async with session.post(
        f"/api/v1/b/home/{entry}?ts=1", data=pieces(sent_bytes), headers=headers
    ) as response:
        return response.status


def content_files(folder: Path) -> list[Path]:
    return list((folder / "data" / "storage" / "contents").iterdir())


async def write_and_read_small(session: ClientSession, count: int) -> float:
    """Write and read small records one after the other; return the seconds that the slowest took."""
    slowest = 0.0
    for number in range(count):
        started = time.monotonic()
        async with session.post(f"/api/v1/b/home/small?ts={number}", data=b"x" * 100) as written:
            assert written.status == 200
        async with session.get(f"/api/v1/b/home/small?ts={number}") as read:
            assert await read.read() == b"x" * 100
        slowest = max(slowest, time.monotonic() - started)
    return slowest


async def test_a_large_record_both_ways(server: ServerProcess, session: ClientSession) -> None:
    """256 MB in and out, whole and right, with others served meanwhile."""
    uploading = asyncio.create_task(upload(session, "large", RECORD_BYTES, RECORD_BYTES))
    slowest = await write_and_read_small(session, 20)
    assert await uploading == 200
    received = 0
    async with session.get("/api/v1/b/home/large?ts=1") as response:
        assert response.headers["content-length"] == str(RECORD_BYTES)
        async for piece in response.content.iter_chunked(len(PIECE)):
            offset = received % len(PIECE)
            assert piece == (PIECE + PIECE)[offset : offset + len(piece)]
            received += len(piece)
    assert received == RECORD_BYTES
    assert slowest < 5
    assert peak_bytes(server) < PEAK_LIMIT_BYTES


async def test_a_client_that_stops_reading(server: ServerProcess, session: ClientSession) -> None:
    """What it does not take is not held for it, and others go on; a removed bucket does not wait for it."""
    assert await upload(session, "large", RECORD_BYTES, RECORD_BYTES) == 200
    url = URL(server.url)
    with socket.create_connection((str(url.host), int(url.port or 0))) as lazy:
        request = f"GET /api/v1/b/home/large?ts=1 HTTP/1.1\r\nHost: a\r\nAuthorization: {ROOT['Authorization']}\r\n\r\n"
        lazy.sendall(request.encode())
        assert lazy.recv(1_000)
        assert await write_and_read_small(session, 20) < 5
        async with session.delete("/api/v1/b/home") as removed:
            assert removed.status == 200
    assert peak_bytes(server) < PEAK_LIMIT_BYTES


async def test_a_client_that_goes_away_in_the_middle(
    server: ServerProcess, session: ClientSession, tmp_path: Path
) -> None:
    """No half record, no file, no lock: the timestamp is free, and memory stays small over many of them."""
    for _ in range(5):
        # While the last one is not cleared up yet, this one is refused, and cut off when enough of it was drained.
        with suppress(TimeoutError, ClientError):
            async with asyncio.timeout(0.3):
                await upload(session, "large", 2 * RECORD_BYTES, RECORD_BYTES)
    async with asyncio.timeout(10):
        while content_files(tmp_path):
            await asyncio.sleep(0.05)
    async with session.get("/api/v1/b/home/large") as response:
        assert response.status == 404
    async with asyncio.timeout(10):
        while await upload(session, "large", len(PIECE), len(PIECE)) == 409:
            await asyncio.sleep(0.05)
    assert len(content_files(tmp_path)) == 1
    assert peak_bytes(server) < PEAK_LIMIT_BYTES
    assert "Traceback" not in server.log


async def test_a_reader_that_goes_away_in_the_middle(server: ServerProcess, session: ClientSession) -> None:
    """It leaves no open file behind."""
    assert await upload(session, "large", RECORD_BYTES, RECORD_BYTES) == 200
    for _ in range(5):
        response = await session.get("/api/v1/b/home/large?ts=1")
        assert await response.content.readany()
        response.close()
    descriptors = Path(f"/proc/{server.pid}/fd")
    async with asyncio.timeout(10):
        while any("contents" in str(link.readlink()) for link in descriptors.iterdir() if link.is_symlink()):
            await asyncio.sleep(0.05)
    assert peak_bytes(server) < PEAK_LIMIT_BYTES
    assert "Traceback" not in server.log
