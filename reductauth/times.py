"""Times as text: RFC 3339 on input, any offset; whole microseconds since the epoch, UTC, inside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

__all__ = ["parse_time", "rfc3339", "rfc3339_or_none"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UTC_EPOCH = _EPOCH.replace(tzinfo=None)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_US = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST_US = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
# RFC 3339 §5.6. Python's own reader takes more (week dates, no offset) and less (a lower-case `z`).
_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


@lru_cache(maxsize=1024)  # a token and its value were made at the same time, many tokens end at the same
def parse_time(text: str) -> int:
    """Read a time, in microseconds since the epoch; what is finer is cut off.

    Raises `ValueError` with words for a person that go on from the name of what was given.
    """
    if _RFC3339.fullmatch(text) is None:
        raise ValueError("must be an RFC 3339 time with an offset, such as 2030-01-31T12:00:00Z")
    try:
        time_us = (datetime.fromisoformat(text.upper()) - _EPOCH) // _MICROSECOND
    except ValueError:
        time_us = _LAST_US + 1
    if not _FIRST_US <= time_us <= _LAST_US:  # its offset may take it out of all years of four digits
        raise ValueError("must be a time that exists, such as 2030-01-31T12:00:00Z")
    return time_us


def rfc3339(time_us: int) -> str:
    """Render microseconds since the epoch, always with six digits of fraction.

    What lies before or after all years of four digits, as only a damaged record says, is rendered as their end.
    """
    if not _FIRST_US <= time_us <= _LAST_US:
        time_us = min(max(time_us, _FIRST_US), _LAST_US)
    return (_UTC_EPOCH + timedelta(0, 0, time_us)).isoformat("T", "microseconds") + "Z"


def rfc3339_or_none(time_us: int | None) -> str | None:
    """Write a time as `rfc3339` does, or None where there is none."""
    return None if time_us is None else rfc3339(time_us)
