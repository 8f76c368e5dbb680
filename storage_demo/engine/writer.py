"""One upload, from the announced length to the durable record."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol, Self

from storage_demo.engine.contents import INLINE_LIMIT_BYTES
from storage_demo.engine.errors import LengthMismatchError, UploadOverError
from storage_demo.engine.faults import storage_faults
from storage_demo.engine.record_changes import NewRecord

if TYPE_CHECKING:
    from types import TracebackType

    from storage_demo.engine.contents import ContentDraft, ContentFolder
    from storage_demo.engine.records import Record
    from storage_demo.engine.workers import Workers

_BUFFER_BYTES = 512 * 1024


class UploadTarget(Protocol):
    """Where an upload ends. Both are called once at most, in a worker thread."""

    def insert(self, new: NewRecord, has_its_place: threading.Event) -> None:
        """Make the record durable, or raise and keep nothing of it.

        The event is set as soon as whatever is inserted from then on comes after this record.
        """

    def release(self, bucket_id: int, record: Record) -> None:
        """Take note that the upload is over, whatever became of it."""


class RecordWriter:
    """An open upload; get one from `Engine.write_record` and use it with ``async with``.

    ``record`` is what will be stored. Leaving the block without `commit` aborts: nothing is stored and the
    timestamp is free again. One task at a time may use it.
    """

    def __init__(
        self, bucket_id: int, record: Record, contents: ContentFolder, target: UploadTarget, workers: Workers
    ) -> None:
        self.record = record
        self._bucket_id = bucket_id
        self._contents = contents
        self._target = target
        self._workers = workers
        self._received_bytes = 0
        self._buffer = bytearray()
        # The steps below run in threads and outlive a cancelled caller, so they take turns.
        self._turn = threading.Lock()
        self._draft: ContentDraft | None = None
        self._is_broken = False
        self._is_over = False
        self._has_its_place = threading.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.discard()

    async def discard(self) -> None:
        """End the upload without a trace, unless it is over."""
        if not self._is_over:
            await self._workers.run(self.abort)

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes of the content.

        Raises `LengthMismatchError` as soon as they are more than announced, `UploadOverError` after the
        end, `StorageError`.
        """
        if self._is_over or self._is_broken:
            raise UploadOverError
        self._received_bytes += len(chunk)
        if self._received_bytes > self.record.length_bytes:
            self._is_broken = True
            raise LengthMismatchError(self.record.length_bytes, self._received_bytes)
        self._buffer += chunk
        if len(self._buffer) >= _BUFFER_BYTES:
            data, self._buffer = self._buffer, bytearray()
            # Until the thread reports back nobody knows whether the bytes are in the file.
            self._is_broken = True
            await self._workers.run(lambda: self._append(data))
            self._is_broken = False

    async def commit(self, after: RecordWriter | None = None) -> None:
        """Return when the record is durable.

        With *after*, whose commit was called before, records are stored as if they had been written one after the
        other, and still share one sync of the disk.
        A caller that is cancelled meanwhile leaves the outcome open: stored completely or not at all.
        Raises `LengthMismatchError` if bytes are missing, `NotFoundError` if the bucket was removed
        meanwhile, `AlreadyExistsError` and `QuotaError` if another upload was faster, `UploadOverError`
        after the end, `StorageError`. After an error nothing is stored and the timestamp is free.
        """
        await self._workers.run(lambda: self._finish(after))

    def abort(self) -> None:
        """End the upload without a trace, unless it is over. Blocks; any thread may call it."""
        with self._turn:
            if not self._is_over:
                self._end()

    def wait_for_its_place(self) -> None:
        """Return when the upload is over, or what is inserted from now on comes after it. Blocks."""
        # It was queued for the threads before whoever waits, so one of them is at it: this ends.
        self._has_its_place.wait()

    def _append(self, data: bytearray) -> None:
        with self._turn, storage_faults():
            if self._is_over:
                raise UploadOverError
            self._write_out(data)

    def _finish(self, after: RecordWriter | None) -> None:
        with self._turn:
            if self._is_over:
                raise UploadOverError
            try:
                if self._received_bytes != self.record.length_bytes:
                    raise LengthMismatchError(self.record.length_bytes, self._received_bytes)
                if self._is_broken:
                    raise UploadOverError
                with storage_faults():
                    new = self._complete()
                if after is not None:
                    after.wait_for_its_place()
                self._target.insert(new, self._has_its_place)
                self._draft = None
            finally:
                self._end()

    def _complete(self) -> NewRecord:
        """Return the record with its content inline, or in a durable file."""
        if self.record.length_bytes <= INLINE_LIMIT_BYTES:
            return NewRecord(self._bucket_id, self.record, file_name=None, content=bytes(self._buffer))
        draft = self._write_out(self._buffer)
        draft.publish()
        return NewRecord(self._bucket_id, self.record, file_name=draft.name, content=None)

    def _write_out(self, data: bytearray) -> ContentDraft:
        if self._draft is None:
            self._draft = self._contents.draft()
        self._draft.write(data)
        return self._draft

    def _end(self) -> None:
        self._is_over = True
        self._has_its_place.set()
        self._buffer = bytearray()
        if self._draft is not None:
            self._draft.discard()
        self._target.release(self._bucket_id, self.record)
