"""The open uploads of this process, each of which holds its timestamp."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from storage_demo.engine.errors import RecordExistsError
from storage_demo.engine.record_changes import NewRecord, insert_record
from storage_demo.engine.writer import RecordWriter

if TYPE_CHECKING:
    import threading

    from storage_demo.engine.contents import ContentFolder
    from storage_demo.engine.database import Database
    from storage_demo.engine.records import Record
    from storage_demo.engine.workers import Workers


class Uploads:
    """Opens uploads and ends them; the target of every `RecordWriter`."""

    def __init__(self, database: Database, contents: ContentFolder, workers: Workers) -> None:
        self._database = database
        self._contents = contents
        self._workers = workers
        self._open: dict[tuple[int, str, int], RecordWriter] = {}

    def open(self, bucket_id: int, record: Record) -> RecordWriter:
        """Reserve the timestamp for a new upload. Raises `RecordExistsError`."""
        writer = RecordWriter(bucket_id, record, self._contents, self, self._workers)
        if self._open.setdefault((bucket_id, record.entry, record.timestamp_us), writer) is not writer:
            raise RecordExistsError(record.timestamp_us)
        return writer

    def insert(self, new: NewRecord, has_its_place: threading.Event) -> None:
        """Make the record durable. Raises what `insert_record` raises, and `StorageError`."""
        evicted_files = self._database.change(partial(insert_record, new=new), has_its_place)
        self._contents.remove(evicted_files)

    def release(self, bucket_id: int, record: Record) -> None:
        """Free the reservation of an upload that is over."""
        del self._open[bucket_id, record.entry, record.timestamp_us]

    def abort_all(self) -> None:
        """End every open upload without a trace; blocks."""
        for writer in tuple(self._open.values()):
            writer.abort()
