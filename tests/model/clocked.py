"""The storage server with a clock that a test sets: `python -m tests.model.clocked FILE`.

The file holds the time, 8 bytes of nanoseconds since the epoch, and is mapped: every process that was given it
sees a new time at once. Nothing else of the server is different.
"""

from __future__ import annotations

import mmap
import sys
import time
from collections.abc import Callable
from pathlib import Path

from storage_demo.__main__ import main as serve
from tests.model.sabotage import SABOTAGES

__all__ = ["Clock", "main"]


class Clock:
    """The time in a file, in whole seconds."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._cell = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")

    @classmethod
    def at(cls, path: Path, seconds: int) -> Clock:
        """Make the file, with a time."""
        path.write_bytes(bytes(8))
        clock = cls(path)
        clock.seconds = seconds
        return clock

    @property
    def seconds(self) -> int:
        """Now, since the epoch."""
        return self._cell[0] // 1_000_000_000

    @seconds.setter
    def seconds(self, seconds: int) -> None:
        self._cell[0] = seconds * 1_000_000_000

    def time_ns(self) -> int:
        """Now, as `time.time_ns` tells it."""
        return self._cell[0]


def main(clock: str, *sabotages: str) -> None:
    """Serve, with the clock in a file, and with mechanisms switched off."""
    tell_time: Callable[[], int] = Clock(Path(clock)).time_ns
    time.time_ns = tell_time
    for name in sabotages:
        SABOTAGES[name]()
    serve([], prog_name="storage-demo")


if __name__ == "__main__":
    main(*sys.argv[1:])
