"""Everything the engine refuses or fails at, as one tree.

    EngineError
    ├── InvalidError                 a name, number or text that can never be accepted
    ├── NotFoundError
    │   ├── BucketNotFoundError
    │   ├── EntryNotFoundError
    │   ├── RecordNotFoundError
    │   ├── RecordNotSelectedError   there may be such a record, but the query does not find it
    │   ├── QueryNotFoundError       never begun, not of this caller, or not read for longer than its ttl
    │   └── ReferenceNotFoundError   a strict condition names a label that the record does not have
    ├── AlreadyExistsError
    │   ├── BucketExistsError
    │   ├── EntryExistsError
    │   └── RecordExistsError        stored, or being uploaded right now
    ├── ProvisionedBucketError       the deployment declares the bucket, and changes it there
    ├── QuotaError
    │   ├── HardQuotaError           the bucket is full and may not grow
    │   └── FifoQuotaError           nothing left to evict would make the record fit
    ├── LengthMismatchError          more or fewer bytes than announced
    ├── UploadOverError              the upload was committed, aborted or broken before
    └── StorageError                 the disk or the database let us down
        ├── StorageFullError
        ├── StorageBusyError         another process held the database for too long
        ├── ContentDamagedError      a content file is missing or has another size
        └── SchemaTooNewError        the folder was written by a newer version

``str(error)`` is a sentence for a person; the evidence is in attributes. The roots of each
branch are meant for ``except``; the engine itself raises the leaves, and `InvalidError`.
"""

from __future__ import annotations


class EngineError(Exception):
    """Root of all errors of the engine; never raised itself."""


class InvalidError(EngineError):
    """The caller's input can never be accepted, whatever is stored."""


class ConditionError(InvalidError):
    """A condition cannot be evaluated for a record: a cast or a comparison that its labels do not allow."""


class NotFoundError(EngineError):
    """What was asked for does not exist."""


class BucketNotFoundError(NotFoundError):
    """No bucket has this name."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"Bucket '{bucket}' is not found")
        self.bucket = bucket


class EntryNotFoundError(NotFoundError):
    """The bucket has no entry with this name."""

    def __init__(self, bucket: str, entry: str) -> None:
        super().__init__(f"Entry '{entry}' not found in bucket '{bucket}'")
        self.bucket = bucket
        self.entry = entry


class RecordNotFoundError(NotFoundError):
    """The entry has no record at this time; ``timestamp_us`` None means that it has no record at all."""

    def __init__(self, bucket: str, entry: str, timestamp_us: int | None) -> None:
        if timestamp_us is None:
            message = f"No records in entry {bucket}/{entry}"
        else:
            message = f"Record {timestamp_us} not found in entry {bucket}/{entry}"
        super().__init__(message)
        self.bucket = bucket
        self.entry = entry
        self.timestamp_us = timestamp_us


class RecordNotSelectedError(NotFoundError):
    """What a query finds does not have this record."""

    def __init__(self, entry: str, timestamp_us: int) -> None:
        super().__init__(f"Record {entry}/{timestamp_us} not found in query result")
        self.entry = entry
        self.timestamp_us = timestamp_us


class QueryNotFoundError(NotFoundError):
    """No query with this id is running for who asks, in the bucket and entry that it was begun in."""

    def __init__(self, query_id: int) -> None:
        super().__init__(
            f"Query {query_id} not found and it might have expired. Check TTL in your query request."
        )
        self.query_id = query_id


class ReferenceNotFoundError(NotFoundError):
    """A condition refers to a label that the record does not have."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Reference '{name}' not found")
        self.name = name


class AlreadyExistsError(EngineError):
    """The place is taken."""


class BucketExistsError(AlreadyExistsError):
    """A bucket has this name already."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"Bucket '{bucket}' already exists")
        self.bucket = bucket


class EntryExistsError(AlreadyExistsError):
    """The bucket has an entry with this name already, or the entry would lie below itself."""

    def __init__(self, bucket: str, entry: str) -> None:
        super().__init__(f"Entry '{entry}' already exists in bucket '{bucket}'")
        self.bucket = bucket
        self.entry = entry


class RecordExistsError(AlreadyExistsError):
    """The entry has a record at this time, or an upload of one is open."""

    def __init__(self, timestamp_us: int) -> None:
        super().__init__(f"A record with timestamp {timestamp_us} already exists")
        self.timestamp_us = timestamp_us


class ProvisionedBucketError(EngineError):
    """A bucket that the deployment declares is changed where it is declared."""

    def __init__(self, verb: str, bucket: str) -> None:
        super().__init__(f"Can't {verb} provisioned bucket '{bucket}'")
        self.bucket = bucket


class QuotaError(EngineError):
    """The record does not fit into the bucket."""

    def __init__(self, message: str, bucket: str) -> None:
        super().__init__(message)
        self.bucket = bucket


class HardQuotaError(QuotaError):
    """A bucket with a HARD quota would exceed it."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"Quota of '{bucket}' exceeded", bucket)


class FifoQuotaError(QuotaError):
    """A bucket with a FIFO quota would exceed it even after evicting everything that may go."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"Failed to keep quota of '{bucket}'", bucket)


class LengthMismatchError(EngineError):
    """The content is shorter or longer than announced, both in bytes."""

    def __init__(self, announced_bytes: int, received_bytes: int) -> None:
        if received_bytes < announced_bytes:
            message = "Content is shorter than expected: no more data to read"
        else:
            message = "Content is longer than expected: more data than announced"
        super().__init__(message)
        self.announced_bytes = announced_bytes
        self.received_bytes = received_bytes


class UploadOverError(EngineError):
    """The upload ended before: committed, aborted, broken by a failed write, or cut by closing the engine."""

    def __init__(self) -> None:
        super().__init__("The upload is over: it was committed, aborted or interrupted before")


class StorageError(EngineError):
    """The disk or the database failed; nothing of the change was kept."""


class StorageFullError(StorageError):
    """There is no space left for the change."""

    def __init__(self) -> None:
        super().__init__("Not enough space left on the disk of the storage")


class StorageBusyError(StorageError):
    """Another process kept the database locked longer than we are ready to wait."""

    def __init__(self) -> None:
        super().__init__("The storage is busy, please try again later")


class ContentDamagedError(StorageError):
    """The index knows the record, but its content file is missing or has another size."""

    def __init__(self, bucket: str, entry: str, timestamp_us: int) -> None:
        super().__init__(f"Content of record {timestamp_us} in entry {bucket}/{entry} is damaged")
        self.bucket = bucket
        self.entry = entry
        self.timestamp_us = timestamp_us


class SchemaTooNewError(StorageError):
    """The folder was written by a version of the engine that this one cannot read."""

    def __init__(self, found: int, supported: int) -> None:
        super().__init__(
            f"The storage folder has schema version {found}, this program supports up to {supported}: "
            "start it with the newer program that wrote it, or name another folder"
        )
        self.found = found
        self.supported = supported
