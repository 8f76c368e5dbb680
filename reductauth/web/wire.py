"""Answers as JSON, and the times in them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import orjson

from reductauth.times import rfc3339

__all__ = ["to_json", "wire_time"]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - orjson takes it for UTC, and so saves the zone of each time
_OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
_SECOND_US = 1_000_000


def to_json(answer: Any) -> bytes:
    """Write an answer; a time in it is a `wire_time`."""
    return orjson.dumps(answer, None, _OPTIONS)


def wire_time(time_us: int | None) -> datetime | str | None:
    """Give microseconds since the epoch as what `to_json` writes like `rfc3339`; None where there is no time.

    That is a datetime where it can be: to make text of it is most of what a list of tokens would cost. But orjson
    leaves out the fraction of a whole second.
    """
    if time_us is None:
        return None
    if time_us % _SECOND_US:
        try:
            return _EPOCH + timedelta(0, 0, time_us)
        except OverflowError:
            pass
    return rfc3339(time_us)
