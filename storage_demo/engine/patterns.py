"""Which entries of a bucket are meant. Pure functions, no I/O.

A pattern is the name of an entry, or holds wildcards::

    acc-*          trailing, without a slash: a plain prefix, so ``acc-a`` and ``acc-a/x``
    */temp         one ``*`` stays within its segment of the path
    **/temp        ``**`` stands for any number of segments
    /acc-*         a leading slash is ignored; with one, ``acc-a`` and not ``acc-a/x``
    !raw           with any of these: leaves out what it matches

Only exclusions mean all but those. System entries (``$meta``) are selected by their exact name only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from storage_demo.engine.errors import InvalidError
from storage_demo.engine.names import is_meta_entry

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PATTERNS = 1_000
"""In one selection."""

MAX_WILDCARD_CHARACTERS = 4_000
"""Of all patterns with wildcards in one selection, plain prefixes left out: each entry is compared with each."""

_EXCLUSION = "!"
_WILDCARD = "*"
_SEGMENTS = "**"
_SEPARATOR = "/"


@dataclass(frozen=True, slots=True)
class _Choice:
    """Entries by their names, by what their names begin with, and by what their paths are like."""

    names: frozenset[str]
    prefixes: tuple[str, ...]
    paths: tuple[list[str], ...]

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Self:
        given = list(patterns)
        wildcards = [pattern for pattern in given if _WILDCARD in pattern]
        return cls(
            frozenset(pattern.removeprefix(_SEPARATOR) for pattern in given if _WILDCARD not in pattern),
            tuple(pattern[:-1] for pattern in wildcards if _is_prefix(pattern)),
            tuple(
                pattern.removeprefix(_SEPARATOR).split(_SEPARATOR)
                for pattern in wildcards
                if not _is_prefix(pattern)
            ),
        )

    def __bool__(self) -> bool:
        return bool(self.names or self.prefixes or self.paths)

    def matches(self, entry: str) -> bool:
        return entry in self.names or self.has_wildcard_for(entry)

    def has_wildcard_for(self, entry: str) -> bool:
        if entry.startswith(self.prefixes):
            return True
        segments = entry.split(_SEPARATOR)
        return any(_path_matches(path, segments) for path in self.paths)


@dataclass(frozen=True, slots=True)
class EntryPatterns:
    """A choice of entries: those *included*, or all that are listed if none are, less those *excluded*."""

    included: _Choice = field(default_factory=lambda: _Choice.of(()))
    excluded: _Choice = field(default_factory=lambda: _Choice.of(()))

    @classmethod
    def parse(cls, patterns: Iterable[str]) -> Self:
        """Read patterns; none are all. Raises `InvalidError` for more than the limits above allow."""
        given = list(patterns)
        if len(given) > MAX_PATTERNS:
            raise InvalidError(f"At most {MAX_PATTERNS} entries can be named in a query, got {len(given)}")
        wildcard_characters = sum(
            len(pattern) for pattern in given if _WILDCARD in pattern and not _is_prefix(pattern)
        )
        if wildcard_characters > MAX_WILDCARD_CHARACTERS:
            raise InvalidError(
                f"Entries with wildcards can have at most {MAX_WILDCARD_CHARACTERS} characters in a query, "
                f"got {wildcard_characters}"
            )
        return cls(
            _Choice.of(pattern for pattern in given if not pattern.startswith(_EXCLUSION)),
            _Choice.of(
                pattern.removeprefix(_EXCLUSION) for pattern in given if pattern.startswith(_EXCLUSION)
            ),
        )

    @property
    def is_all(self) -> bool:
        """Whether nothing was said about entries."""
        included = self.included
        says_all = not included.names and not included.paths and set(included.prefixes) <= {""}
        return says_all and not self.excluded

    def select(self, entry: str) -> bool:
        """Tell whether the entry with this valid name is meant."""
        if self.excluded.matches(entry):
            return False
        if entry in self.included.names:
            return True
        if is_meta_entry(entry):
            return False
        return not self.included or self.included.has_wildcard_for(entry)


def _is_prefix(pattern: str) -> bool:
    return pattern.find(_WILDCARD) == len(pattern) - 1 and _SEPARATOR not in pattern


def _path_matches(pattern: list[str], path: list[str]) -> bool:
    """Match segment by segment.

    Only the last ``**`` is ever widened, which is enough and keeps hostile patterns cheap: the cost is at most
    the product of both lengths.
    """
    at = position = 0
    last_star, widened_to = -1, 0
    while position < len(path):
        if at < len(pattern) and pattern[at] == _SEGMENTS:
            last_star, widened_to = at, position
            at += 1
        elif at < len(pattern) and _segment_matches(pattern[at], path[position]):
            at += 1
            position += 1
        elif last_star >= 0:
            widened_to += 1
            at, position = last_star + 1, widened_to
        else:
            return False
    return all(segment == _SEGMENTS for segment in pattern[at:])


def _segment_matches(pattern: str, segment: str) -> bool:
    if _WILDCARD not in pattern:
        return pattern == segment
    if pattern == _WILDCARD:
        return True
    first, *inner, last = pattern.split(_WILDCARD)
    end = len(segment) - len(last)
    position = len(first)
    if position > end or not segment.startswith(first) or not segment.endswith(last):
        return False
    for text in inner:
        # The leftmost place leaves the most for what follows.
        found = segment.find(text, position, end)
        if found < 0:
            return False
        position = found + len(text)
    return True
