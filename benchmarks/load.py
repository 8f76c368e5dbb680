"""A client in a process of its own, as cheap as Python can have one: `python -m benchmarks.load`, for other benchmarks.

It reads what to do from standard input, one line of JSON for a round, and prints a line when the round is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import cast

import orjson

__all__ = ["Client", "Load", "client", "main"]

_BUFFER_BYTES = 65_536


@dataclass(frozen=True)
class Load:
    """A round: so many connections, of which some are open at once, with so many requests on each.

    `request` is sent as it stands, and an answer of 200 that ends in `end` is waited for.
    """

    port: int
    request: str
    end: str
    connections: int
    at_once: int
    requests: int


@dataclass
class _Exchange:
    """What one connection still has to do, and what has come of the answer that it waits for."""

    left: int
    answer: bytes = b""


def _send(load: Load) -> None:
    request, end = load.request.encode(), load.end.encode()
    with selectors.DefaultSelector() as selector:

        def connect() -> None:
            connection = socket.create_connection(("127.0.0.1", load.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(request)
            selector.register(connection, selectors.EVENT_READ, _Exchange(load.requests))

        opened = load.at_once
        for _ in range(opened):
            connect()
        while selector.get_map():
            for key, _ in selector.select():
                connection, exchange = cast("socket.socket", key.fileobj), cast("_Exchange", key.data)
                received = connection.recv(_BUFFER_BYTES)
                exchange.answer += received
                if not received or not exchange.answer.startswith(b"HTTP/1.1 200 "):
                    raise AssertionError(exchange.answer)
                if not exchange.answer.endswith(end):
                    continue
                exchange.left, exchange.answer = exchange.left - 1, b""
                if exchange.left:
                    connection.sendall(request)
                    continue
                selector.unregister(connection)
                connection.close()
                if opened < load.connections:
                    connect()
                    opened += 1


class Client:
    """Such a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def send(self, load: Load) -> None:
        """Have a round sent, and wait for its answers."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("both are pipes")
        self._process.stdin.write(orjson.dumps(asdict(load)) + b"\n")
        if await self._process.stdout.readline() != b"done\n":
            raise AssertionError("the client failed")


@contextlib.asynccontextmanager
async def client() -> AsyncIterator[Client]:
    """Start a client; it ends with the context."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.load", stdin=PIPE, stdout=PIPE
    )
    try:
        yield Client(process)
    finally:
        process.terminate()
        await process.wait()


def main() -> None:
    """Send rounds until there are no more."""
    for line in sys.stdin.buffer:
        _send(Load(**orjson.loads(line)))
        print("done", flush=True)


if __name__ == "__main__":
    main()
