"""Days and months, UTC, as text that sorts by time: `YYYY-MM-DD` and `YYYY-MM`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["day_of", "month_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def day_of(time_us: int) -> str:
    """Name the day that a time in microseconds since the epoch is in."""
    return (_EPOCH + timedelta(microseconds=time_us)).date().isoformat()


def month_of(period: str) -> str:
    """Name the month that a day is in; a month is its own."""
    return period[:7]
