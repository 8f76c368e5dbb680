"""Batches of several entries: headers ``x-reduct-{entry index}-{time - start}`` with what changed since the last.

``x-reduct-entries`` lists the entries, ``x-reduct-start-ts`` is the smallest time, ``x-reduct-labels`` may list
names of labels. Records, and their contents in the body, are ordered by entry index, then by time.
"""

from __future__ import annotations

from storage_demo.encoding.v2.answers import BatchHeaders, error_header
from storage_demo.encoding.v2.requests import (
    Batch,
    RemovalBatch,
    RemovalItem,
    UpdateBatch,
    UpdateItem,
    WriteBatch,
    WriteItem,
    read_removal_batch,
    read_update_batch,
    read_write_batch,
)

__all__ = [
    "Batch",
    "BatchHeaders",
    "RemovalBatch",
    "RemovalItem",
    "UpdateBatch",
    "UpdateItem",
    "WriteBatch",
    "WriteItem",
    "error_header",
    "read_removal_batch",
    "read_update_batch",
    "read_write_batch",
]
