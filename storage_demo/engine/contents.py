"""The folder of content files: one file per record that is too large for the index.

Order of a write, so that a kill at any point leaves at most a file that nobody refers to: temporary name,
sync of the file, rename, sync of the folder, and only then the row. Order of a removal: first the row,
then the file. What is left over either way is swept at the next start.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from typing import TYPE_CHECKING

from storage_demo.engine.folders import make_private_folder, sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

INLINE_LIMIT_BYTES = 64 * 1024

_CHUNK_BYTES = 256 * 1024
_DRAFT_SUFFIX = ".part"


class ContentFolder:
    """The content files of all buckets. Methods block and raise `OSError`."""

    def __init__(self, path: Path) -> None:
        make_private_folder(path)
        self._path = path

    def draft(self) -> ContentDraft:
        """Begin a new file under a temporary name."""
        return ContentDraft(self._path)

    def open(self, name: str) -> ContentFile | None:
        """Open the file for reading, or return None if there is none."""
        try:
            return ContentFile(os.open(self._path / name, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return None

    def remove(self, names: Iterable[str]) -> None:
        """Unlink files whose rows are gone."""
        for name in names:
            # The removal is committed already: a file that resists is an orphan for the next sweep.
            with contextlib.suppress(OSError):
                (self._path / name).unlink()

    def sweep(self, is_known: Callable[[str], bool]) -> None:
        """Unlink the files for which *is_known* is false, drafts among them. Nobody else may be writing."""
        with os.scandir(self._path) as found:
            for item in found:
                if not is_known(item.name):
                    (self._path / item.name).unlink()


class ContentDraft:
    """A content file that is being written; it ends with `publish` or `discard`."""

    def __init__(self, folder: Path) -> None:
        self.name = secrets.token_hex(16)
        self._folder = folder
        self._draft = folder / f"{self.name}{_DRAFT_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor: int | None = os.open(self._draft, flags, 0o600)

    def write(self, data: bytes | bytearray) -> None:
        """Append *data*."""
        if self._descriptor is None:
            raise ValueError("the draft is closed")
        with memoryview(data) as view:
            written = 0
            while written < len(view):
                written += os.write(self._descriptor, view[written:])

    def publish(self) -> None:
        """Make the content durable under its final name; the row may follow."""
        if self._descriptor is None:
            raise ValueError("the draft is closed")
        os.fsync(self._descriptor)
        self._close()
        self._draft.rename(self._folder / self.name)
        sync_folder(self._folder)

    def discard(self) -> None:
        """Remove the file under whichever name it has."""
        self._close()
        for path in (self._draft, self._folder / self.name):
            # A file that resists is an orphan for the next sweep; the first failure is the one to report.
            with contextlib.suppress(OSError):
                path.unlink()

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


class ContentFile:
    """An open content file; it outlives the removal of its name. It closes itself when forgotten."""

    def __init__(self, descriptor: int) -> None:
        # A cancelled caller may close while a thread still reads; the number could be another file then.
        self._turn = threading.Lock()
        self._descriptor: int | None = descriptor
        self.length_bytes = os.fstat(descriptor).st_size

    def read(self, offset_bytes: int) -> bytes:
        """Return up to 256 KiB from *offset_bytes* on, nothing at the end."""
        with self._turn:
            if self._descriptor is None:
                raise ValueError("the file is closed")
            return os.pread(self._descriptor, _CHUNK_BYTES, offset_bytes)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._turn:
            if self._descriptor is not None:
                descriptor, self._descriptor = self._descriptor, None
                os.close(descriptor)

    def __del__(self) -> None:
        self.close()
