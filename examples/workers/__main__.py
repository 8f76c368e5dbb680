"""`python -m examples.workers`: listens, then keeps the workers running."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys

import click

from examples.workers import logs
from examples.workers.supervisor import Supervisor

__all__ = ["main"]

_logger = logging.getLogger("examples.workers")


@click.command()
@click.option(
    "--workers",
    default=len(os.sched_getaffinity(0)),
    type=click.IntRange(min=1),
    help="How many processes serve; as many as there are processors without it.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8383,
    type=click.IntRange(0, 65_535),
    show_default=True,
    help="Port to listen on; 0 lets the system choose.",
)
def main(workers: int, host: str, port: int) -> None:
    """Serve the example engine that RS_* variables describe, until SIGTERM or SIGINT."""
    logs.configure("parent")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        _logger.critical("can't start: can't listen on %s:%d (%s)", host, port, error.strerror)
        sys.exit(1)
    _logger.info("listening address=%s port=%d workers=%d", *listener.getsockname()[:2], workers)
    with listener:
        if not asyncio.run(Supervisor(workers, listener).run()):
            sys.exit(1)


if __name__ == "__main__":
    main(prog_name="python -m examples.workers")
