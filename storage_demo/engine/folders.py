"""Folders that only their owner may enter, and whose names survive a power loss."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_private_folder(path: Path) -> None:
    """Create the folder with mode 0700, and what is missing above it; an existing one is left as it is."""
    _make_folder(path, 0o700)


def _make_folder(path: Path, mode: int = 0o777) -> None:
    if path.is_dir():
        return
    _make_folder(path.parent)
    path.mkdir(mode=mode, exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Return when the names in the folder (files made, renamed, unlinked) are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
