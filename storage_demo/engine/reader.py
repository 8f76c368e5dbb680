"""One stored record that is being read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self

from storage_demo.engine.contents import ContentFile
from storage_demo.engine.errors import ContentDamagedError
from storage_demo.engine.faults import storage_faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from storage_demo.engine.records import Record
    from storage_demo.engine.workers import Workers


class RecordReader:
    """A record with its content; get one from `Engine.read_record` and use it with ``async with``.

    ``record`` describes it. The content stays readable when the record is removed meanwhile.
    """

    def __init__(self, record: Record, content: bytes | ContentFile, workers: Workers) -> None:
        self.record = record
        self._content = content
        self._workers = workers

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def chunks(self, start_bytes: int = 0, stop_bytes: int | None = None) -> AsyncIterator[bytes]:
        """Yield the content from *start_bytes* up to *stop_bytes*, in pieces of at most 256 KiB, none of them empty.

        Raises `StorageError`, and `ContentDamagedError` of its branch if bytes are missing.
        """
        content = self._content
        end_bytes = self.record.length_bytes
        if stop_bytes is not None:
            end_bytes = min(stop_bytes, end_bytes)
        if isinstance(content, bytes):
            if start_bytes < end_bytes:
                yield content[start_bytes:end_bytes]
            return
        offset_bytes = start_bytes
        while offset_bytes < end_bytes:
            with storage_faults():
                piece = await self._workers.run(partial(content.read, offset_bytes))
            if not piece:
                raise ContentDamagedError(self.record.bucket, self.record.entry, self.record.timestamp_us)
            piece = piece[: end_bytes - offset_bytes]
            offset_bytes += len(piece)
            yield piece

    def close(self) -> None:
        """Let the content go; a second call does nothing."""
        if isinstance(self._content, ContentFile):
            self._content.close()
