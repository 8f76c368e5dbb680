"""How a record that was found in the index is opened for reading."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from storage_demo.engine import queries
from storage_demo.engine.errors import ContentDamagedError
from storage_demo.engine.faults import storage_faults
from storage_demo.engine.reader import RecordReader

if TYPE_CHECKING:
    from storage_demo.engine.contents import ContentFolder
    from storage_demo.engine.database import Database
    from storage_demo.engine.queries import StoredRecord
    from storage_demo.engine.workers import Workers


class RecordOpener:
    """Opens records. Its methods block and raise `StorageError`."""

    def __init__(self, database: Database, contents: ContentFolder, workers: Workers) -> None:
        self._database = database
        self._contents = contents
        self._workers = workers

    def open_at(self, bucket: str, entry: str, timestamp_us: int | None) -> RecordReader:
        """Find and open a record, the latest one without a time.

        Raises `BucketNotFoundError`, `EntryNotFoundError`, `RecordNotFoundError`, `ContentDamagedError`.
        """
        find = partial(queries.find_record, bucket=bucket, entry=entry, timestamp_us=timestamp_us)
        missing: str | None = None
        while True:
            stored = self._database.read(find)
            reader = self.open(stored)
            if reader is not None:
                return reader
            # A file goes after its row: if the row is still there at the second look, the file was lost.
            if stored.file_name == missing:
                raise damaged(stored)
            missing = stored.file_name

    def open(self, stored: StoredRecord) -> RecordReader | None:
        """Open what a look into the index found, None if its file is gone. Raises `ContentDamagedError`."""
        if stored.content is not None:
            return RecordReader(stored.record, stored.content, self._workers)
        if stored.file_name is None:
            raise damaged(stored)
        with storage_faults():
            file = self._contents.open(stored.file_name)
        if file is not None and file.length_bytes != stored.record.length_bytes:
            raise damaged(stored)
        return None if file is None else RecordReader(stored.record, file, self._workers)


def damaged(stored: StoredRecord) -> ContentDamagedError:
    """Say that the content of a record is lost."""
    record = stored.record
    return ContentDamagedError(record.bucket, record.entry, record.timestamp_us)
