"""What a token may do: full access, or two sets of bucket patterns.

Rules of this file: default deny, by falling through; nothing here knows what a token is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import Self

from reductauth.errors import InvalidInputError

__all__ = [
    "MAX_PATTERNS",
    "NAMES",
    "NO_PERMISSIONS",
    "Action",
    "BucketPattern",
    "Permissions",
    "Role",
    "bucket_name",
]

MAX_PATTERNS = 1_000
"""Bucket patterns that one token may hold, read and write together."""

_PATTERN = re.compile(r"\*|[A-Za-z0-9_-]+\*?|\$[A-Za-z0-9_-]+", re.ASCII)


class Action(StrEnum):
    """What is done to a bucket's contents. Neither implies the other."""

    READ = "read"
    WRITE = "write"


_READ, _WRITE = Action.READ, Action.WRITE  # looking a member up on its enumeration is slow


class Role(StrEnum):
    """A preset of permissions, named at creation."""

    ADMIN = "admin"
    RECORDER = "recorder"
    VIEWER = "viewer"


class BucketPattern(str):
    """A bucket's name, a prefix followed by one `*`, `*` alone, or `$` and a name.

    Raises `InvalidInputError` for anything else.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check the text."""
        if _PATTERN.fullmatch(text) is None:
            raise InvalidInputError(f"Permission can contain only bucket names or wildcard '*', got '{text}'")
        return super().__new__(cls, text)

    @property
    def prefix(self) -> str | None:
        """What a bucket's name must begin with, or None where the name must be equal."""
        return self[:-1] if self.endswith("*") else None

    def matches(self, bucket: str) -> bool:
        """Whether this pattern opens `bucket`. A wildcard never opens a bucket whose name begins with `$`."""
        if self.prefix is None:
            return self == bucket
        return not bucket.startswith("$") and bucket.startswith(self.prefix)


def _kept_pattern(text: str) -> BucketPattern:
    return str.__new__(BucketPattern, text)


def bucket_name(text: str) -> BucketPattern:
    """Return the exact entry for one bucket. Raises `InvalidInputError` for a wildcard and for no pattern at all."""
    pattern = BucketPattern(text)
    if pattern.prefix is not None:
        raise InvalidInputError(f"'{text}' is a pattern, not the name of a bucket")
    return pattern


_Grants = tuple[frozenset[str], tuple[str, ...]]
"""The patterns of one action, split for the hot path: exact names, and prefixes."""

_NOTHING: _Grants = (frozenset(), ())


def _split(patterns: tuple[BucketPattern, ...]) -> _Grants:
    if not patterns:
        return _NOTHING
    prefixes = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
    if not prefixes:
        return frozenset(patterns), ()
    return frozenset(pattern for pattern in patterns if not pattern.endswith("*")), prefixes


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a token may do, as it was granted: patterns keep their order, a repeated one counts once."""

    full_access: bool = False
    read: tuple[BucketPattern, ...] = ()
    write: tuple[BucketPattern, ...] = ()
    read_names: frozenset[str] = field(init=False, repr=False, compare=False)
    """The buckets that may be read by their exact name."""
    write_names: frozenset[str] = field(init=False, repr=False, compare=False)
    """The buckets that may be written by their exact name."""
    _read_prefixes: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _write_prefixes: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for action, patterns in (("read", self.read), ("write", self.write)):
            names, prefixes = _split(patterns)
            object.__setattr__(self, f"{action}_names", names)
            object.__setattr__(self, f"_{action}_prefixes", prefixes)

    @classmethod
    def of(
        cls, *, full_access: bool = False, read: Iterable[str] = (), write: Iterable[str] = ()
    ) -> Permissions:
        """Check and build. Raises `InvalidInputError` for a bad pattern or more than `MAX_PATTERNS`."""
        checked_read, checked_write = (
            tuple(dict.fromkeys(BucketPattern(text) for text in patterns)) for patterns in (read, write)
        )
        if len(checked_read) + len(checked_write) > MAX_PATTERNS:
            raise InvalidInputError(
                f"Permissions can contain at most {MAX_PATTERNS} bucket names, "
                f"got {len(checked_read) + len(checked_write)}"
            )
        return cls(full_access, checked_read, checked_write)

    @classmethod
    def kept(cls, *, full_access: bool, read: Iterable[str], write: Iterable[str]) -> Permissions:
        """Build from what `of` has checked before it was stored: on every lookup, so without another check."""
        return cls(full_access, tuple(map(_kept_pattern, read)), tuple(map(_kept_pattern, write)))

    @classmethod
    def preset(cls, role: Role) -> Permissions:
        """The permissions that a role stands for."""
        return _PRESETS[role]

    def allows(self, action: Action, bucket: str) -> bool:
        """Whether `action` may be done to `bucket`."""
        if self.full_access:
            return True
        if action == _READ:
            names, prefixes = self.read_names, self._read_prefixes
        elif action == _WRITE:
            names, prefixes = self.write_names, self._write_prefixes
        else:
            return False
        return bucket in names or (bucket.startswith(prefixes) and not bucket.startswith("$"))

    def without_bucket(self, bucket: str) -> Permissions:
        """The same without the exact entries for `bucket`; wildcards are left alone."""
        return self._mapped({bucket: None})

    def with_bucket_renamed(self, old: str, new: str) -> Permissions:
        """The same with exact entries for `old` naming `new`; wildcards are left alone.

        Raises `InvalidInputError` if `new` cannot be an exact entry.
        """
        return self._mapped({old: bucket_name(new)})

    def names_bucket(self, bucket: str) -> bool:
        """Whether an exact entry names `bucket`."""
        return bucket in self.read_names or bucket in self.write_names

    def _mapped(self, mapping: dict[str, BucketPattern | None]) -> Permissions:
        def moved(patterns: tuple[BucketPattern, ...]) -> tuple[BucketPattern, ...]:
            targets = (
                mapping.get(pattern, pattern) if pattern.prefix is None else pattern for pattern in patterns
            )
            return tuple(dict.fromkeys(target for target in targets if target is not None))

        return Permissions(self.full_access, moved(self.read), moved(self.write))


NAMES: Mapping[Action, Callable[[Permissions], frozenset[str]]] = {
    Action.READ: attrgetter("read_names"),
    Action.WRITE: attrgetter("write_names"),
}
"""For each action, how to get the exact names of buckets that it is allowed on: most requests need no more."""

NO_PERMISSIONS = Permissions()
"""A token that may know who it is, and nothing else."""

_PRESETS = {
    Role.ADMIN: Permissions(full_access=True),
    Role.RECORDER: Permissions(write=(BucketPattern("*"),)),
    Role.VIEWER: Permissions(read=(BucketPattern("*"),)),
}
