"""The files that an open registry writes to, and whether the next start will find them.

They are looked at with `lstat` only (see `reductauth.sqlite.files`), ten times for each commit: by text, because a
`Path` costs more than the call.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["LiveFiles"]


class LiveFiles:
    """What was at each path when it was looked at last: its inode, None for nothing, and its size in bytes."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._seen = [(path, *_look(path)) for path in map(os.fspath, paths)]

    def lost(self) -> str | None:
        """Name the first file that was removed, replaced or cut short since; None of them gets shorter by itself."""
        for place, (path, inode, size) in enumerate(self._seen):
            found, found_size = _look(path)
            if found != inode or found_size < size:
                return path
            if found_size != size:
                self._seen[place] = (path, inode, found_size)
        return None


def _look(path: str) -> tuple[int | None, int]:
    try:
        status = os.lstat(path)
    except OSError:
        return None, 0
    return status.st_ino, status.st_size
