"""The storage engine: buckets, entries and time-stamped records on a local disk.

It can be used without the server::

    engine = await Engine.open(Path("data"))
    await engine.create_bucket("robots")
    async with await engine.write_record("robots", "arm/camera", 1_000_000, 5) as writer:
        await writer.write(b"hello")
        await writer.commit()
    async with await engine.read_record("robots", "arm/camera") as reader:
        content = b"".join([chunk async for chunk in reader.chunks()])
    await engine.close()

Files, lower ones import from higher ones only: ``errors``, ``faults``, ``integers``, ``names``,
``settings``, ``records``, ``info``, ``conditions``, ``patterns``, ``attachments``, ``selection`` are values and
rules; ``folders``, ``lock``, ``schema``, ``database``, ``contents``, ``workers`` are the disk and the threads;
``queries``, ``blocks``, ``erasure``, ``quota``, ``bucket_changes``, ``entry_changes``, ``scan``, ``record_changes``
are the work on the index; ``writer``, ``uploads``, ``reader``, ``opening`` are transfers; ``batch``, ``query``,
``running``, ``removal`` are queries; ``engine`` puts them together.
"""

from __future__ import annotations

from storage_demo.engine.attachments import check_removable_records
from storage_demo.engine.batch import BatchRule, OneRecord, RecordBatch
from storage_demo.engine.engine import Engine
from storage_demo.engine.errors import (
    AlreadyExistsError,
    BucketExistsError,
    BucketNotFoundError,
    ConditionError,
    ContentDamagedError,
    EngineError,
    EntryExistsError,
    EntryNotFoundError,
    FifoQuotaError,
    HardQuotaError,
    InvalidError,
    LengthMismatchError,
    NotFoundError,
    ProvisionedBucketError,
    QueryNotFoundError,
    QuotaError,
    RecordExistsError,
    RecordNotFoundError,
    ReferenceNotFoundError,
    SchemaTooNewError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    UploadOverError,
)
from storage_demo.engine.info import BucketDetail, BucketInfo, EntryInfo, UsageInfo
from storage_demo.engine.integers import MAX_INTEGER
from storage_demo.engine.names import check_bucket_name, check_entry_name, is_meta_entry
from storage_demo.engine.patterns import EntryPatterns
from storage_demo.engine.query import Query
from storage_demo.engine.reader import RecordReader
from storage_demo.engine.record_changes import LabelChange
from storage_demo.engine.records import DEFAULT_CONTENT_TYPE, MAX_LABELS, Record, check_label_count
from storage_demo.engine.selection import Selection
from storage_demo.engine.settings import BucketSettings, QuotaType, SettingsChange
from storage_demo.engine.writer import RecordWriter

__all__ = [
    "DEFAULT_CONTENT_TYPE",
    "MAX_INTEGER",
    "MAX_LABELS",
    "AlreadyExistsError",
    "BatchRule",
    "BucketDetail",
    "BucketExistsError",
    "BucketInfo",
    "BucketNotFoundError",
    "BucketSettings",
    "ConditionError",
    "ContentDamagedError",
    "Engine",
    "EngineError",
    "EntryExistsError",
    "EntryInfo",
    "EntryNotFoundError",
    "EntryPatterns",
    "FifoQuotaError",
    "HardQuotaError",
    "InvalidError",
    "LabelChange",
    "LengthMismatchError",
    "NotFoundError",
    "OneRecord",
    "ProvisionedBucketError",
    "Query",
    "QueryNotFoundError",
    "QuotaError",
    "QuotaType",
    "Record",
    "RecordBatch",
    "RecordExistsError",
    "RecordNotFoundError",
    "RecordReader",
    "RecordWriter",
    "ReferenceNotFoundError",
    "SchemaTooNewError",
    "Selection",
    "SettingsChange",
    "StorageBusyError",
    "StorageError",
    "StorageFullError",
    "UploadOverError",
    "UsageInfo",
    "check_bucket_name",
    "check_entry_name",
    "check_label_count",
    "check_removable_records",
    "is_meta_entry",
]
