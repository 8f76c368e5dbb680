"""A connection that sends one request after another, and costs the machine little beside the server."""

from __future__ import annotations

import asyncio

__all__ = ["Client"]

_LIMIT_BYTES = 1 << 20


class Client:
    """One connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, port: int) -> Client:
        """Connect to a port of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT_BYTES))

    async def send(self, request: bytes) -> bytes:
        """Send a request and return the body of its answer; raise unless it is 200."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        (length,) = (line.split(b":")[1] for line in lines if line.startswith(b"content-length:"))
        body = await self._reader.readexactly(int(length))
        if not head.startswith(b"HTTP/1.1 200 "):
            raise AssertionError(head + body)
        return body

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()
