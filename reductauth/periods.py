"""Days and months, UTC, as text that sorts by time: `YYYY-MM-DD` and `YYYY-MM`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

__all__ = ["DAY_US", "PeriodKind", "Span", "day_of", "month_of"]

DAY_US = 86_400_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PeriodKind(StrEnum):
    """What counters are summed by."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Span:
    """Days or months, from the first to the last, both included; None is open."""

    by: PeriodKind = PeriodKind.DAY
    first: str | None = None
    last: str | None = None


def day_of(time_us: int) -> str:
    """Name the day that a time in microseconds since the epoch is in."""
    return (_EPOCH + timedelta(microseconds=time_us)).date().isoformat()


def month_of(period: str) -> str:
    """Name the month that a day is in; a month is its own."""
    return period[:7]
