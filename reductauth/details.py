"""A token with all that is known beside it: its live values, and what it was used for."""

from __future__ import annotations

from dataclasses import dataclass

from reductauth.token import Secret, Token

__all__ = ["NOT_USED", "PeriodUsage", "TokenDetails", "UsageCounts", "UsageTotals"]


@dataclass(frozen=True, slots=True)
class UsageCounts:
    """Requests, by what they counted as."""

    read: int = 0
    write: int = 0
    admin: int = 0
    denied: int = 0


@dataclass(frozen=True, slots=True)
class PeriodUsage:
    """What a token was used for in one period, `YYYY-MM-DD` or `YYYY-MM`."""

    period: str
    counts: UsageCounts


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """What a token was used for, ever and lately. Days and months are those of UTC."""

    total: UsageCounts = UsageCounts()
    today: UsageCounts = UsageCounts()
    this_month: UsageCounts = UsageCounts()


NOT_USED = UsageTotals()


@dataclass(frozen=True, slots=True)
class TokenDetails:
    """A token at one moment. `secrets` are the values that work then, oldest first."""

    token: Token
    secrets: tuple[Secret, ...] = ()
    usage: UsageTotals = NOT_USED
