"""What the writer knows of the registry and need not read again.

It holds as long as no other connection writes. One that does moves `PRAGMA data_version`, whatever it writes: rows,
tables, or a trigger.
"""

from __future__ import annotations

import sqlite3

from reductauth.sqlite.holders import Holders
from reductauth.sqlite.trail import UNREAD, Trail, TrailKey

__all__ = ["Known"]


class Known:
    """The tokens that ask for changes and the end of the audit, as they are now in the writer's transaction."""

    def __init__(self, connection: sqlite3.Connection, key: TrailKey) -> None:
        self._connection = connection
        self._data_version = -1
        self.holders = Holders()
        self.trail = Trail(connection, key)

    def is_outdated(self) -> bool:
        """Whether another connection wrote since `update`. Asked within a transaction, which keeps it from writing."""
        return self._read_version() != self._data_version

    def update(self) -> None:
        """Forget what was known before; what is found from now on holds."""
        self.forget()
        self._data_version = self._read_version()

    def forget(self) -> None:
        """Know nothing any more: what was written, too, may have been taken back."""
        self._data_version = -1
        self.holders.forget()
        self.trail.end = UNREAD

    def _read_version(self) -> int:
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)
