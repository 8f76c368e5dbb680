"""The one place where the time is read."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Clock", "SystemClock"]

Clock = Callable[[], int]
"""Returns now: microseconds since the epoch, UTC."""


class SystemClock:
    """The system's clock, except that it never runs backwards within a process.

    What has expired stays expired when somebody sets the wall clock back.
    """

    __slots__ = ("_latest_us",)

    def __init__(self) -> None:
        self._latest_us = 0

    def __call__(self) -> int:
        """Now, or the latest now that was told."""
        now_us = time.time_ns() // 1_000
        if now_us < self._latest_us:
            return self._latest_us
        self._latest_us = now_us
        return now_us
