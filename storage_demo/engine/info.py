"""What the engine tells about itself: values, computed when asked for.

Times are microseconds since the epoch and 0 when there is no record; sizes are bytes as counted by
`storage_demo.engine.records.stored_size_bytes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage_demo.engine.settings import BucketSettings


@dataclass(frozen=True, slots=True)
class UsageInfo:
    """The whole engine. Buckets without records do not count for the oldest time."""

    bucket_count: int
    size_bytes: int
    oldest_record_us: int
    latest_record_us: int


@dataclass(frozen=True, slots=True)
class BucketInfo:
    """One bucket. System entries count for its size only, not for entries and times.

    ``is_provisioned`` says that the deployment declares it: it is changed there, and only there.
    """

    name: str
    entry_count: int
    size_bytes: int
    oldest_record_us: int
    latest_record_us: int
    is_provisioned: bool = False


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """One entry; all zeros when it has no records."""

    name: str
    size_bytes: int
    record_count: int
    block_count: int
    oldest_record_us: int
    latest_record_us: int


@dataclass(frozen=True, slots=True)
class BucketDetail:
    """One bucket with its settings and its listed entries in byte order of their names."""

    info: BucketInfo
    settings: BucketSettings
    entries: tuple[EntryInfo, ...]
