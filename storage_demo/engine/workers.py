"""The threads that blocking work runs in."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class Workers:
    """A few threads with a queue in front."""

    def __init__(self, name: str, count: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix=name)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return ``work()``, run in one of the threads.

        The work is done to its end even if the caller is cancelled: a change that was begun must not
        leave its files behind.
        """
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._pool, work))

    def close(self) -> None:
        """Finish the queued work and end the threads."""
        self._pool.shutdown()
