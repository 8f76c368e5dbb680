"""The lock that tells whether other processes use the folder."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class FolderLock:
    """A lock on one file, held from `acquire` to `release`.

    Every engine holds it shared while it runs. Who gets it exclusively is alone, and nobody else can
    start before `share` is called: the moment to tidy up. The system frees it when the process dies.
    """

    def __init__(self, descriptor: int, *, is_alone: bool) -> None:
        self._descriptor = descriptor
        self.is_alone = is_alone

    @classmethod
    def acquire(cls, path: Path) -> FolderLock:
        """Take the lock, exclusively if nobody holds it, else shared; waits only for a starting engine."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                return cls(descriptor, is_alone=False)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, is_alone=True)

    def share(self) -> None:
        """Let others in; from here on the engine may run."""
        # The change is not atomic: another starter may slip in exclusively for its own tidying. We wait
        # for it here, before anything of ours is in the folder.
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        self.is_alone = False

    def release(self) -> None:
        """Give the lock up."""
        os.close(self._descriptor)
