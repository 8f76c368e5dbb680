"""What a killed process leaves behind, and what a running one may rely on. Real processes, real signals."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from storage_demo.engine import Engine, QuotaType, SettingsChange
from tests.storage_demo.engine.transfers import content_files, get
from tests.storage_demo.engine.uploader import content_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Uploader:
    """The child process, and the places it said it had stored."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.acknowledged: list[tuple[str, str, int]] = []

    async def acknowledge(self, count: int) -> None:
        """Wait for *count* more records."""
        for _ in range(count):
            self._note(await self._lines().readline())

    async def kill(self) -> None:
        """Kill the process the hard way; what it acknowledged before counts."""
        if self._process.returncode is None:
            self._process.kill()
        rest = await self._lines().read()
        await self._process.wait()
        for line in rest.splitlines(keepends=True):
            if line.endswith(b"\n"):
                self._note(line)

    def _lines(self) -> asyncio.StreamReader:
        assert self._process.stdout is not None
        return self._process.stdout

    def _note(self, line: bytes) -> None:
        bucket, entry, at = line.decode().split()
        self.acknowledged.append((bucket, entry, int(at)))


@asynccontextmanager
async def uploader(folder: Path, start: int) -> AsyncIterator[Uploader]:
    """Run the child on *folder*; it is dead at the end in any case."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.storage_demo.engine.uploader",
        str(folder),
        str(start),
        stdout=asyncio.subprocess.PIPE,
    )
    child = Uploader(process)
    try:
        yield child
    finally:
        await child.kill()


@pytest.fixture
async def prepared(folder: Path) -> Path:
    """Return a folder with the two buckets of the uploader."""
    engine = await Engine.open(folder)
    await engine.create_bucket("keep")
    await engine.create_bucket("fifo", SettingsChange(QuotaType.FIFO, quota_size=1_000_000))
    await engine.close()
    return folder


async def large_record_count(engine: Engine) -> int:
    """Return how many records the engine lists whose content must be in files."""
    details = [await engine.bucket(bucket) for bucket in ("keep", "fifo")]
    return sum(entry.record_count for detail in details for entry in detail.entries if entry.name == "large")


async def test_kill_in_the_middle_of_uploads(prepared: Path) -> None:
    """Whatever was acknowledged is there and right after a kill, and the restart leaves no orphan."""
    acknowledged: list[tuple[str, str, int]] = []
    for round_number in range(4):
        async with uploader(prepared, start=round_number * 1_000_000) as child:
            await child.acknowledge(25 + 7 * round_number)
            await child.kill()
        acknowledged += [place for place in child.acknowledged if place[0] == "keep"]
        # Else the kill found no upload open and showed nothing.
        assert any(name.endswith(".part") for name in content_files(prepared))

        engine = await Engine.open(prepared)
        for _, entry, at in acknowledged:
            assert await get(engine, bucket="keep", entry=entry, at=at) == content_of(entry, at)
        assert len(content_files(prepared)) == await large_record_count(engine)
        await engine.close()


async def test_a_running_process_keeps_its_files(prepared: Path) -> None:
    """An engine that starts beside a running process sweeps nothing; alone again, it does."""
    orphan = prepared / "contents" / "orphan"
    async with uploader(prepared, start=0) as child:
        await child.acknowledge(5)
        orphan.write_bytes(b"x")
        beside = await Engine.open(prepared)
        assert orphan.exists()
        # Were its temporary files swept, the child would fail instead of going on.
        await child.acknowledge(30)
    for bucket, entry, at in child.acknowledged:
        if bucket == "keep":
            assert await get(beside, bucket=bucket, entry=entry, at=at) == content_of(entry, at)
    await beside.close()

    alone = await Engine.open(prepared)
    assert not orphan.exists()
    assert len(content_files(prepared)) == await large_record_count(alone)
    await alone.close()
