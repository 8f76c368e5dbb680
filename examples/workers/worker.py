"""One of the processes that serve: the module's runner, on a socket that the parent holds.

A second socket is a line between the two. The worker says once that it is ready, and the end of the line means that the
parent is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator

from aiohttp import web

import reductauth.web
from examples.workers import logs
from examples.workers.engine import create_app
from reductauth import ConfigurationError

__all__ = ["main"]

_logger = logging.getLogger("examples.workers")


def main(number: int, listener: socket.socket, line: socket.socket) -> None:
    """Serve until SIGTERM, or until the parent is gone. Status 1 if the application refuses to start."""
    logs.configure(f"worker-{number}")
    try:
        app = create_app()
    except ConfigurationError as error:
        for fault in error.faults:
            _logger.critical("can't start: %s", fault)
        sys.exit(1)

    async def under_parent(app: web.Application) -> AsyncIterator[None]:  # noqa: ARG001 - aiohttp hands it over
        loop = asyncio.get_running_loop()
        loop.add_reader(line, stop)  # nothing comes down the line but its end
        with contextlib.suppress(BrokenPipeError):
            line.send(b"ready")
        yield
        loop.remove_reader(line)

    def stop() -> None:
        asyncio.get_running_loop().remove_reader(line)
        _logger.warning("the parent is gone")
        signal.raise_signal(signal.SIGTERM)

    app.cleanup_ctx.append(under_parent)  # it comes after the registry's: that is open by then
    reductauth.web.run(app, sock=listener)


if __name__ == "__main__":
    main(int(sys.argv[1]), *(socket.socket(fileno=int(number)) for number in sys.argv[2:]))
