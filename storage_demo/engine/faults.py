"""What the operating system and SQLite report, put into the engine's own errors."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storage_demo.engine.errors import StorageBusyError, StorageError, StorageFullError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# The low byte of an extended result code is the primary one.
_PRIMARY_CODE_MASK = 0xFF
_BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


def storage_fault(error: OSError | sqlite3.Error) -> StorageError:
    """Return the error to raise in place of *error*; its text names the cause."""
    if isinstance(error, OSError):
        return (
            StorageFullError() if error.errno in _FULL_ERRNOS else StorageError(f"Storage failure: {error}")
        )
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE_MASK
    if code == sqlite3.SQLITE_FULL:
        return StorageFullError()
    if code in _BUSY_CODES:
        return StorageBusyError()
    return StorageError(f"Storage failure: {error}")


@contextmanager
def storage_faults() -> Iterator[None]:
    """Raise `StorageError` (or a leaf of it) in place of an `OSError` or an SQLite error of the body."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise storage_fault(error) from error
