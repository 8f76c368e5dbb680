"""An open connection to an application, without a socket.

Bytes go into the protocol as a socket would hand them over, through parser, router, guard and handler, to
`transport.write`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, cast

from aiohttp import web

__all__ = ["REQUESTS", "Line", "request_bytes"]

REQUESTS = 100
"""That a variant answers in a round."""


class _Transport(asyncio.Transport):
    """Takes what the server writes, and says when an answer is there."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000)})
        self.answered: asyncio.Future[bytes] | None = None

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Line:
    """One application with one open connection, on which requests are sent over and over."""

    def __init__(self, runner: web.AppRunner, requests: Sequence[bytes], statuses: Sequence[int]) -> None:
        self._transport = _Transport()
        self._protocol = cast("web.Server", runner.server)()
        self._requests = itertools.cycle(requests)
        self._starts = tuple(f"HTTP/1.1 {status} ".encode() for status in statuses)
        self._protocol.connection_made(self._transport)

    async def __call__(self) -> None:
        await self.send(REQUESTS)

    async def send(self, count: int) -> None:
        """Send so many requests, each after the answer to the one before."""
        loop = asyncio.get_running_loop()
        for request in itertools.islice(self._requests, count):
            self._transport.answered = loop.create_future()
            self._protocol.data_received(request)
            if not (await self._transport.answered).startswith(self._starts):
                raise AssertionError(await self._transport.answered)


def request_bytes(bucket: str, header: str) -> bytes:
    """A request for an entry of a bucket, with an `Authorization` header."""
    return (
        f"GET /api/v1/b/{bucket}/oslo HTTP/1.1\r\nHost: 127.0.0.1:8383\r\nAccept: */*\r\n"
        f"User-Agent: benchmark\r\nAuthorization: {header}\r\n\r\n"
    ).encode()
