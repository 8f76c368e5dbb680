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
from operator import eq
from typing import TYPE_CHECKING, Self, TypeVar

from storage_demo.engine.errors import InvalidError
from storage_demo.engine.names import is_meta_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_PATTERNS = 1_000
"""In one selection; each entry of a bucket may be compared with each of them."""

_EXCLUSION = "!"
_WILDCARD = "*"
_SEGMENTS = "**"
_SEPARATOR = "/"

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class EntryPatterns:
    """A choice of entries: those with one of the *names*, or that one of the *wildcards* matches, less *excluded*.

    Without names and wildcards it is all that are listed.
    """

    names: frozenset[str] = frozenset()
    wildcards: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @classmethod
    def parse(cls, patterns: Iterable[str]) -> Self:
        """Read patterns; none are all. Raises `InvalidError` for more than `MAX_PATTERNS`."""
        given = list(patterns)
        if len(given) > MAX_PATTERNS:
            raise InvalidError(f"At most {MAX_PATTERNS} entries can be named in a query, got {len(given)}")
        included = [pattern for pattern in given if not pattern.startswith(_EXCLUSION)]
        return cls(
            names=frozenset(
                pattern.removeprefix(_SEPARATOR) for pattern in included if _WILDCARD not in pattern
            ),
            wildcards=tuple(pattern for pattern in included if _WILDCARD in pattern),
            excluded=tuple(pattern[1:] for pattern in given if pattern.startswith(_EXCLUSION)),
        )

    @property
    def is_all(self) -> bool:
        """Whether nothing was said about entries."""
        return not self.names and not self.excluded and set(self.wildcards) <= {_WILDCARD}

    def select(self, entry: str) -> bool:
        """Tell whether the entry with this valid name is meant."""
        if any(_matches(pattern, entry) for pattern in self.excluded):
            return False
        if entry in self.names:
            return True
        if is_meta_entry(entry):
            return False
        if not self.names and not self.wildcards:
            return True
        return any(_matches(pattern, entry) for pattern in self.wildcards)


def _matches(pattern: str, entry: str) -> bool:
    prefix = pattern[:-1]
    if pattern.endswith(_WILDCARD) and _SEPARATOR not in pattern and _WILDCARD not in prefix:
        return entry.startswith(prefix)
    segments = pattern.removeprefix(_SEPARATOR).split(_SEPARATOR)
    return _fits(segments, entry.split(_SEPARATOR), _SEGMENTS, _segment_matches)


def _segment_matches(pattern: str, segment: str) -> bool:
    return _fits(pattern, segment, _WILDCARD, eq)


def _fits(
    pattern: Sequence[Item], subject: Sequence[Item], star: Item, fits: Callable[[Item, Item], bool]
) -> bool:
    """Match item by item, *star* standing for any number of them.

    Only the last star is ever widened, which is enough and keeps hostile patterns cheap: the cost is at most
    the product of both lengths.
    """
    at = position = 0
    last_star, widened_to = -1, 0
    while position < len(subject):
        if at < len(pattern) and pattern[at] == star:
            last_star, widened_to = at, position
            at += 1
        elif at < len(pattern) and fits(pattern[at], subject[position]):
            at += 1
            position += 1
        elif last_star >= 0:
            widened_to += 1
            at, position = last_star + 1, widened_to
        else:
            return False
    return all(item == star for item in pattern[at:])
