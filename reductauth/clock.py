"""The one place where the time is read."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Clock", "system_clock"]

Clock = Callable[[], int]
"""Returns now: microseconds since the epoch, UTC."""


def system_clock() -> Clock:
    """Make a clock that follows the system's, except that it never runs backwards.

    What has expired stays expired when somebody sets the wall clock back.
    """
    latest_us = 0
    time_ns = time.time_ns

    def now() -> int:
        nonlocal latest_us
        now_us = time_ns() // 1_000
        if now_us < latest_us:
            return latest_us
        latest_us = now_us
        return now_us

    return now
