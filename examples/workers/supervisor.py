"""The parent: it holds the listening socket and keeps so many workers running."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator

__all__ = ["Supervisor"]

_PATIENCE_SECONDS = 35.0
"""What a worker has to stop: the half minute of its requests, and a little to write down what it counted."""

_STEADY_SECONDS = 10.0
"""A worker that served for so long is replaced at once; others after pauses that grow."""

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0

_logger = logging.getLogger("examples.workers")


class Supervisor:
    """Starts workers on a listening socket, replaces each that ends, and stops them all."""

    def __init__(self, workers: int, listener: socket.socket) -> None:
        self._workers = workers
        self._listener = listener
        self._processes: set[Process] = set()

    async def run(self) -> bool:
        """Serve until SIGTERM or SIGINT, which let requests in flight finish; a second signal ends them.

        False if the first worker ended before it was ready: it has said why.
        """
        loop = asyncio.get_running_loop()
        self._is_first_ready: asyncio.Future[bool] = loop.create_future()
        keeping = asyncio.create_task(self._keep_all())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, keeping)
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
            return False
        _logger.info("stopped")
        return True

    def _stop(self, keeping: asyncio.Task[None]) -> None:
        if keeping.cancelling():
            for process in self._processes:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            return
        _logger.info("stopping")
        self._listener.close()
        keeping.cancel()

    async def _keep_all(self) -> None:
        """Keep all workers running, or return because there is no point."""
        async with asyncio.TaskGroup() as group:
            # What keeps one from starting keeps all: so the first starts alone, and the operator is told once.
            group.create_task(self._keep(1))
            if await self._is_first_ready:
                for number in range(2, self._workers + 1):
                    group.create_task(self._keep(number))

    async def _keep(self, number: int) -> None:
        pause_seconds = 0.0
        while True:
            try:
                ended, served_seconds = await self._serve(number)
            except OSError as error:  # no memory, no descriptor, no process to be had
                ended, served_seconds = f"could not be started ({error.strerror})", 0.0
            if not self._is_first_ready.done():
                self._is_first_ready.set_result(False)
            if not self._is_first_ready.result():
                _logger.critical("worker %d %s: giving up, since none could start", number, ended)
                return
            if served_seconds >= _STEADY_SECONDS:
                pause_seconds = 0.0
            _logger.error("worker %d %s: replaced in %g s", number, ended, pause_seconds)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(max(2 * pause_seconds, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)

    async def _serve(self, number: int) -> tuple[str, float]:
        """Run a worker until it ends; return how it ended, and for how many seconds it was ready."""
        async with self._worker(number) as (process, line):
            said = await asyncio.get_running_loop().sock_recv(line, 1)
            is_ready = said != b""  # that is the end of the line
            ready_since_seconds = time.monotonic()
            if is_ready:
                _logger.info("worker %d is ready pid=%d", number, process.pid)
                if not self._is_first_ready.done():
                    self._is_first_ready.set_result(True)
            status = await process.wait()
        ended = f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return ended, time.monotonic() - ready_since_seconds if is_ready else 0.0

    @contextlib.asynccontextmanager
    async def _worker(self, number: int) -> AsyncIterator[tuple[Process, socket.socket]]:
        """Run a worker, with a line on which it says that it is ready. It is stopped on the way out."""
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            with theirs:
                handed = (self._listener.fileno(), theirs.fileno())
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "examples.workers.worker", str(number), *map(str, handed)),
                    pass_fds=handed,
                    process_group=0,  # a terminal's Ctrl+C is for the parent, which tells the workers
                    stdin=DEVNULL,
                )
            _logger.info("worker %d started pid=%d", number, process.pid)
            self._processes.add(process)
            try:
                yield process, ours
            finally:
                await self._stopped(process)
                self._processes.discard(process)

    async def _stopped(self, process: Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await process.wait()
        except TimeoutError:
            _logger.warning("killed because it did not stop pid=%d", process.pid)
            process.kill()
            await process.wait()
