"""Engine values -> JSON objects of the protocol."""

from __future__ import annotations

from typing import Any

from storage_demo.engine import BucketInfo, BucketSettings, EntryInfo

__all__ = ["bucket_view", "entry_view", "settings_view"]

_READY = "READY"  # deletion is synchronous, so nothing is ever seen DELETING


def settings_view(settings: BucketSettings) -> dict[str, Any]:
    """Settings of a bucket, all four."""
    return {
        "quota_type": settings.quota_type.value,
        "quota_size": settings.quota_size,
        "max_block_size": settings.max_block_size,
        "max_block_records": settings.max_block_records,
    }


def bucket_view(bucket: BucketInfo) -> dict[str, Any]:
    """A bucket in a list, and at the head of its own page."""
    return {
        "name": bucket.name,
        "entry_count": bucket.entry_count,
        "size": bucket.size_bytes,
        "oldest_record": bucket.oldest_record_us,
        "latest_record": bucket.latest_record_us,
        "is_provisioned": bucket.is_provisioned,
        "status": _READY,
    }


def entry_view(entry: EntryInfo) -> dict[str, Any]:
    """An entry of a bucket."""
    return {
        "name": entry.name,
        "size": entry.size_bytes,
        "record_count": entry.record_count,
        "block_count": entry.block_count,
        "oldest_record": entry.oldest_record_us,
        "latest_record": entry.latest_record_us,
        "status": _READY,
    }
