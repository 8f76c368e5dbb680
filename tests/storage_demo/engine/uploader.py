"""A process that uploads until it is killed: ``python -m tests.storage_demo.engine.uploader FOLDER START``.

First an upload to the entry ``stuck`` begins and stays half done. Each acknowledged record is a line
``{bucket} {entry} {timestamp}`` on standard output, written after its commit. Records of ``small`` are kept
in the index, records of ``large`` in files; the bucket ``fifo`` keeps evicting.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from storage_demo.engine import Engine
from tests.storage_demo.engine.transfers import payload, put

LENGTHS = {"small": 500, "large": 150_000}


def content_of(entry: str, at: int) -> bytes:
    """Return what the uploader stores in this place."""
    return payload(LENGTHS[entry] + at % 100, seed=at)


async def upload_for_ever(folder: Path, start: int) -> None:
    """Upload with several tasks at once, timestamps from *start* on."""
    engine = await Engine.open(folder)
    timestamps = itertools.count(start)
    stuck = await engine.write_record("keep", "stuck", start, 1_000_000)
    await stuck.write(bytes(900_000))

    async def upload(bucket: str, entry: str) -> None:
        for at in timestamps:
            await put(engine, content_of(entry, at), at=at, bucket=bucket, entry=entry)
            print(bucket, entry, at, flush=True)  # noqa: T201 - the protocol of this process

    places = itertools.product(("keep", "fifo"), LENGTHS)
    await asyncio.gather(*(upload(bucket, entry) for bucket, entry in (*places, ("keep", "large"))))


if __name__ == "__main__":
    asyncio.run(upload_for_ever(Path(sys.argv[1]), int(sys.argv[2])))
