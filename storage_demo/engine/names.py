"""Which names buckets and entries may have. Pure functions, no I/O.

Grammar::

    bucket  = 1*symbol
    entry   = path / path "/$meta" / "$meta"
    path    = segment *( "/" segment )
    segment = 1*symbol
    symbol  = A-Z / a-z / 0-9 / "_" / "-"            ; ASCII only

An entry whose last segment is ``$meta`` is a system entry: it belongs to its parent and is not listed.
"""

from __future__ import annotations

import re

from storage_demo.engine.errors import InvalidError

META_SEGMENT = "$meta"
MAX_ENTRY_LENGTH = 1_024
MAX_ENTRY_SEGMENTS = 64
"""Each segment makes an entry of its own, whose name has all before it."""

_BUCKET = re.compile(r"[A-Za-z0-9_-]+")
_ENTRY = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*(?:/\$meta)?|\$meta")


def is_bucket_name(name: str) -> bool:
    """Tell whether *name* may be given to a bucket."""
    return _BUCKET.fullmatch(name) is not None


def is_entry_name(name: str) -> bool:
    """Tell whether *name* may be given to an entry."""
    return _ENTRY.fullmatch(name) is not None


def check_bucket_name(name: str) -> None:
    """Raise `InvalidError` unless *name* may be given to a bucket."""
    if not is_bucket_name(name):
        # The misspelt word is what existing clients expect.
        raise InvalidError("Bucket or entry name can contain only letters, digests and [-,_] symbols")


def check_entry_name(name: str) -> None:
    """Raise `InvalidError` unless *name* may be given to an entry."""
    if "" in name.split("/"):
        raise InvalidError("Entry name must be non-empty and must not contain empty path segments")
    if not is_entry_name(name):
        raise InvalidError(
            "Entry name can contain only letters, digits and [-,_,/] symbols or end with '/$meta'"
        )
    check_entry_size(len(name), name.count("/") + 1)


def check_entry_size(length: int, segment_count: int) -> None:
    """Raise `InvalidError` for a name of more characters or segments than a new entry may have."""
    if length > MAX_ENTRY_LENGTH or segment_count > MAX_ENTRY_SEGMENTS:
        raise InvalidError(
            f"Entry name must not have more than {MAX_ENTRY_LENGTH} characters or {MAX_ENTRY_SEGMENTS} segments"
        )


def is_meta_entry(name: str) -> bool:
    """Tell whether the valid entry name *name* is one of a system entry."""
    return name == META_SEGMENT or name.endswith(f"/{META_SEGMENT}")


def entry_parents(name: str) -> tuple[str, ...]:
    """Return the entries above *name*, outermost first: ``a/b/c`` has ``a`` and ``a/b``."""
    segments = name.split("/")
    return tuple("/".join(segments[:depth]) for depth in range(1, len(segments)))
