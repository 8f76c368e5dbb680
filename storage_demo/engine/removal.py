"""Removing what a query finds, a slice at a time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from storage_demo.engine.attachments import check_removable_records
from storage_demo.engine.errors import ConditionError, EntryNotFoundError, ReferenceNotFoundError
from storage_demo.engine.names import is_meta_entry
from storage_demo.engine.queries import find_bucket
from storage_demo.engine.record_changes import remove_found
from storage_demo.engine.scan import begin_scan

if TYPE_CHECKING:
    import sqlite3

    from storage_demo.engine.contents import ContentFolder
    from storage_demo.engine.database import Database
    from storage_demo.engine.errors import EngineError
    from storage_demo.engine.scan import RecordKey, Scan
    from storage_demo.engine.selection import Selection


class Removal:
    """One removal by query. Its methods block.

    Each slice is one change of its own, so that other writers are not held up: a failure in between leaves what
    was removed so far removed.
    """

    def __init__(
        self, database: Database, contents: ContentFolder, bucket: str, selection: Selection
    ) -> None:
        """Raise `InvalidError` for a selection of everything, and for one of a system entry."""
        selection.check_removal()
        if selection.entry is not None:
            check_removable_records(selection.entry)
        self._database = database
        self._contents = contents
        self._bucket = bucket
        self._selection = replace(selection, is_continuous=False)
        self._scan: Scan | None = None
        self._failure: EngineError | None = None
        self.is_over = False

    def step(self) -> int:
        """Remove what the next slice finds, system entries left out; return how many records.

        An entry that does not exist has none. Raises `BucketNotFoundError`, `InvalidError`, and for a strict
        condition `ConditionError` and `ReferenceNotFoundError`.
        """
        if self._failure is not None:
            raise self._failure
        keys = self._database.read(self._find)
        if not keys:
            return 0
        count, files = self._database.change(partial(remove_found, keys=keys))
        self._contents.remove(files)
        return count

    def _find(self, connection: sqlite3.Connection) -> list[RecordKey]:
        if self._scan is None:
            bucket_id = find_bucket(connection, self._bucket).id
            try:
                self._scan = begin_scan(connection, bucket_id, self._bucket, self._selection)
            except EntryNotFoundError:
                self.is_over = True
                return []
        keys = []
        try:
            for key in self._scan.slice(connection):
                if not is_meta_entry(key.entry):
                    keys.append(key)  # noqa: PERF401 - what was found before a failure is kept
        except (ConditionError, ReferenceNotFoundError) as failure:
            self._failure = failure
        self.is_over = self._scan.is_at_end
        return keys
