"""The generation: a counter in a memory-mapped file, which says in every process when a token changed.

The order that holds, under `auth.lock`: the counter is made odd (or found odd, if a writer died), the
transaction is committed, the counter is made even. A reader notes the counter before its lookup and
keeps what it found under that number: odd, it keeps nothing; moved, it asks again. So a writer that is killed
anywhere leaves either the old number with the old state, or an odd one that nobody trusts.

The even number is also kept in a row of the same transaction. So the file is never ahead of the row by more
than an odd number's one; if it is, an older copy of the registry was put back, with tokens in it that were
revoked since.
"""

from __future__ import annotations

import functools
import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path

from reductauth.errors import ConfigurationError
from reductauth.sqlite.files import replace_file

__all__ = ["Generation"]

_SIZE_BYTES = 8


class Generation:
    """The mapped counter. The file is never truncated: that would kill every process that maps it."""

    def __init__(self, path: Path, kept: int) -> None:
        """Map the counter, made with the `kept` number if the file is not there. The caller holds the lock."""
        if not os.path.lexists(path):
            replace_file(path, struct.pack("=Q", kept))
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self.inode = os.fstat(descriptor).st_ino
            if os.fstat(descriptor).st_size != _SIZE_BYTES:
                raise ConfigurationError(
                    [f"{path}: not a generation file; stop every server that uses the folder and remove it"]
                )
            self._map = mmap.mmap(descriptor, _SIZE_BYTES)
        finally:
            os.close(descriptor)
        # One aligned 8-byte load or store: other processes see the old number or the new one.
        self._cell = memoryview(self._map).cast("Q")
        self.read: Callable[[], int] = functools.partial(self._cell.__getitem__, 0)
        """Return the counter as it is now: on every request, so in C."""
        self._check_not_ahead(path, kept)

    def _check_not_ahead(self, path: Path, kept: int) -> None:
        value = self.read()
        if value > kept + value % 2:
            self.close()
            raise ConfigurationError(
                [
                    f"{path}: says change {value}, auth.db beside it is at change {kept}: an older copy of auth.db "
                    "was put back, and tokens that were revoked since would work again; restore the newest copy "
                    f"or, to accept this one, stop every server that uses the folder and remove {path}"
                ]
            )

    def begin(self) -> int:
        """Make the counter odd, and return the number it had."""
        before = self._cell[0]
        self._cell[0] = before | 1
        return before

    def publish(self, even: int) -> None:
        """Make the counter even: what was committed is the truth from now on."""
        self._cell[0] = even

    def close(self) -> None:
        """Let go of the file."""
        self._cell.release()
        self._map.close()
