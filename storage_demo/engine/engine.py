"""The engine: buckets, entries and time-stamped records in one folder of a local disk.

It knows nothing of HTTP or tokens. The folder is its own, mode 0700::

    engine.db      the index, with contents up to 64 KiB
    engine.lock    held shared by every process that uses the folder
    contents/      larger contents, one file each

What is acknowledged is durable: it survives a kill and a loss of power. Several engines, in one process
or many, may use the folder at once. No transaction is open while the engine waits for its caller.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Self, TypeVar

from storage_demo.engine import bucket_changes, entry_changes, queries, record_changes
from storage_demo.engine.attachments import check_attachment
from storage_demo.engine.contents import ContentFolder
from storage_demo.engine.database import Database, sweep_drafts
from storage_demo.engine.faults import storage_faults
from storage_demo.engine.folders import make_private_folder
from storage_demo.engine.lock import FolderLock
from storage_demo.engine.names import check_bucket_name, check_entry_name, is_meta_entry
from storage_demo.engine.opening import RecordOpener
from storage_demo.engine.quota import check_quota
from storage_demo.engine.records import DEFAULT_CONTENT_TYPE, Record, check_timestamp, sorted_labels
from storage_demo.engine.removal import Removal
from storage_demo.engine.running import RunningQueries
from storage_demo.engine.settings import NO_CHANGE, BucketSettings, SettingsChange
from storage_demo.engine.uploads import Uploads
from storage_demo.engine.workers import Workers

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from storage_demo.engine.errors import EngineError
    from storage_demo.engine.info import BucketDetail, BucketInfo, UsageInfo
    from storage_demo.engine.reader import RecordReader
    from storage_demo.engine.record_changes import LabelChange
    from storage_demo.engine.selection import Selection
    from storage_demo.engine.writer import RecordWriter

# Few: a reading thread owns a connection, and an index lookup is short.
_LOOKUP_THREADS = 4
# More: these wait for disk syncs, and commits that wait together share one.
_FILE_THREADS = 16

_NO_LABELS: Mapping[str, str] = MappingProxyType({})

Result = TypeVar("Result")


class Engine:
    """All the buckets of one folder. Make one with `open`, end it with `close`.

    Every method may raise `StorageError`. A change has happened completely when its method returns, and
    not at all when it raises; only a cancelled caller cannot know.
    """

    def __init__(self, lock: FolderLock, database: Database, contents: ContentFolder) -> None:
        """Use `open` instead."""
        self._lock = lock
        self._database = database
        self._contents = contents
        self._lookups = Workers("engine-lookup", _LOOKUP_THREADS)
        self._files = Workers("engine-file", _FILE_THREADS)
        self._uploads = Uploads(database, contents, self._files)
        self._opener = RecordOpener(database, contents, self._files)
        self.queries = RunningQueries(database, self._opener, self._lookups)
        """The queries that are being read. They end with the process."""
        self._is_closed = False

    @classmethod
    async def open(cls, folder: Path) -> Self:
        """Open the engine on *folder*, which is created or migrated as needed.

        What a killed process left behind is swept, unless another process uses the folder right now.
        Raises `SchemaTooNewError`.
        """
        return await asyncio.to_thread(cls._open, folder)

    @classmethod
    def _open(cls, folder: Path) -> Self:
        with storage_faults(), ExitStack() as undo:
            make_private_folder(folder)
            contents = ContentFolder(folder / "contents")
            lock = FolderLock.acquire(folder / "engine.lock")
            undo.callback(lock.release)
            if lock.is_alone:
                sweep_drafts(folder / "engine.db")
            database = Database(folder / "engine.db")
            undo.callback(database.close)
            if lock.is_alone:
                contents.sweep(lambda name: database.read(partial(queries.has_file, file_name=name)))
                lock.share()
            undo.pop_all()
        return cls(lock, database, contents)

    async def close(self) -> None:
        """Abort the open uploads, finish what was begun and leave the folder; again, do nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._uploads.abort_all()
        self._lookups.close()
        self._files.close()
        self._database.close()
        self._lock.release()

    async def usage(self) -> UsageInfo:
        """Return the sums over all buckets."""
        return await self._look(queries.measure_usage)

    async def list_buckets(self) -> list[BucketInfo]:
        """Return all buckets sorted by name."""
        return await self._look(queries.list_buckets)

    async def bucket_names(self) -> frozenset[str]:
        """Return the names of all buckets."""
        return await self._look(queries.bucket_names)

    async def bucket(self, name: str) -> BucketDetail:
        """Return the bucket with its settings and entries. Raises `BucketNotFoundError`."""
        return await self._look(partial(queries.describe_bucket, name=name))

    async def require_bucket(self, name: str) -> None:
        """Raise `BucketNotFoundError` unless the bucket exists."""
        await self._look(partial(queries.find_bucket, name=name))

    async def check_renamable(self, name: str) -> None:
        """Raise `BucketNotFoundError`, or `ProvisionedBucketError` for a bucket that the deployment declares."""
        await self._look(partial(queries.find_changeable_bucket, name=name, verb=bucket_changes.RENAME))

    async def check_removable(self, name: str) -> None:
        """Raise `BucketNotFoundError`, or `ProvisionedBucketError` for a bucket that the deployment declares."""
        await self._look(partial(queries.find_changeable_bucket, name=name, verb=bucket_changes.REMOVE))

    async def provision_buckets(self, declared: Mapping[str, BucketSettings]) -> list[str]:
        """Make or change the declared buckets so that they are as declared, and provisioned; and no others.

        A bucket that is declared no longer keeps its records and settings. Returns a line for the log for each
        bucket that differed. Raises `InvalidError`; then nothing was changed.
        """
        for name in declared:
            check_bucket_name(name)
        return await self._change(partial(bucket_changes.provision_buckets, declared=declared))

    async def create_bucket(self, name: str, change: SettingsChange = NO_CHANGE) -> None:
        """Create an empty bucket with the default settings and *change* on top.

        Raises `InvalidError`, `BucketExistsError`.
        """
        check_bucket_name(name)
        settings = change.merge(BucketSettings())
        await self._change(partial(bucket_changes.create_bucket, name=name, settings=settings))

    async def change_settings(self, name: str, change: SettingsChange) -> None:
        """Merge *change* into the settings of the bucket; a smaller quota acts at the next upload.

        Raises `BucketNotFoundError`, `ProvisionedBucketError`, `InvalidError`.
        """
        await self._change(partial(bucket_changes.change_settings, name=name, change=change))

    async def rename_bucket(self, old: str, new: str) -> None:
        """Give the bucket another name; open uploads to it land under the new one.

        Raises `InvalidError`, `BucketNotFoundError`, `ProvisionedBucketError`, and `BucketExistsError` also if
        both names are equal.
        """
        check_bucket_name(new)
        await self._change(partial(bucket_changes.rename_bucket, old=old, new=new))

    async def remove_bucket(self, name: str) -> None:
        """Remove the bucket and all its records; open uploads to it will fail.

        Raises `BucketNotFoundError`, `ProvisionedBucketError`.
        """
        await self._unlink_after(partial(bucket_changes.remove_bucket, name=name))

    async def require_entry(self, bucket: str, entry: str) -> None:
        """Raise `BucketNotFoundError` or `EntryNotFoundError` unless the entry exists."""

        def look(connection: sqlite3.Connection) -> None:
            queries.find_entry(connection, queries.find_bucket(connection, bucket).id, bucket, entry)

        await self._look(look)

    async def remove_entry(self, bucket: str, entry: str) -> None:
        """Remove the entry and all below it; open uploads to it will bring it back when they are complete.

        Raises `InvalidError` for a system entry, `BucketNotFoundError`, `EntryNotFoundError`.
        """
        await self._unlink_after(partial(entry_changes.remove_entry, bucket=bucket, name=entry))

    async def rename_entry(self, bucket: str, old: str, new: str) -> None:
        """Move the entry and all below it; open uploads to it land under the old name.

        Raises `InvalidError`, `BucketNotFoundError`, `EntryNotFoundError`, and `EntryExistsError` also for the
        name that it has and for one below itself.
        """
        await self._change(partial(entry_changes.rename_entry, bucket=bucket, old=old, new=new))

    async def write_record(
        self,
        bucket: str,
        entry: str,
        timestamp_us: int,
        length_bytes: int,
        content_type: str = DEFAULT_CONTENT_TYPE,
        labels: Mapping[str, str] = _NO_LABELS,
    ) -> RecordWriter:
        """Begin the upload of a record of exactly *length_bytes* and reserve its timestamp.

        All that can be refused before the content is known is refused here. Entries come into being with
        their first record, together with their parents.
        A record of a system entry takes the place of those with the same key (see `attachments`).
        Raises `InvalidError`, `BucketNotFoundError`, `RecordExistsError`, `QuotaError`.
        """
        check_entry_name(entry)
        check_attachment(entry, labels)
        record = Record(bucket, entry, timestamp_us, length_bytes, content_type, sorted_labels(labels))
        bucket_id = await self._look(partial(_admit, record=record))
        # No await from here on: a reservation that its owner never sees would never be released.
        return self._uploads.open(bucket_id, record)

    async def read_record(self, bucket: str, entry: str, timestamp_us: int | None = None) -> RecordReader:
        """Open the record at *timestamp_us*, or the latest one of the entry.

        Raises `InvalidError`, `BucketNotFoundError`, `EntryNotFoundError`, `RecordNotFoundError`, and
        `ContentDamagedError` if the content got lost.
        """
        if timestamp_us is not None:
            check_timestamp(timestamp_us)
        return await self._lookups.run(partial(self._opener.open_at, bucket, entry, timestamp_us))

    async def update_labels(self, bucket: str, changes: Sequence[LabelChange]) -> list[EngineError | None]:
        """Change labels of stored records, each record by itself.

        Returns for each of *changes* None, or why nothing was done to that record: `EntryNotFoundError`,
        `RecordNotFoundError`, `InvalidError`. Raises `BucketNotFoundError`.
        """
        return await self._change(partial(record_changes.update_labels, bucket=bucket, changes=changes))

    async def remove_records(
        self, bucket: str, places: Sequence[tuple[str, int]]
    ) -> list[EngineError | None]:
        """Remove the records at these entries and times, each by itself.

        Returns for each of *places* None, or why nothing was done: `EntryNotFoundError`, `RecordNotFoundError`,
        and `InvalidError` for a system entry. Raises `BucketNotFoundError`.
        """

        def remove() -> list[EngineError | None]:
            removed = self._database.change(
                partial(record_changes.remove_records, bucket=bucket, places=places)
            )
            self._contents.remove(removed.files)
            return removed.refusals

        return await self._files.run(remove)

    async def remove_found(self, bucket: str, selection: Selection) -> int:
        """Remove the records that *selection* finds, those of system entries left out; return how many.

        Raises `InvalidError`, also for a selection of everything; `BucketNotFoundError`, and for a strict
        condition `ConditionError` and `ReferenceNotFoundError`: then what came before is removed.
        """
        removal = Removal(self._database, self._contents, bucket, selection)
        count = 0
        while not removal.is_over:
            count += await self._files.run(removal.step)
        return count

    async def _look(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        return await self._lookups.run(partial(self._database.read, work))

    async def _change(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        return await self._files.run(partial(self._database.change, work))

    async def _unlink_after(self, work: Callable[[sqlite3.Connection], list[str]]) -> None:
        """Make a change, and unlink the content files that it returns once it is committed."""
        await self._files.run(lambda: self._contents.remove(self._database.change(work)))


def _admit(connection: sqlite3.Connection, record: Record) -> int:
    """Return the id of the bucket that may take *record*, or raise what refuses it."""
    bucket = queries.find_bucket(connection, record.bucket)
    record_changes.check_free(connection, bucket.id, record)
    if not is_meta_entry(record.entry):  # it may take the place of another one, whose size is known only then
        check_quota(bucket, record.length_bytes)
    return bucket.id
