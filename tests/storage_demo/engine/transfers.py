"""Short forms of what nearly every test does, and a look at the disk that does not ask the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from storage_demo.engine import Engine

NO_LABELS: Mapping[str, str] = {}

INLINE_BYTES = 64 * 1024
"""The longest content that is kept in the index."""


async def put(
    engine: Engine,
    content: bytes,
    *,
    at: int,
    bucket: str = "b",
    entry: str = "e",
    content_type: str = "application/octet-stream",
    labels: Mapping[str, str] = NO_LABELS,
) -> None:
    """Upload *content* in pieces of 100,000 bytes and commit."""
    async with await engine.write_record(bucket, entry, at, len(content), content_type, labels) as writer:
        for start in range(0, len(content), 100_000):
            await writer.write(content[start : start + 100_000])
        await writer.commit()


async def get(engine: Engine, *, at: int | None = None, bucket: str = "b", entry: str = "e") -> bytes:
    """Return the content of a record, of the latest one without *at*."""
    async with await engine.read_record(bucket, entry, at) as reader:
        return b"".join([chunk async for chunk in reader.chunks()])


def content_files(folder: Path) -> list[str]:
    """Return the names of all content files, temporary ones too."""
    return sorted(path.name for path in (folder / "contents").iterdir())


def payload(length_bytes: int, seed: int = 7) -> bytes:
    """Return bytes in which no two neighbouring blocks are equal, so that a misplaced one shows."""
    step = b"".join((seed * 1_000_003 + number).to_bytes(8, "big") for number in range(length_bytes // 8 + 1))
    return step[:length_bytes]
