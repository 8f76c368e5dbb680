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

from dataclasses import dataclass
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
class EntryPatterns:
    """A choice of entries: those with one of the *names*, or that one of the *wildcards* matches, less the excluded.

    Without names and wildcards it is all that are listed.
    """

    names: frozenset[str] = frozenset()
    wildcards: tuple[str, ...] = ()
    excluded_names: frozenset[str] = frozenset()
    excluded_wildcards: tuple[str, ...] = ()

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
        names, wildcards = _parted(pattern for pattern in given if not pattern.startswith(_EXCLUSION))
        excluded_names, excluded_wildcards = _parted(
            pattern.removeprefix(_EXCLUSION) for pattern in given if pattern.startswith(_EXCLUSION)
        )
        return cls(names, wildcards, excluded_names, excluded_wildcards)

    @property
    def is_all(self) -> bool:
        """Whether nothing was said about entries."""
        is_excluding = self.excluded_names or self.excluded_wildcards
        return not self.names and not is_excluding and set(self.wildcards) <= {_WILDCARD}

    def select(self, entry: str) -> bool:
        """Tell whether the entry with this valid name is meant."""
        if entry in self.excluded_names or any(
            _matches(pattern, entry) for pattern in self.excluded_wildcards
        ):
            return False
        if entry in self.names:
            return True
        if is_meta_entry(entry):
            return False
        if not self.names and not self.wildcards:
            return True
        return any(_matches(pattern, entry) for pattern in self.wildcards)


def _parted(patterns: Iterable[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Part names from patterns with wildcards."""
    given = list(patterns)
    names = (pattern.removeprefix(_SEPARATOR) for pattern in given if _WILDCARD not in pattern)
    return frozenset(names), tuple(pattern for pattern in given if _WILDCARD in pattern)


def _is_prefix(pattern: str) -> bool:
    return pattern.find(_WILDCARD) == len(pattern) - 1 and _SEPARATOR not in pattern


def _matches(pattern: str, entry: str) -> bool:
    if _is_prefix(pattern):
        return entry.startswith(pattern[:-1])
    segments = pattern.removeprefix(_SEPARATOR).split(_SEPARATOR)
    return _path_matches(segments, entry.split(_SEPARATOR))


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
