"""Which tokens somebody wants to see, in which order, and how many of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from reductauth.permissions import Action
from reductauth.token import TokenStatus

__all__ = ["DEFAULT_LIMIT", "MAX_LIMIT", "MAX_WORDS", "Page", "SortKey", "TokenQuery"]

R = TypeVar("R")

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000
MAX_WORDS = 100


class SortKey(StrEnum):
    """What tokens are sorted by. Statuses sort as the words they are; nothing comes after everything."""

    NAME = "name"
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    LAST_ACCESS = "last_access"
    EXPIRES_AT = "expires_at"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class TokenQuery:
    """All conditions must be met; one that is empty or None is none.

    `words` are case-folded, at most `MAX_WORDS`; each occurs in the name or the description. `bucket` is the name
    of a bucket that the token can reach, by `action` or by any. Ties are sorted by name, also when `descending`.
    """

    words: tuple[str, ...] = ()
    token_id: str | None = None
    bucket: str | None = None
    action: Action | None = None
    statuses: frozenset[TokenStatus] = frozenset()
    sort: SortKey = SortKey.NAME
    descending: bool = False
    limit: int = DEFAULT_LIMIT
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Some of the tokens that were `found` among the `total` that there are."""

    rows: list[R]
    found: int
    total: int
