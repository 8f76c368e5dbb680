"""What the module has decided and done since it was started, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reductauth.errors import AuthenticationError
from reductauth.store import StoreCounts
from reductauth.usage import UsageKind

__all__ = ["Counts"]


@dataclass(frozen=True, slots=True)
class Counts:
    """A view of all counters at one time. None of them ever falls, except for `cached_values`."""

    requests: Mapping[UsageKind, int] = field(default_factory=dict)
    """Requests with a good token, by what they count as."""
    refused: Mapping[type[AuthenticationError], int] = field(default_factory=dict)
    """Requests without one, by the reason."""
    throttled: Mapping[type[AuthenticationError], int] = field(default_factory=dict)
    """Requests without one that were one too many, by the reason that they would have been told."""
    store: StoreCounts = field(default_factory=StoreCounts)
    cache_hits: int = 0
    """Values that were remembered, and still true."""
    cache_misses: int = 0
    """Values that the store was asked for."""
    cached_values: int = 0
    """Values that are remembered now."""
